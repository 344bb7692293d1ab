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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from gradwire_protocol import codec, limits
from gradwire_protocol.errors import (
    BatchMalformed,
    HandleNotFound,
    LimitExceeded,
    QuotaExceeded,
    SessionExpired,
    VersionMismatch,
    WorkerDraining,
)
from gradwire_protocol.registry import table_digest
from gradwire_protocol.v1 import admin_pb2_grpc, checkpoint_pb2_grpc, failure_pb2, worker_pb2, worker_pb2_grpc
from gradwire_server import own_queue
from gradwire_server.admin import AdminService
from gradwire_server.backend import Backend
from gradwire_server.bulk import BulkPlane
from gradwire_server.checkpoints import CheckpointService
from gradwire_server.doors.doorkeeper import Doorkeeper, Registering, open_doors
from gradwire_server.doors.quiet import Quiet
from gradwire_server.doors.tls import server_credentials
from gradwire_server.lane import Lane
from gradwire_server.leases import Leases
from gradwire_server.opened import Opened
from gradwire_server.peers.plane import PeerPlane
from gradwire_server.programs.shared import SharedPrograms
from gradwire_server.quotas import Tenant
from gradwire_server.session import Session
from gradwire_server.settings import Settings
from gradwire_server.stores import Places
from gradwire_server.tally import Totals
from gradwire_server.visits import Visits

__all__ = ["WorkerServer"]

log = logging.getLogger("gradwire.worker")

# Of each session: its calls, its uploads, its downloads; and once more, for those of a connection that is gone, which end when
# keepalive notices. Threads are made when they are needed.
_SESSION_THREADS = 6
# For what is short or no session's: health checks, refusals, offers of shared memory.
_SPARE_THREADS = 16
# Other workers that wait for a copy, or to meet: as many as `peers.offers` and `collectives.store` let wait.
_PEER_THREADS = 128

_WATCH_SECONDS = 0.25
_LEASE_CHECK_SECONDS = 0.5
# Of draining: how long nothing must have run for the worker to stop, and what is left for the last batch.
_QUIET_SECONDS = 1.0
_FINISH_SECONDS = 2.0

# Of the lane, which calls a session that waits within fractions of one: a worker that calls none for so long hangs.
_STILL_SECONDS = 5.0


class WorkerService(worker_pb2_grpc.WorkerServicer):
    """The control plane: `worker.proto`."""

    def __init__(self, backend: Backend, settings: Settings, doors: Doorkeeper, stop: Callable[[], object]) -> None:
        """Serve sessions on `backend` to those whom `doors` lets in; `stop` ends the process in good order."""
        self._doors = doors
        self.backend = backend
        self.lane = Lane()
        self._stop = stop
        self._leases = Leases(settings.lease_seconds, time.monotonic)
        self._visits = Visits()
        self.settings = settings
        self.incarnation = secrets.token_hex(8)
        self.draining = False
        # A tenant's sessions share programs; between tenants even the time that one saves would tell what the other runs.
        self._programs: defaultdict[str, SharedPrograms] = defaultdict(SharedPrograms)
        self._tenants: defaultdict[str, Tenant] = defaultdict(lambda: Tenant(settings.quotas))
        self._sessions: dict[bytes, Opened] = {}
        self._totals = Totals()  # of the sessions that are over
        self._lock = threading.Lock()

    def Run(self, frames: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        """Serve a session for as long as this stream lives, and is the session's."""
        hello = next(frames, None)
        if hello is None:
            return
        refusal, opened = self._open(hello, context)
        if opened is None:
            yield worker_pb2.WorkerFrame(refused=refusal)
            return
        token, stream = opened.session.token, opened.attach(context.cancel)
        self._leases.taken(token)

        def look() -> None:
            # A batch that waits for an upload would wait on for a client that is gone, which nobody else sees.
            if not context.is_active():
                self._left(opened, stream)

        try:
            yield worker_pb2.WorkerFrame(welcome=self._welcome(opened.session))
            # Once per stream, which stays in this thread: entering it with each batch would cost as much as a kernel.
            with self.backend.active():
                for frame in frames:
                    if frame.WhichOneof("frame") == "end":
                        self._end(token)
                        return
                    ack = opened.apply(frame.batch, stream, look)
                    if ack is None:
                        return
                    yield worker_pb2.WorkerFrame(ack=ack)
        except grpc.RpcError as error:
            # grpcio keeps it with the call; by its traceback that would be this frame, and the session: a cycle.
            error.__traceback__ = None
        finally:
            self._left(opened, stream)

    def _left(self, opened: Opened, stream: int) -> None:
        """Begin the lease of a session if this stream, which is over, was its present one."""
        if opened.detach(stream) and opened.session.token in self._sessions:
            self._leases.left(opened.session.token)

    def _open(self, frame: Any, context: Any) -> tuple[failure_pb2.Failure | None, Opened | None]:
        """Return the session of a stream that begins with `frame`, or why there is none."""
        try:
            self._check_hello(frame)
            tenant, resume = self._doors.tenant(context), frame.hello.resume
            with self._lock:
                return None, self._resumed(resume, tenant) if resume else self._new(tenant)
        except Exception as error:
            log.info("session refused: %s", error)
            if isinstance(error, QuotaExceeded):
                self._totals.rejections[error.quota] += 1
            if isinstance(error, LimitExceeded):
                error.retry_after_seconds = self._visits.next_seconds()
            return codec.encode_failure(error), None

    def _new(self, tenant: str) -> Opened:
        if self.draining:
            raise WorkerDraining(
                "this worker is finishing its sessions and takes no new one; connect to another worker"
            )
        if len(self._sessions) >= self.settings.max_sessions:
            self._totals.rejections["sessions"] += 1
            raise LimitExceeded(
                f"this worker serves {self.settings.max_sessions} sessions (--max-sessions) and has that many, "
                f"{len(self._leases)} of them without a client; end one, or use another worker"
            )
        self._tenants[tenant].check_session()
        opened = Opened(self.backend, self.lane, self._programs[tenant], tenant, self._tenants[tenant])
        self._sessions[opened.session.token] = opened
        self._totals.sessions_opened += 1
        return opened

    def _resumed(self, token: bytes, tenant: str) -> Opened:
        opened = self._sessions.get(token)
        is_there = opened is not None and opened.tenant == tenant
        self._totals.resumes["resumed" if is_there else "expired"] += 1
        if opened is None or not is_there:
            raise SessionExpired(
                f"a session can be gone on with on its worker, for {self.settings.lease_seconds:g} s (--lease-seconds) after "
                "its connection was lost; this worker does not have it"
            )
        return opened

    def _end(self, token: bytes) -> None:
        """Forget a session with all that it holds."""
        with self._lock:
            opened = self._sessions.pop(token, None)
            if opened is not None:
                self._totals.keep(opened)
        self._leases.taken(token)
        if opened is not None:
            opened.close()
            log.info("session ended: %s", opened.session.statistics())

    def end_expired(self) -> None:
        """End the sessions that no client came back to in time."""
        for token in self._leases.expired():
            opened = self._sessions.get(token)
            if opened is not None and opened.has_stream:
                self._leases.taken(token)  # it came back while its last stream was still going
            else:
                self._totals.sessions_expired += 1
                self._end(token)

    def Heartbeat(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Say how far a session is, also while one of its batches runs. A worker whose batches wait for ever gives no answer."""
        still = self.lane.still_seconds()
        if still > _STILL_SECONDS:
            context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"batches that wait must get their turn within {_STILL_SECONDS:g} s; none did for {still:.0f} s: the worker hangs",
            )
        try:
            progress = self.find(request.token, context).progress()
        except Exception as error:
            return worker_pb2.HeartbeatReply(failure=codec.encode_failure(error), draining=self.draining)
        return worker_pb2.HeartbeatReply(
            applied=progress.applied, running=progress.running, running_seconds=progress.running_seconds,
            draining=self.draining,
        )  # fmt: skip

    def Drain(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Begin what SIGTERM begins."""
        with self._lock:
            count = len(self._sessions)
        self._stop()
        return worker_pb2.DrainWorkerReply(sessions=count)

    def start_draining(self) -> None:
        """Take no new session, and tell the others with their next acknowledgements."""
        with self._lock:
            self.draining = True
            for opened in self._sessions.values():
                opened.is_draining = True

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

    def _welcome(self, session: Session) -> Any:
        return worker_pb2.Welcome(
            session=secrets.token_hex(8),
            token=session.token,
            incarnation=self.incarnation,
            device=self.backend.device,
            fingerprint=self.backend.fingerprint(),
            max_unacked_batches=limits.MAX_UNACKED_BATCHES,
            max_inline_bytes=limits.INLINE_BYTES,
            lease_seconds=self.settings.lease_seconds,
        )

    def is_quiet(self, seconds: float) -> bool:
        """Return whether no session has run a batch for so long."""
        with self._lock:
            return all(opened.is_quiet(seconds) for opened in self._sessions.values())

    def finish_batches(self, seconds: float) -> None:
        """Wait until no batch runs, and let none start after that."""
        deadline = time.monotonic() + seconds
        with self._lock:
            opened = list(self._sessions.values())
        for session in opened:
            if not session.finish(max(deadline - time.monotonic(), 0.1)):
                log.warning("a batch was still running when the time for draining was over")
                session.close()  # it may be one that waits for an upload

    def totals(self) -> Totals:
        """Return what all sessions did since the start, and what the open ones hold."""
        with self._lock:
            totals = self._totals.with_open(self._sessions.values())
        totals.longest_running_seconds = max(totals.longest_running_seconds, self.lane.still_seconds())
        return totals

    def open_sessions(self) -> list[Opened]:
        """Return the sessions that are open now, the oldest first."""
        with self._lock:
            return list(self._sessions.values())

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
    threads = _SESSION_THREADS * settings.max_sessions + _SPARE_THREADS + _PEER_THREADS
    if own_queue.available() and not settings.public_server:
        return own_queue.OwnQueueServer(threads, _OPTIONS, doors)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gradwire")
    return grpc.server(pool, interceptors=[doors, Quiet()], options=_OPTIONS)


class WorkerServer:
    """A gRPC server with the worker and `grpc.health.v1` on one address."""

    def __init__(self, backend: Backend, settings: Settings, stop: Callable[[], object]) -> None:
        """Bind the address; raise OSError if it cannot be had, ValueError for credentials that cannot be used.

        `stop` is what a client's request to drain calls.
        """
        self._settings = settings
        self._is_over = threading.Event()
        self._doors = open_doors(settings.tokens)
        self.service = WorkerService(backend, settings, self._doors, stop)
        self._server = _open_server(settings, self._doors)
        services: Any = Registering(self._server, self._doors)
        worker_pb2_grpc.add_WorkerServicer_to_server(self.service, services)
        admin_pb2_grpc.add_AdminServicer_to_server(AdminService(self.service), services)
        checkpoints = CheckpointService(self.service.find, Places(settings.checkpoint_urls))
        checkpoint_pb2_grpc.add_CheckpointServicer_to_server(checkpoints, services)
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
        threading.Thread(target=self._end_expired, name="gradwire-leases", daemon=True).start()

    def _end_expired(self) -> None:
        while not self._is_over.wait(_LEASE_CHECK_SECONDS):
            self.service.end_expired()

    def drain(self) -> None:
        """Take no new session, tell the others, and stop: once they are quiet, or when the drain time is over.

        Until then they may go on, so that a script that is told can save what it wants to keep.
        """
        self.service.start_draining()
        self._health.enter_graceful_shutdown()
        deadline = time.monotonic() + self._settings.drain_seconds
        while time.monotonic() < deadline - _FINISH_SECONDS and not self.service.is_quiet(_QUIET_SECONDS):
            time.sleep(0.05)
        self.service.finish_batches(max(deadline - time.monotonic(), 0.0))
        # Long enough for the last acknowledgements to leave; idle streams would otherwise hold the worker for ever.
        self._server.stop(0.5).wait()
        self._is_over.set()


_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a second worker on the address must fail, not share it
    ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # So that the threads of a client that vanished are free again.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
)
