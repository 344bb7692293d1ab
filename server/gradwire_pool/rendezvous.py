"""Groups of workers for collectives: their epochs, and the key-value store in which the members of an epoch meet.

A group is formed anew under an epoch that never goes back. All that belongs to an earlier epoch is refused from then on, which
fences a worker that comes back after a network cut. A death of a member breaks the epoch: waits end with GroupBroken.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from gradwire_pool.records import Member
from gradwire_protocol.errors import GroupBroken, LimitExceeded

__all__ = ["MAX_GROUP_BYTES", "MAX_KEY_CHARACTERS", "MAX_VALUE_BYTES", "Group", "Groups"]

# An NCCL id has 128 bytes, gloo's addresses some hundred a pair of members.
MAX_VALUE_BYTES = 1 << 20
MAX_GROUP_BYTES = 64 << 20
MAX_KEY_CHARACTERS = 512
MAX_LEASE_GROUPS = 64


@dataclass(slots=True)
class Group:
    """One epoch of a group. Ranks are positions in `members`."""

    name: str
    epoch: int
    members: tuple[Member, ...]
    # That lent the members. A name means something only within it, and the group ends with it.
    lease: str
    # Proves to the store that a request comes from a member; it never has the user's token.
    secret: str
    broken: str = ""
    values: dict[str, bytes] = field(default_factory=dict)
    used_bytes: int = 0


class Groups:
    """The groups of a pool. The latest epoch of each, and nothing of those before."""

    def __init__(self, next_number: Callable[[], int], new_identity: Callable[[], str]) -> None:
        """Begin without groups. `next_number` gives epochs, `new_identity` secrets."""
        self._next_number = next_number
        self._new_identity = new_identity
        self._by_secret: dict[str, Group] = {}
        self._secrets: dict[tuple[str, str], str] = {}

    def create(self, name: str, members: Sequence[Member], lease: str) -> Group:
        """Form a group, or form it anew: the epoch before is over."""
        names = [m.worker for m in members]
        if not 0 < len(name) <= MAX_KEY_CHARACTERS or not names or len(set(names)) != len(names):
            raise ValueError(f"a group needs a name and members that differ; got {name[:80]!r} and {names}")
        if (lease, name) not in self._secrets and sum(lease == of for of, _ in self._secrets) >= MAX_LEASE_GROUPS:
            raise LimitExceeded(f"a lease may have {MAX_LEASE_GROUPS} groups and has that many; close one")
        group = Group(name, self._next_number(), tuple(members), lease, self._new_identity())
        self._forget(lease, name)
        self._by_secret[group.secret], self._secrets[lease, name] = group, group.secret
        return group

    def _forget(self, lease: str, name: str) -> None:
        secret = self._secrets.pop((lease, name), None)
        if secret is not None:
            del self._by_secret[secret]

    def abort(self, group: Group, reason: str) -> None:
        """Break an epoch, for all of its members."""
        if not group.broken:
            group.broken = reason
            group.values.clear()

    def close(self, group: Group) -> None:
        """Forget a group that is not needed any more."""
        self._forget(group.lease, group.name)

    def check(self, is_current: Callable[[Member], bool], leases: Container[str]) -> None:
        """Break the epochs of which a member is gone, and forget groups whose lease is over."""
        for group in list(self._by_secret.values()):
            if group.lease not in leases:
                self.close(group)
            for member in group.members if not group.broken else ():
                if not is_current(member):
                    self.abort(group, f"{member.worker} (incarnation {member.incarnation}) was lost")

    def entered(self, name: str, epoch: int, secret: str) -> Group:
        """Return a group for one of its members; raise GroupBroken where this epoch is over."""
        group = self._by_secret.get(secret)
        if group is None or (group.name, group.epoch) != (name, epoch):
            raise GroupBroken(
                f"a member must know the group's present epoch and its secret; epoch {epoch} of group {name[:80]!r} is over, or "
                "never was; form the group anew"
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
