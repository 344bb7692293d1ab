"""`Spec`: what a worker is told of a group that it is to join, as text in the call `gw::form`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from gradwire_protocol.errors import BatchMalformed

__all__ = ["Peer", "Spec"]

MAX_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """A member: its device in the client's words, where it listens, and which process it is."""

    device: str
    address: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One epoch of a group, for the member of `rank`. The members meet at `store`: "" is the member's own process."""

    group: str
    epoch: int
    rank: int
    backend: str
    secret: str
    store: str
    seconds: float
    peers: tuple[Peer, ...]

    def encode(self) -> str:
        """Return the text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def decode(cls, text: str) -> Spec:
        """Return what `text` says; raise BatchMalformed for text that says nothing of a group."""
        try:
            given = json.loads(text)
            peers = tuple(Peer(**peer) for peer in given.pop("peers"))
            made = cls(**given, peers=peers)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BatchMalformed(f"a group is described as `Spec.encode` does; got {text[:80]!r}: {error}") from None
        made.check()
        return made

    def check(self) -> None:
        """Raise BatchMalformed for a description that fits no group."""
        strings = [self.group, self.backend, self.secret, self.store]
        strings += [text for peer in self.peers for text in (peer.device, peer.address, peer.incarnation)]
        fits = (
            all(isinstance(text, str) and len(text) <= 1024 for text in strings)
            and all(type(number) is int for number in (self.epoch, self.rank))
            and isinstance(self.seconds, int | float)
            and 0 < self.seconds <= 3600
            and 0 <= self.rank < len(self.peers) <= MAX_SIZE
            and len(self.secret) >= 32
        )
        if not fits:
            raise BatchMalformed(
                f"a group of 1 to {MAX_SIZE} members has a rank among them and a secret; got {self!r:.200}"
            )
