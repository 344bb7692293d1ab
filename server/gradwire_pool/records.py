"""What the table knows: workers, leases, and what it asks of the world. Frozen where it crosses a boundary."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = ["Announcement", "Bounds", "Instruction", "Lease", "Member", "State", "Todo", "Worker"]


class State(enum.Enum):
    """Where a worker stands."""

    STARTING = "starting"
    """Asked of Ray; nothing was heard of it yet."""
    SERVING = "serving"
    """It announces itself, and can be lent."""
    LOST = "lost"
    """Silent for longer than its lease, or hung; a replacement is on its way."""
    DRAINING = "draining"
    """Lent no more. It goes when its last lease does, or when its time is up."""
    ENDING = "ending"
    """Told to end. Its name is free again when its actor is gone."""


class Todo(enum.Enum):
    """What the controller is to do with a worker."""

    START = "start"
    """Make its actor."""
    RESTART = "restart"
    """Its process hangs: kill that, its actor starts another."""
    RECREATE = "recreate"
    """Its actor is silent: kill that, Ray starts another."""
    RETIRE = "retire"
    """Let its process finish what runs, then remove the actor."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One thing to do."""

    todo: Todo
    worker: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The times after which the table acts."""

    # Of an announcement. Four beats of half a second.
    announced_seconds: float = 2.0
    # Ray brings a killed actor back in half a second to two; one that is silent for this long does not come by itself.
    recreate_seconds: float = 10.0
    # A first start imports Ray and numpy on a loaded machine.
    start_seconds: float = 60.0
    # Health is answered by a thread of its own, which a kernel delays only while it holds the interpreter's lock.
    hung_seconds: float = 10.0
    lease_seconds: float = 30.0
    # How long the leases of a draining worker may go on.
    drain_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a worker's actor says of it every half second."""

    worker: str
    # Names the process: another one has lost all tensors.
    instance: str
    # What the table gave this process before; 0 for a new one. A controller that lost its memory takes it over.
    incarnation: int
    address: str
    device: str
    node: str
    process: int
    busy: float = 0.0
    available_memory_bytes: int = 0
    total_memory_bytes: int = 0


@dataclass(slots=True)
class Worker:
    """A worker of the pool, in whichever state."""

    name: str
    state: State
    # When the state began.
    since: float
    said: Announcement | None = None
    incarnation: int = 0
    announced_at: float = 0.0
    # When its first unanswered probe in a row was sent.
    silent_since: float | None = None
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """A worker as it was lent or joined a group: this process of it, no later one."""

    worker: str
    incarnation: int


@dataclass(slots=True)
class Lease:
    """Workers that are lent to one client until `expires_at`."""

    number: str
    members: tuple[Member, ...]
    expires_at: float
    exclusive: bool = False
    memory_bytes: int = 0
    client: str = field(default="")
