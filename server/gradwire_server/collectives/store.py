"""The key-value stores by which groups meet: kept by the worker of their first member, asked by the others through gRPC."""

from __future__ import annotations

import threading
from typing import Any

from gradwire_protocol import codec
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.v1 import peer_pb2
from gradwire_server.peers import reach

__all__ = ["Kept", "Remote", "answer", "kept_of", "of_process"]

_MAX_KEYS = 65_536
_MAX_VALUE_BYTES = 1 << 20
_MAX_STORES = 256
# Under gRPC's own deadline, so that it is the store that says what is missing.
_SPARE_SECONDS = 5.0


class Kept:
    """A store in this process."""

    def __init__(self) -> None:
        """Start empty."""
        self._changed = threading.Condition()
        self._values: dict[str, bytes] = {}

    def set(self, key: str, value: bytes) -> None:
        """Set a key; raise LimitExceeded beyond what a meeting needs."""
        if len(value) > _MAX_VALUE_BYTES or len(self._values) >= _MAX_KEYS:
            raise LimitExceeded(
                f"a group's store holds {_MAX_KEYS} keys of {_MAX_VALUE_BYTES} bytes; got {len(value)} bytes more"
            )
        with self._changed:
            self._values[key] = value
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
            self._values[key] = str(value).encode()
            self._changed.notify_all()
            return value

    def has(self, keys: list[str]) -> bool:
        """Return whether all are set."""
        return all(key in self._values for key in keys)


of_process: dict[bytes, Kept] = {}
_lock = threading.Lock()


def kept_of(secret: bytes) -> Kept:
    """Return this process's store of a group and epoch, which their secret names; the oldest go when there are many."""
    with _lock:
        found = of_process.get(secret)
        if found is None:
            while len(of_process) >= _MAX_STORES:
                del of_process[next(iter(of_process))]
            found = of_process[secret] = Kept()
        return found


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
        reply = self._ask(peer_pb2.MeetRequest.GET, [key], seconds)
        if not reply.found:
            raise TimeoutError(f"a member of the group must set {key!r} within {seconds:g} s; none did")
        return reply.value

    def add(self, key: str, amount: int) -> int:
        """Add to a counter."""
        return int(self._ask(peer_pb2.MeetRequest.ADD, [key], self._seconds, amount=amount).amount)

    def has(self, keys: list[str]) -> bool:
        """Return whether all are set."""
        return bool(self._ask(peer_pb2.MeetRequest.HAS, keys, self._seconds).found)


def answer(request: peer_pb2.MeetRequest) -> peer_pb2.MeetReply:
    """Do what another member asks. Whoever knows the secret may: it has 128 bits, and names the store."""
    store, verbs = kept_of(request.secret), peer_pb2.MeetRequest
    try:
        if request.verb == verbs.SET:
            store.set(request.keys[0], request.value)
        elif request.verb == verbs.ADD:
            return peer_pb2.MeetReply(amount=store.add(request.keys[0], request.amount))
        elif request.verb == verbs.HAS:
            return peer_pb2.MeetReply(found=store.has(list(request.keys)))
        else:
            return peer_pb2.MeetReply(value=store.get(request.keys[0], min(request.wait_ms / 1000, 60)), found=True)
    except TimeoutError:
        return peer_pb2.MeetReply(found=False)
    except Exception as error:
        return peer_pb2.MeetReply(failure=codec.encode_failure(error))
    return peer_pb2.MeetReply()
