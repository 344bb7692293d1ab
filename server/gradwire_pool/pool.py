"""The controller's life, without Ray and without gRPC: the table, the groups, a clock, and those who wait for a change.

All of it runs in one event loop, so nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from gradwire_pool.placement import Request
from gradwire_pool.records import Announcement, Bounds, Instruction, Lease, Member, Todo, Worker
from gradwire_pool.rendezvous import Group, Groups
from gradwire_pool.table import Table
from gradwire_protocol.errors import GroupBroken, NoWorkerFree

__all__ = ["Engine", "Pool"]

log = logging.getLogger("gradwire.pool")

TICK_SECONDS = 0.25
PROBE_SECONDS = 1.0

T = TypeVar("T")


class Engine(Protocol):
    """What starts and ends workers. Ray, in a pool; methods may block."""

    def start(self, worker: str) -> None:
        """Make the worker."""

    def restart(self, worker: str) -> None:
        """Replace the worker's process."""

    def recreate(self, worker: str) -> None:
        """Replace whatever runs the worker."""

    def retire(self, worker: str) -> None:
        """Let the worker finish what runs, and remove it."""


class Pool:
    """A pool of workers. Made and used in one event loop."""

    def __init__(self, engine: Engine, probe: Callable[[str], Awaitable[bool]], bounds: Bounds | None = None) -> None:
        """Begin empty; `probe` asks the worker at an address whether it answers."""
        self.table = Table(time.time_ns() // 1_000_000, lambda: secrets.token_hex(16), bounds)
        self.groups = Groups(self.table.next_number, lambda: secrets.token_hex(16))
        self._engine = engine
        self._probe = probe
        self._changed = asyncio.Condition()
        self._running: set[asyncio.Task[None]] = set()

    @staticmethod
    def now() -> float:
        """Return the time that the table works with."""
        return time.monotonic()

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something run beside all else."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def run(self) -> None:
        """Tick and probe until cancelled."""
        last_probe = 0.0
        while True:
            self.act(self.table.tick(self.now()))
            if self.now() - last_probe >= PROBE_SECONDS:
                last_probe = self.now()
                for worker in self.table.serving():
                    self.spawn(self._ask(worker))
            self.groups.check(self.table.is_current, self.table.leases)
            await self.tell()
            await asyncio.sleep(TICK_SECONDS)

    async def _ask(self, worker: Worker) -> None:
        assert worker.said is not None
        member, asked_at = Member(worker.name, worker.incarnation), self.now()
        self.table.probed(member, await self._probe(worker.said.address), asked_at)

    def act(self, instructions: Sequence[Instruction]) -> None:
        """Have instructions carried out, each beside the others."""
        for instruction in instructions:
            log.warning("%s %s", instruction.todo.value, instruction.worker)
            self.spawn(self._carry_out(instruction))

    async def _carry_out(self, instruction: Instruction) -> None:
        engine = self._engine
        acts = {
            Todo.START: engine.start,
            Todo.RESTART: engine.restart,
            Todo.RECREATE: engine.recreate,
            Todo.RETIRE: engine.retire,
        }
        try:
            await asyncio.to_thread(acts[instruction.todo], instruction.worker)
        except Exception:
            # The table asks again when the worker stays as it is.
            log.exception("could not %s %s", instruction.todo.value, instruction.worker)
            return
        if instruction.todo is Todo.RETIRE:
            self.table.retired(instruction.worker)
            await self.tell()

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def tell(self) -> None:
        """Wake those who wait for a change."""
        async with self._changed:
            self._changed.notify_all()

    async def wait_for(self, attempt: Callable[[], T | None], seconds: float) -> T | None:
        """Return what `attempt` returns once that is not None, or None when the time is up. What it raises goes through."""
        deadline = self.now() + seconds
        while True:
            found = attempt()
            left = deadline - self.now()
            if found is not None or left <= 0:
                return found
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait(), left)
                except TimeoutError:
                    continue

    # -- what the gateway and the actors ask ---------------------------------------------------------------------------

    async def announce(self, said: Announcement) -> int:
        """Note that a worker is there; return its incarnation."""
        given = self.table.announce(said, self.now())
        self.groups.check(self.table.is_current, self.table.leases)
        await self.tell()
        return given

    async def lease(self, request: Request, client: str, seconds: float) -> Lease:
        """Lend workers, waiting up to `seconds` for them; raise NoWorkerFree with the last reason."""
        refused: list[NoWorkerFree] = []

        def attempt() -> Lease | None:
            try:
                return self.table.lease(request, client, self.now())
            except NoWorkerFree as error:
                refused[:] = [error]
                return None

        lease = await self.wait_for(attempt, seconds)
        if lease is None:
            raise refused[0]
        return lease

    async def resolve(self, name: str, after: int, seconds: float) -> Worker | None:
        """Return a worker once it serves as a later incarnation than `after`; None if the time was too short."""
        return await self.wait_for(lambda: self.table.resolve(name, after), seconds)

    def create_group(self, name: str, workers: Sequence[str], number: str) -> Group:
        """Form a group of leased workers; raise GroupBroken where one of them does not serve."""
        lease = self.table.leases.get(number)
        leased = {m.worker for m in lease.members} if lease else set()
        members = []
        for worker in workers:
            found = self.table.workers.get(worker)
            if worker not in leased or found is None or not self.table.is_current(Member(worker, found.incarnation)):
                raise GroupBroken(
                    f"a group needs workers that its client leased and that serve; {worker} is not one; leased are "
                    f"{', '.join(sorted(leased)) or 'none'}"
                )
            members.append(Member(worker, found.incarnation))
        return self.groups.create(name, members, number)
