"""`Membership`: a session's place in a group, for one epoch. Its lane runs collectives in their turn, and no other's."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from gradwire_protocol.errors import GroupBroken
from gradwire_protocol.group import Spec
from gradwire_server.collectives.interface import Collective, Meeting, Opener, Work
from gradwire_server.collectives.store import Remote, of_process
from gradwire_server.peers import reach

__all__ = ["Membership", "join"]


def _open_gloo(*arguments: Any) -> Collective:
    from gradwire_server.collectives.gloo import open_gloo

    return open_gloo(*arguments)


def _open_nccl(*arguments: Any) -> Collective:
    from gradwire_server.collectives.nccl import open_nccl

    return open_nccl(*arguments)


_OPENERS: dict[str, Opener] = {"gloo": _open_gloo, "nccl": _open_nccl}


class Membership:
    """One epoch. Turns are numbered from 1; what is started is kept until it is waited for."""

    def __init__(self, spec: Spec, collective: Collective, is_at: Callable[[str, str], bool] = reach.is_at) -> None:
        """Begin with the first turn."""
        self.spec = spec
        self.size = len(spec.peers)
        self._collective = collective
        self._is_at = is_at
        self._turn = 0
        self._under_way: dict[int, tuple[Work, Any]] = {}
        self._broken = ""

    def start(self, epoch: int, turn: int, begin: Callable[[Collective], Work], result: Any) -> None:
        """Begin the collective of a turn; `result` is what `finish` returns."""
        self._check(epoch)
        if turn != self._turn + 1:
            raise GroupBroken(f"{self._name} takes its turns in order; {self._turn + 1} is next, got {turn}")
        self._turn = turn
        try:
            self._under_way[turn] = (begin(self._collective), result)
        except RuntimeError as error:
            raise self._lost(turn, error) from None

    def finish(self, epoch: int, turn: int) -> Any:
        """Wait for the collective of a turn."""
        self._check(epoch)
        found = self._under_way.pop(turn, None)
        if found is None:
            raise GroupBroken(f"{self._name} waits for what was started; turn {turn} was not, or was waited for")
        try:
            found[0].wait(self.spec.seconds)
        except Exception as error:
            raise self._lost(turn, error) from None
        return found[1]

    def breaks(self, reason: str) -> None:
        """End the epoch, here and for the others, who would wait for this member."""
        if not self._broken:
            self._broken = reason
            self._under_way.clear()
            self._collective.abort()

    def leave(self) -> None:
        """Let go."""
        if not self._broken:
            self._broken = "this member left it"
            self._under_way.clear()
            self._collective.close()

    @property
    def _name(self) -> str:
        return f"group {self.spec.group!r}, epoch {self.spec.epoch},"

    def _check(self, epoch: int) -> None:
        if epoch != self.spec.epoch:
            raise GroupBroken(f"{self._name} is the present one; a call of epoch {epoch} comes too late, or too early")
        if self._broken:
            raise GroupBroken(f"{self._name} is over: {self._broken}; form the group anew")

    def _lost(self, turn: int, error: Exception) -> GroupBroken:
        """End the epoch, and return the error that says who is missing."""
        others = [peer for rank, peer in enumerate(self.spec.peers) if rank != self.spec.rank]
        gone = [peer for peer in others if peer.address and not self._is_at(peer.address, peer.incarnation)]
        names = ", ".join(f"{peer.device} at {peer.address}" for peer in gone)
        reason = f"{names} was lost" if names else f"a collective failed: {str(error).splitlines()[0][:200]}"
        self.breaks(reason)
        return GroupBroken(f"{self._name} is over at turn {turn}: {reason}; form the group anew")


def join(spec: Spec) -> Membership:
    """Meet the others of an epoch, and prove it by a barrier; raise GroupBroken if they do not come in time."""
    if spec.backend not in _OPENERS:
        raise GroupBroken(f"a group's collectives are {' or '.join(_OPENERS)}; got {spec.backend!r}")
    secret = bytes.fromhex(spec.secret)
    meeting: Meeting = Remote(spec.store, secret, spec.seconds) if spec.store else of_process.open(secret)
    size = len(spec.peers)
    try:
        opened = _OPENERS[spec.backend](meeting, spec.rank, size, _own_host(spec), spec.seconds)
        opened.barrier().wait(spec.seconds)
    except Exception as error:
        raise GroupBroken(
            f"group {spec.group!r}, epoch {spec.epoch}, needs its {size} members to meet within {spec.seconds:g} s; they did "
            f"not: {type(error).__name__}: {str(error)[:300]}"
        ) from None
    return Membership(spec, opened)


def _own_host(spec: Spec) -> str:
    """Return the address of this machine that faces the other members."""
    host = (spec.store or spec.peers[spec.rank].address).removeprefix("ipv4:").rpartition(":")[0].strip("[]")
    if spec.peers[spec.rank].address.startswith("unix:") or not host:
        return "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        # Sends nothing: it only asks which of this machine's addresses such a packet would come from.
        probe.connect((host, 9))
        found: str = probe.getsockname()[0]
    return found
