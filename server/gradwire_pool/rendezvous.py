"""Groups of workers for collectives: their epochs, and the key-value store in which the members of an epoch meet.

A group is formed anew under an epoch that never goes back. All that belongs to an earlier epoch is refused from then on, which
fences a worker that comes back after a network cut. A death of a member breaks the epoch: waits end with GroupBroken.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gradwire_pool.records import Member
from gradwire_protocol.errors import GroupBroken, LimitExceeded

__all__ = ["MAX_GROUP_BYTES", "MAX_KEY_CHARACTERS", "MAX_VALUE_BYTES", "Group", "Groups"]

# An NCCL id has 128 bytes, gloo's addresses some hundred a pair of members.
MAX_VALUE_BYTES = 1 << 20
MAX_GROUP_BYTES = 64 << 20
MAX_KEY_CHARACTERS = 512


@dataclass(slots=True)
class Group:
    """One epoch of a group. Ranks are positions in `members`."""

    name: str
    epoch: int
    members: tuple[Member, ...]
    # Proves to the store that a request comes from a member; it never has the user's token.
    secret: str
    broken: str = ""
    values: dict[str, bytes] = field(default_factory=dict)
    used_bytes: int = 0


class Groups:
    """The groups of a pool. The latest epoch of each, and nothing of those before."""

    def __init__(self, next_number: Callable[[], int], new_identity: Callable[[], str]) -> None:
        """Begin without groups. `next_number` gives epochs."""
        self._next_number = next_number
        self._new_identity = new_identity
        self._groups: dict[str, Group] = {}

    def create(self, name: str, members: Sequence[Member]) -> Group:
        """Form a group, or form it anew: the epoch before is over."""
        names = [m.worker for m in members]
        if not name or not names or len(set(names)) != len(names):
            raise ValueError(f"a group needs a name and members that differ; got {name!r} and {names}")
        group = Group(name, self._next_number(), tuple(members), self._new_identity())
        self._groups[name] = group
        return group

    def abort(self, name: str, epoch: int, reason: str) -> None:
        """Break an epoch, for all of its members; a later epoch of the group goes on."""
        group = self._groups.get(name)
        if group is not None and group.epoch == epoch and not group.broken:
            group.broken = reason
            group.values.clear()

    def close(self, name: str, epoch: int) -> None:
        """Forget a group that is not needed any more."""
        group = self._groups.get(name)
        if group is not None and group.epoch == epoch:
            del self._groups[name]

    def check_members(self, is_current: Callable[[Member], bool]) -> bool:
        """Break the epochs of which a member is gone; return whether there were any."""
        broke = False
        for group in self._groups.values():
            for member in group.members if not group.broken else ():
                if not is_current(member):
                    self.abort(group.name, group.epoch, f"{member.worker} (incarnation {member.incarnation}) was lost")
                    broke = True
        return broke

    def entered(self, name: str, epoch: int, secret: str) -> Group:
        """Return a group for one of its members; raise GroupBroken where this epoch is over."""
        group = self._groups.get(name)
        if group is None or not hmac.compare_digest(group.secret.encode(), secret.encode()):
            latest = f"the latest epoch is {group.epoch}" if group else "there is no such group"
            raise GroupBroken(
                f"a member must name the group's present epoch; got group {name!r}, epoch {epoch}, and {latest}; form it anew"
            )
        if group.broken:
            raise GroupBroken(f"epoch {epoch} of group {name!r} is over: {group.broken}; form the group anew")
        return group

    @staticmethod
    def put(group: Group, key: str, value: bytes) -> None:
        """Set a key; raise LimitExceeded beyond the bounds of a rendezvous."""
        used = group.used_bytes - len(group.values.get(key, b"")) + len(value)
        if len(key) > MAX_KEY_CHARACTERS or len(value) > MAX_VALUE_BYTES or used > MAX_GROUP_BYTES:
            raise LimitExceeded(
                f"the store holds keys of {MAX_KEY_CHARACTERS} characters, values of {MAX_VALUE_BYTES:,} bytes and "
                f"{MAX_GROUP_BYTES:,} bytes a group; got a key of {len(key)}, a value of {len(value):,}, {used:,} in all; "
                "send tensors from worker to worker"
            )
        group.values[key], group.used_bytes = value, used

    @staticmethod
    def remove(group: Group, key: str) -> None:
        """Remove a key, if it is there."""
        group.used_bytes -= len(group.values.pop(key, b""))

    @classmethod
    def add(cls, group: Group, key: str, amount: int) -> int:
        """Add to a counter, which begins at 0; return its new value."""
        try:
            value = int(group.values.get(key, b"0")) + amount
        except ValueError:
            raise ValueError(f"add needs a counter; key {key!r} holds something else") from None
        cls.put(group, key, str(value).encode())
        return value
