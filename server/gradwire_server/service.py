"""The gRPC edge of a worker: streams to sessions. All state is in `session.Session`; large tensors are `bulk`'s.

Calls run in the handler thread of their own stream, so a message costs no second thread hop. The thread pool is sized for
every session with its two bulk streams, and health; one session more is refused at once instead of hanging in the pool's queue.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gradwire_protocol import codec, limits
from gradwire_protocol.errors import BatchMalformed, HandleNotFound, LimitExceeded, VersionMismatch, WorkerDraining
from gradwire_protocol.registry import table_digest
from gradwire_protocol.v1 import failure_pb2, worker_pb2, worker_pb2_grpc
from gradwire_server import own_queue
from gradwire_server.backend import Backend
from gradwire_server.bulk import BulkPlane
from gradwire_server.doors.doorkeeper import Doorkeeper, Registering, open_doors
from gradwire_server.doors.quiet import Quiet
from gradwire_server.doors.tls import server_credentials
from gradwire_server.opened import Opened
from gradwire_server.peers.plane import PeerPlane
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.session import Session
from gradwire_server.settings import Settings

__all__ = ["WorkerServer"]

log = logging.getLogger("gradwire.worker")

# Of each session: its calls, its uploads, its downloads. Threads are made when they are needed.
_SESSION_THREADS = 3
# For what is short or no session's: health checks, refusals, offers of shared memory.
_SPARE_THREADS = 16

_WATCH_SECONDS = 0.25


class WorkerService(worker_pb2_grpc.WorkerServicer):
    """The control plane: `worker.proto`."""

    def __init__(self, backend: Backend, settings: Settings, doors: Doorkeeper) -> None:
        """Serve sessions on `backend` to those whom `doors` lets in."""
        self._doors = doors
        self.backend = backend
        self.settings = settings
        self.incarnation = secrets.token_hex(8)
        self.draining = False
        # A tenant's sessions share programs; between tenants even the time that one saves would tell what the other runs.
        self._programs: defaultdict[str, SharedPrograms] = defaultdict(SharedPrograms)
        self._sessions: dict[bytes, Opened] = {}
        self._lock = threading.Lock()

    def Run(self, frames: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """Serve one session for as long as its stream lives."""
        hello = next(frames, None)
        if hello is None:
            return
        refusal, opened = self._open(hello, context)
        if opened is None:
            yield worker_pb2.WorkerFrame(refused=refusal)
            return
        try:
            yield worker_pb2.WorkerFrame(welcome=self._welcome(opened.session))
            # Once per stream, which stays in this thread: entering it with each batch would cost as much as a kernel.
            with self.backend.active():
                for frame in frames:
                    yield worker_pb2.WorkerFrame(ack=opened.apply(frame.batch))
        finally:
            with self._lock:
                del self._sessions[opened.session.token]
            opened.close()
            log.info("session ended: %s", opened.session.statistics())

    def _open(self, frame: Any, context: Any) -> tuple[failure_pb2.Failure | None, Opened | None]:
        try:
            self._check_hello(frame)
        except Exception as error:
            log.info("session refused: %s", error)
            return codec.encode_failure(error), None
        tenant = self._doors.tenant(context)
        opened = Opened(self.backend, self._programs[tenant], tenant)
        with self._lock:
            if len(self._sessions) >= self.settings.max_sessions:
                full = LimitExceeded(
                    f"this worker serves {self.settings.max_sessions} sessions (--max-sessions) and has that many; "
                    "end one, or use another worker"
                )
                return codec.encode_failure(full), None
            self._sessions[opened.session.token] = opened
        return None, opened

    def _check_hello(self, frame: Any) -> None:
        if frame.WhichOneof("frame") != "hello":
            raise BatchMalformed("a stream must begin with a hello; got a batch")
        hello = frame.hello
        if hello.protocol_version != limits.PROTOCOL_VERSION:
            raise VersionMismatch(
                f"this worker speaks protocol version {limits.PROTOCOL_VERSION}; the client ({hello.client}) speaks "
                f"{hello.protocol_version}; update the older side"
            )
        if hello.op_table_digest != table_digest():
            raise VersionMismatch(
                f"this worker's op table has digest {table_digest().hex()[:8]}; the client's ({hello.client}) has "
                f"{hello.op_table_digest.hex()[:8]}; install the same gradwire version on both sides"
            )
        if self.draining:
            raise WorkerDraining(
                "this worker is finishing its sessions and takes no new one; connect to another worker"
            )

    def _welcome(self, session: Session) -> Any:
        return worker_pb2.Welcome(
            session=secrets.token_hex(8),
            token=session.token,
            incarnation=self.incarnation,
            device=self.backend.device,
            fingerprint=self.backend.fingerprint(),
            max_unacked_batches=limits.MAX_UNACKED_BATCHES,
            max_inline_bytes=limits.INLINE_BYTES,
        )

    def finish_batches(self, seconds: float) -> None:
        """Wait until no batch runs, and let none start after that."""
        deadline = time.monotonic() + seconds
        with self._lock:
            opened = list(self._sessions.values())
        for session in opened:
            if not session.lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                log.warning("a batch was still running after %g s of draining", seconds)

    def find(self, token: bytes, context: Any) -> Opened:
        """Return the open session of a token, of the caller's tenant; raise the same HandleNotFound for any other one."""
        with self._lock:
            opened = self._sessions.get(token)
        if opened is None or opened.tenant != self._doors.tenant(context):
            raise HandleNotFound("a transfer needs the token of a session that is open on this worker; this one is not")
        return opened


class _PolledHealth(health.HealthServicer):
    """Health whose watchers look themselves, since nothing wakes a handler of `OwnQueueServer` from outside."""

    def Watch(self, request: Any, context: Any, send_response_callback: Any = None) -> Any:
        """Yield the status now and whenever it changes."""
        last = None
        while context.is_active():
            statuses: dict[str, int] = self._server_status  # type: ignore[attr-defined]
            status = statuses.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != last:
                last = status
                yield health_pb2.HealthCheckResponse(status=status)
            time.sleep(_WATCH_SECONDS)


def _open_server(settings: Settings, doors: Doorkeeper) -> Any:
    """Return the fastest server that this grpcio allows, before it has a port."""
    threads = _SESSION_THREADS * settings.max_sessions + _SPARE_THREADS
    if own_queue.available() and not settings.public_server:
        return own_queue.OwnQueueServer(threads, _OPTIONS, doors)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gradwire")
    return grpc.server(pool, interceptors=[doors, Quiet()], options=_OPTIONS)


class WorkerServer:
    """A gRPC server with the worker and `grpc.health.v1` on one address."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        """Bind the address; raise OSError if it cannot be had, ValueError for credentials that cannot be used."""
        self._settings = settings
        self._doors = open_doors(settings.tokens)
        self.service = WorkerService(backend, settings, self._doors)
        self._server = _open_server(settings, self._doors)
        services: Any = Registering(self._server, self._doors)
        worker_pb2_grpc.add_WorkerServicer_to_server(self.service, services)
        services.add_generic_rpc_handlers((BulkPlane(self.service.find).handler(),))
        services.add_generic_rpc_handlers((PeerPlane(self.service.incarnation).handler(),))
        self._health = _PolledHealth(experimental_non_blocking=False)  # else grpcio's server never iterates `Watch`
        health_pb2_grpc.add_HealthServicer_to_server(self._health, services)
        self.address = self._bind(settings.listen)

    def _bind(self, listen: str) -> str:
        settings = self._settings
        try:
            if settings.tls_certificate:
                doors = server_credentials(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
                port = self._server.add_secure_port(listen, doors)
            else:
                port = self._server.add_insecure_port(listen)
        except RuntimeError as error:
            raise OSError(f"a worker needs an address that is free; {listen} cannot be bound") from error
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Serve, and say so to health checks."""
        self._server.start()
        self._doors.watch()
        for name in ("", "gradwire.v1.Worker"):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def drain(self) -> None:
        """Take no new session, let running calls finish for up to the drain time, and stop."""
        self.service.draining = True
        self._health.enter_graceful_shutdown()
        self.service.finish_batches(self._settings.drain_seconds)
        # Long enough for the last acknowledgements to leave; idle streams would otherwise hold the worker for ever.
        self._server.stop(0.5).wait()


_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second worker on the address must fail, not share it
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)
