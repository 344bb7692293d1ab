"""Workers from a pool: leased at its gateway, renewed in the background, given back when their sessions are closed.

A lease says where the workers are; calls and tensors go to them directly.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import grpc

from gradwire.credentials import NOTHING, Credentials
from gradwire.transport import Connection, Stream, open_channel
from gradwire.workers import connect_all
from gradwire_protocol import codec
from gradwire_protocol.errors import AccessDenied, GradwireError, NotAuthenticated, WorkerLost, WorkerUnreachable
from gradwire_protocol.v1 import pool_pb2, pool_pb2_grpc

if TYPE_CHECKING:
    from gradwire.session import Session

__all__ = ["SCHEME", "Gateway", "Lent", "connect_lent", "gateway_address", "lease", "replace"]

# An address that begins so is a gateway's; without `workers` it stands for one worker.
SCHEME = "pool://"
# Beyond what a request itself waits for.
_CALL_SECONDS = 10.0
# Of a lease's time; two renewals may fail.
_RENEWALS = 3
_DENIALS = {
    grpc.StatusCode.UNAUTHENTICATED: NotAuthenticated,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
}


def gateway_address(address: str) -> str:
    """Return HOST:PORT of pool://HOST:PORT, and of HOST:PORT."""
    return address.removeprefix(SCHEME)


class Gateway:
    """A pool's gateway: one method for each request of `pool.proto`."""

    def __init__(self, address: str, connect_seconds: float = 10.0, credentials: Credentials = NOTHING) -> None:
        """Connect; raise WorkerUnreachable if nobody answers in time."""
        self.address = gateway_address(address)
        self._metadata = credentials.metadata
        try:
            self._channel = open_channel(self.address, connect_seconds, credentials)
        except WorkerUnreachable as error:
            raise WorkerUnreachable(
                f"the gateway of a pool must answer at {self.address}; start one with: gradwire pool up. [{error}]"
            ) from None
        self._stub = pool_pb2_grpc.PoolStub(self._channel)

    def ask(self, method: str, request: Any, seconds: float = 0.0) -> Any:
        """Return the reply to a request that may wait for `seconds`; raise what it refuses with."""
        call = getattr(self._stub, method)
        try:
            reply = call(request, timeout=seconds + _CALL_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code() in _DENIALS:
                words = f"the gateway at {self.address} must let the caller in: {error.details()}"
                raise _DENIALS[error.code()](words) from None
            raise WorkerUnreachable(
                f"the gateway at {self.address} must answer {method}; it did not ({error.code()}: {error.details()}). Is it a "
                "pool's? Ask with: gradwire pool status"
            ) from None
        if reply.HasField("failure"):
            raise codec.decode_failure(reply.failure)
        return reply

    def status(self) -> Any:
        """Return all workers and how many leases there are."""
        return self.ask("Status", pool_pb2.StatusRequest())

    def scale(self, workers: int) -> None:
        """Have the pool start or drain workers, so that it has that many."""
        self.ask("Scale", pool_pb2.ScaleRequest(workers=workers))

    def drain(self, worker: str = "") -> None:
        """Have a worker, or all, lent no more; each goes when its leases are over."""
        self.ask("Drain", pool_pb2.DrainRequest(worker=worker))

    def resolve(self, worker: str, after: int, seconds: float) -> Any:
        """Return where a worker is, once it serves as a later incarnation than `after`; raise WorkerLost if it does not."""
        request = pool_pb2.ResolveRequest(worker=worker, after=after, wait_seconds=seconds)
        return self.ask("Resolve", request, seconds).worker

    def create_group(self, group: str, workers: Sequence[str], lease: str) -> Any:
        """Form a group of leased workers, by rank, under a new epoch; the reply has its number and its secret."""
        return self.ask("CreateGroup", pool_pb2.CreateGroupRequest(group=group, workers=workers, lease=lease))

    def abort_group(self, group: str, formed: Any, reason: str, *, close: bool = False) -> None:
        """End an epoch that `create_group` returned; with `close` the group too."""
        self.ask(
            "AbortGroup",
            pool_pb2.AbortGroupRequest(
                group=group, epoch=formed.epoch, secret=formed.secret, reason=reason, close=close
            ),
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()


class Lent:
    """Workers on lease, in order. Renewed by a thread until released."""

    def __init__(self, gateway: Gateway, request: Any) -> None:
        """Lease; raise NoWorkerFree, which says what there is."""
        self.gateway = gateway
        reply = gateway.ask("Lease", request, request.wait_seconds)
        self.number: str = reply.lease
        self.workers: list[Any] = list(reply.workers)
        self._request = request
        self._seconds: float = reply.lease_seconds
        self._open = len(self.workers)
        self._over = threading.Event()
        # Opens a session with one of the workers, with the options that `connect` was given.
        self.open_one: Callable[[str], Session] | None = None
        threading.Thread(target=self._renew, name="gradwire-lease", daemon=True).start()

    def _renew(self) -> None:
        while not self._over.wait(self._seconds / _RENEWALS):
            # It may be restarting; the next one says all that it needs to know the lease again. Sessions go on meanwhile.
            with contextlib.suppress(GradwireError):
                self.renew()

    def renew(self) -> list[str]:
        """Prolong the lease now; return the workers whose process is not the one that was lent."""
        members = [pool_pb2.RenewRequest.Member(worker=w.name, incarnation=w.incarnation) for w in self.workers]
        asked = self._request
        request = pool_pb2.RenewRequest(
            lease=self.number,
            members=members,
            exclusive=asked.exclusive,
            memory_bytes=asked.memory_bytes,
            client=asked.client,
        )
        return list(self.gateway.ask("Renew", request).lost)

    def wrap(self, connection: Connection) -> Connection:
        """Return the connection to one of the workers as its session is to see it; one to any other worker as it is."""
        found = [worker for worker in self.workers if worker.address == connection.address]
        return _Named(connection, self, found[0]) if found else connection

    def replaced(self, name: str, seconds: float) -> str:
        """Wait for the process that replaces a lost worker's, take it into the lease, and return its address."""
        index = [w.name for w in self.workers].index(name)
        found = self.gateway.resolve(name, self.workers[index].incarnation, seconds)
        self.workers[index] = found
        self._open += 1
        return str(found.address)

    def closed_one(self) -> None:
        """Note that a worker's session is over; with the last one the lease ends."""
        self._open -= 1
        if self._open == 0:
            self.release()

    def release(self) -> None:
        """Give the workers back. Raises nothing: a lease that is not renewed ends by itself."""
        if self._over.is_set():
            return
        self._over.set()
        with contextlib.suppress(GradwireError):
            self.gateway.ask("Release", pool_pb2.ReleaseRequest(lease=self.number))
        self.gateway.close()

    def has_replaced(self, worker: Any) -> bool:
        """Return whether another process stands for a worker by now."""
        try:
            self.gateway.resolve(worker.name, worker.incarnation, 0.0)
        except (GradwireError, ValueError):
            return False
        return True

    def lost(self, worker: Any, error: WorkerLost) -> WorkerLost:
        """Return what to raise when a worker's stream broke: with its name, and where its replacement is, if there is one."""
        try:
            found = self.gateway.resolve(worker.name, worker.incarnation, 0.0)
            then = f"its replacement serves at {found.address} (incarnation {found.incarnation})"
        except (GradwireError, ValueError):
            then = "the pool is replacing it"
        return WorkerLost(
            f"{worker.name} of the pool at {self.gateway.address} must stay up while its tensors are in use; it was lost "
            f"(incarnation {worker.incarnation}), and {then}. Connect to the pool again, and restore what was last saved. "
            f"[{error}]"
        )


class _Named(Connection):
    """The connection to a leased worker. Its end may end the lease."""

    def __init__(self, connection: Connection, lent: Lent, worker: Any) -> None:
        self.address = connection.address
        self._connection, self._lent, self._worker = connection, lent, worker
        self._closed_one = lent.closed_one
        self._is_closed = False

    @property
    def stream(self) -> Stream:  # type: ignore[override]
        return self._connection.stream

    def bulk(self, token: bytes) -> Any:
        return self._connection.bulk(token)

    def reopen(self, seconds: float) -> None:
        self._connection.reopen(seconds)

    def heartbeat(self, token: bytes, seconds: float) -> None:
        self._connection.heartbeat(token, seconds)

    def is_gone(self) -> bool:
        return self._lent.has_replaced(self._worker)

    def lost(self, error: WorkerLost) -> WorkerLost:
        return self._lent.lost(self._worker, error)

    def close(self) -> None:
        self._connection.close()
        # A session may be closed twice: by the script, and at exit.
        if not self._is_closed:
            self._is_closed = True
            self._closed_one()


def lease(
    address: str,
    workers: int,
    *,
    device: str = "",
    memory_bytes: int = 0,
    exclusive: bool = False,
    seconds: float = 10.0,
    credentials: Credentials = NOTHING,
) -> Lent:
    """Lease workers at a gateway, waiting up to `seconds` for them to be there; raise NoWorkerFree, WorkerUnreachable."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"connect needs at least 1 worker; got workers={workers!r}")
    request = pool_pb2.LeaseRequest(
        workers=workers,
        device=device,
        memory_bytes=memory_bytes,
        exclusive=exclusive,
        wait_seconds=seconds,
        client=f"{socket.gethostname()}:{os.getpid()}",
    )
    gateway = Gateway(address, seconds, credentials)
    try:
        return Lent(gateway, request)
    except BaseException:
        gateway.close()
        raise


def connect_lent(
    address: Any,
    workers: int | None,
    needs: dict[str, Any],
    open_one: Callable[[str, Callable[[Connection], Connection]], Session],
    seconds: float,
    credentials: Credentials = NOTHING,
) -> Any:
    """Lease workers and open a session with each, as `gradwire.connect` does; give them back if one does not answer."""
    from gradwire.session import use

    if not isinstance(address, str):
        raise ValueError(
            f"connect(workers={workers}) needs the address of a pool's gateway, HOST:PORT; got {address!r}"
        )
    lent = lease(address, 1 if workers is None else workers, seconds=seconds, credentials=credentials, **needs)
    addresses = [worker.address for worker in lent.workers]
    lent.open_one = lambda one: open_one(one, lent.wrap)
    try:
        opened = [use(lent.open_one(addresses[0]))] if workers is None else connect_all(addresses, lent.open_one, use)
    except BaseException:
        lent.release()
        raise
    for session in opened:
        session.lent = lent
    return opened[0] if workers is None else opened


def replace(lost: Session, seconds: float = 30.0) -> Session:
    """Wait for the process that replaces a lost worker's, and open a session with it, for the same device and lease.

    Its tensors are new ones: those of `lost` stay lost. Raises WorkerLost if the worker was drained, or is not back in time.
    """
    from gradwire import session as sessions

    lent = lost.lent
    if lent is None or lent.open_one is None:
        raise ValueError(f"replace needs the session of a pool's worker; {lost.address} was not leased")
    name = next(w.name for w in lent.workers if w.address == lost.address)
    found = lent.open_one(lent.replaced(name, seconds))
    found.lent = lent
    lost.close()
    if lost.fleet is not None:
        lost.fleet.replace(lost, found)
    if sessions._current is lost:
        sessions.use(found)
    return found
