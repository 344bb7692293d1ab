"""The key-value stores by which groups meet: kept by the worker of their first member, asked by the others through gRPC."""

from __future__ import annotations

import threading
from typing import Any

from gradwire_protocol import codec
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.v1 import peer_pb2
from gradwire_server.peers import reach

__all__ = ["Kept", "Remote", "Stores", "answer", "of_process"]

# gloo's addresses are some hundred bytes a pair of members; an NCCL id has 128.
_MAX_STORE_BYTES = 16 << 20
_MAX_STORES = 256
# Requests that may wait at once for a store: each holds a thread of the server's, and needs no token.
_MAX_WAITING = 64
_MAX_WAIT_SECONDS = 60.0
# Under gRPC's own deadline, so that it is the store that says what is missing.
_SPARE_SECONDS = 5.0


class Kept:
    """A store in this process."""

    def __init__(self) -> None:
        """Start empty."""
        self._changed = threading.Condition()
        self._values: dict[str, bytes] = {}
        self._used_bytes = 0

    def set(self, key: str, value: bytes) -> None:
        """Set a key; raise LimitExceeded beyond what a meeting needs."""
        with self._changed:
            self._put(key, value)

    def _put(self, key: str, value: bytes) -> None:
        used = self._used_bytes + len(key) + len(value) - len(self._values.get(key, b""))
        if used > _MAX_STORE_BYTES:
            raise LimitExceeded(
                f"a group's store holds {_MAX_STORE_BYTES} bytes; got {len(value)} more for {used} in all"
            )
        self._values[key], self._used_bytes = value, used
        self._changed.notify_all()

    def get(self, key: str, seconds: float) -> bytes:
        """Wait for a key; raise TimeoutError if nobody sets it."""
        with self._changed:
            if not self._changed.wait_for(lambda: key in self._values, seconds):
                raise TimeoutError(f"a member of the group must set {key!r} within {seconds:g} s; none did")
            return self._values[key]

    def add(self, key: str, amount: int) -> int:
        """Add to a counter that starts at 0."""
        with self._changed:
            value = int(self._values.get(key, b"0")) + amount
            self._put(key, str(value).encode())
            return value

    def has(self, keys: list[str]) -> bool:
        """Return whether all are set."""
        return all(key in self._values for key in keys)


class Stores:
    """The stores of this process, each under the secret of a group and epoch. Only a member here opens one."""

    def __init__(self) -> None:
        """Start with none."""
        self._changed = threading.Condition()
        self._opened: dict[bytes, Kept] = {}
        self._waiting = 0

    def open(self, secret: bytes) -> Kept:
        """Return a store for a member in this process; the oldest goes when there are many."""
        with self._changed:
            found = self._opened.get(secret)
            if found is None:
                while len(self._opened) >= _MAX_STORES:
                    del self._opened[next(iter(self._opened))]
                found = self._opened[secret] = Kept()
                self._changed.notify_all()
            return found

    def find(self, secret: bytes, seconds: float) -> Kept:
        """Return a store for another worker, which may ask before the member here came to open it; raise TimeoutError."""
        with self._changed:
            if self._waiting >= _MAX_WAITING:
                raise LimitExceeded(
                    f"a worker lets {_MAX_WAITING} members wait for their group at once; that many wait"
                )
            self._waiting += 1
            try:
                if not self._changed.wait_for(lambda: secret in self._opened, seconds):
                    raise TimeoutError(f"the first member of a group must come within {seconds:g} s; it did not")
                return self._opened[secret]
            finally:
                self._waiting -= 1


of_process = Stores()


class Remote:
    """A store in another worker."""

    def __init__(self, address: str, secret: bytes, seconds: float) -> None:
        """Ask the worker at an address."""
        self._address, self._secret, self._seconds = address, secret, seconds

    def _ask(self, verb: Any, keys: list[str], seconds: float, **fields: Any) -> peer_pb2.MeetReply:
        request = peer_pb2.MeetRequest(
            secret=self._secret, verb=verb, keys=keys, wait_ms=int(seconds * 1000), **fields
        ).SerializeToString()
        reply = peer_pb2.MeetReply.FromString(reach.ask(self._address, "Meet", request, seconds + _SPARE_SECONDS))
        if reply.HasField("failure"):
            raise codec.decode_failure(reply.failure)
        return reply

    def set(self, key: str, value: bytes) -> None:
        """Set a key."""
        self._ask(peer_pb2.MeetRequest.SET, [key], self._seconds, value=value)

    def get(self, key: str, seconds: float) -> bytes:
        """Wait for a key; raise TimeoutError if nobody sets it."""
        return self._ask(peer_pb2.MeetRequest.GET, [key], seconds).value

    def add(self, key: str, amount: int) -> int:
        """Add to a counter."""
        return int(self._ask(peer_pb2.MeetRequest.ADD, [key], self._seconds, amount=amount).amount)

    def has(self, keys: list[str]) -> bool:
        """Return whether all are set."""
        return bool(self._ask(peer_pb2.MeetRequest.HAS, keys, self._seconds).found)


def answer(request: peer_pb2.MeetRequest) -> peer_pb2.MeetReply:
    """Do what another member asks. Whoever knows the secret may: it has 128 bits, and names the store."""
    verbs, seconds = peer_pb2.MeetRequest, min(request.wait_ms / 1000, _MAX_WAIT_SECONDS)
    try:
        store = of_process.find(request.secret, seconds)
        if request.verb == verbs.SET:
            store.set(request.keys[0], request.value)
        elif request.verb == verbs.ADD:
            return peer_pb2.MeetReply(amount=store.add(request.keys[0], request.amount))
        elif request.verb == verbs.HAS:
            return peer_pb2.MeetReply(found=store.has(list(request.keys)))
        else:
            return peer_pb2.MeetReply(value=store.get(request.keys[0], seconds), found=True)
    except Exception as error:
        return peer_pb2.MeetReply(failure=codec.encode_failure(error))
    return peer_pb2.MeetReply()
