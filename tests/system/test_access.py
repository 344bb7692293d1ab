"""Tokens and roles on real workers: every method that a descriptor knows, with every kind of credential."""

from __future__ import annotations

import pkgutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

import gradwire as gw
import gradwire_protocol.v1
from gradwire.errors import AccessDenied, NotAuthenticated
from gradwire.token_command import entry
from gradwire_protocol.access import declared_roles, may
from gradwire_protocol.limits import PROTOCOL_VERSION
from gradwire_protocol.registry import table_digest
from gradwire_protocol.v1 import bulk_pb2, worker_pb2
from tests.system.certificates import Authority
from tests.system.test_worker import Worker

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("own_session")]

GRANTS = (("gw_run", "a", "run", None), ("gw_other", "b", "run", None), ("gw_metrics", "a", "metrics", None),
          ("gw_admin", "a", "admin", None), ("gw_expired", "a", "admin", -1.0))  # fmt: skip
DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


@dataclass(frozen=True)
class Method:
    """A method of a descriptor, whoever serves it."""

    path: str
    role: str
    streams_in: bool
    streams_out: bool

    def call(self, channel: grpc.Channel, token: str | None, message: bytes = b"") -> tuple[grpc.StatusCode, Any]:
        """Return the status of a call, OK once a reply came, and that reply or what the status says."""
        name = f"{'stream' if self.streams_in else 'unary'}_{'stream' if self.streams_out else 'unary'}"
        method = getattr(channel, name)(self.path, request_serializer=None, response_deserializer=None)
        metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        try:
            answer = method(
                iter((message,) if message else ()) if self.streams_in else message, metadata=metadata, timeout=5
            )
            reply = next(answer, None) if self.streams_out else answer
            if self.streams_out:
                answer.cancel()
        except grpc.RpcError as error:
            status: Any = error
            return status.code(), status.details()
        return grpc.StatusCode.OK, reply


def all_methods() -> list[Method]:
    modules = [import_module(f"gradwire_protocol.v1.{found.name}")
               for found in pkgutil.iter_modules(gradwire_protocol.v1.__path__) if found.name.endswith("_pb2")]  # fmt: skip
    services = [s for m in (*modules, health_pb2) for s in m.DESCRIPTOR.services_by_name.values()]
    return [
        Method(path, role, method.client_streaming, method.server_streaming)
        for service in services
        for path, role in declared_roles(service.full_name).items()
        for method in (service.methods_by_name[path.rpartition("/")[2]],)
    ]


@pytest.fixture(scope="module", params=[[], ["--public-server"]], ids=["own queues", "grpcio's server"])
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    path.write_text("".join(entry(*grant) for grant in GRANTS))
    path.chmod(0o600)
    running = Worker(*request.param, "--tokens", str(path))
    yield running
    assert running.end() == 0


@pytest.fixture
def channel(worker: Worker) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(worker.address) as opened:
        yield opened


def test_the_walk_sees_the_methods_that_there_are() -> None:
    paths = {method.path for method in all_methods()}
    assert {"/gradwire.v1.Worker/Run", "/gradwire.v1.Bulk/Share", "/grpc.health.v1.Health/Check"} <= paths


@pytest.mark.parametrize("method", all_methods(), ids=lambda method: method.path)
def test_each_method_with_each_kind_of_credential(channel: grpc.Channel, method: Method) -> None:
    is_served = "/gradwire.v1.Pool/" not in method.path  # by the gateway
    needs_none = is_served and method.role in ("anyone", "secret")
    for token in (None, "gw_unknown", "gw_expired"):
        code, words = method.call(channel, token)
        if needs_none:
            assert code not in DENIED, (token, words)
        else:
            assert code is grpc.StatusCode.UNAUTHENTICATED, (token, words)
    for token, role in (("gw_run", "run"), ("gw_metrics", "metrics"), ("gw_admin", "admin")):
        if may(role, method.role) and method.path == "/gradwire.v1.Worker/Drain":
            continue  # it would end the worker of all these tests
        code, words = method.call(channel, token)
        if not is_served:
            assert code is grpc.StatusCode.UNIMPLEMENTED, (token, words)
        elif may(role, method.role):
            assert code not in DENIED, (token, words)
        else:
            assert code is grpc.StatusCode.PERMISSION_DENIED, (token, words)


def test_what_no_version_has_is_unimplemented_for_who_may_come_in_and_nothing_for_others(channel: grpc.Channel) -> None:
    method = Method("/gradwire.v1.Worker/Later", "", streams_in=False, streams_out=False)
    assert method.call(channel, None)[0] is grpc.StatusCode.UNAUTHENTICATED
    assert method.call(channel, "gw_run")[0] is grpc.StatusCode.UNIMPLEMENTED


def test_who_needs_no_token_cannot_use_up_the_worker(worker: Worker, channel: grpc.Channel) -> None:
    methods = {method.path: method for method in all_methods()}
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch", request_serializer=None, response_deserializer=None)
    fetch = channel.stream_stream("/gradwire.v1.Peer/Fetch", request_serializer=None, response_deserializer=None)
    never = threading.Event()
    streams = [watch(b"") for _ in range(30)] + [fetch(never.wait(60) for _ in range(1)) for _ in range(30)]
    codes = []
    for stream in streams[:30]:
        try:
            next(stream)
        except grpc.RpcError as error:
            status: Any = error
            codes.append(status.code())
    assert codes and set(codes) == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert methods["/grpc.health.v1.Health/Check"].call(channel, None)[0] is grpc.StatusCode.OK
    gw.connect(worker.address, token="gw_run")
    assert (gw.tensor(np.ones(100_000)).numpy() == 1).all()
    for stream in streams:
        stream.cancel()
    never.set()
    deadline = time.monotonic() + 10
    while methods["/grpc.health.v1.Health/Watch"].call(channel, None)[0] is not grpc.StatusCode.OK:
        assert time.monotonic() < deadline, "streams that ended make room"


def test_a_call_without_its_message_does_not_hold_the_worker() -> None:
    worker = Worker("--max-sessions", "1")  # so that it has few threads
    never = threading.Event()
    with grpc.insecure_channel(worker.address) as channel:
        check = channel.stream_unary(
            "/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None
        )
        calls = [check.future(never.wait(60) for _ in range(1)) for _ in range(25)]
        proper = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=None, response_deserializer=None
        )
        assert proper(b"", timeout=20)
        for call in calls:
            call.cancel()
        never.set()
    assert worker.end() == 0


def bulk_requests(token: bytes) -> dict[str, bytes]:
    header = bulk_pb2.UploadHeader(token=token, upload=1)
    header.meta.dtype = 1
    wanted = bulk_pb2.DownloadRequest.Wanted(token=token, handle=1)
    return {
        "Share": bulk_pb2.ShareRequest(token=token).SerializeToString(),
        "Upload": bulk_pb2.Part(header=header).SerializeToString(),
        "Download": bulk_pb2.DownloadRequest(wanted=wanted).SerializeToString(),
    }


def test_another_tenants_session_is_the_same_as_none(worker: Worker, channel: grpc.Channel) -> None:
    session = gw.connect(worker.address, token="gw_run")
    values = gw.tensor(np.arange(100_000))
    assert values.numpy()[-1] == 99_999
    mine, unknown = bulk_requests(session.welcome.token), bulk_requests(b"\0" * 16)
    for name, request in mine.items():
        method = next(found for found in all_methods() if found.path == f"/gradwire.v1.Bulk/{name}")
        foreign = method.call(channel, "gw_other", request)
        assert foreign == method.call(channel, "gw_other", unknown[name]), name
        assert b"HandleNotFound" in foreign[1] if isinstance(foreign[1], bytes) else "HandleNotFound" in foreign[1]
        assert foreign != method.call(channel, "gw_admin", request), "another token of the tenant opens it"


def test_another_tenants_session_cannot_be_resumed_or_asked(worker: Worker, channel: grpc.Channel) -> None:
    token = gw.connect(worker.address, token="gw_run").welcome.token
    assert gw.ones(3).tolist() == [1.0, 1.0, 1.0]
    methods = {method.path: method for method in all_methods()}
    run, beat = methods["/gradwire.v1.Worker/Run"], methods["/gradwire.v1.Worker/Heartbeat"]

    def answers(wanted: bytes, credential: str) -> tuple[Any, Any]:
        hello = worker_pb2.Hello(protocol_version=PROTOCOL_VERSION, op_table_digest=table_digest(), resume=wanted)
        resumed = run.call(channel, credential, worker_pb2.ClientFrame(hello=hello).SerializeToString())
        heard = beat.call(channel, credential, worker_pb2.HeartbeatRequest(token=wanted).SerializeToString())
        return worker_pb2.WorkerFrame.FromString(resumed[1]), worker_pb2.HeartbeatReply.FromString(heard[1])

    foreign, unknown = answers(token, "gw_other"), answers(b"\0" * 16, "gw_other")
    assert foreign == unknown
    assert (foreign[0].refused.error, foreign[1].failure.error) == ("SessionExpired", "HandleNotFound")
    assert (gw.ones(3) + 1).tolist() == [2.0, 2.0, 2.0], "and the session itself goes on"
    assert answers(token, "gw_admin")[0].WhichOneof("frame") == "welcome"


@pytest.mark.parametrize("public", [False, True], ids=["direct stream", "public stream"])
def test_the_client_tells_who_it_is_and_what_it_may(worker: Worker, public: bool) -> None:
    gw.connect(worker.address, token="gw_run", public_stream=public)
    assert (gw.ones(300_000).numpy() == 1).all()
    with pytest.raises(NotAuthenticated, match="the call has none; give connect"):
        gw.connect(worker.address, token="", public_stream=public)
    with pytest.raises(NotAuthenticated, match="does not know"):
        gw.connect(worker.address, token="gw_unknown", public_stream=public)
    with pytest.raises(NotAuthenticated, match="has expired"):
        gw.connect(worker.address, token="gw_expired", public_stream=public)
    with pytest.raises(AccessDenied, match="tokens of role run; this one has role metrics") as denied:
        gw.connect(worker.address, token="gw_metrics", public_stream=public)
    assert not isinstance(denied.value, NotAuthenticated)


def test_a_worker_beyond_loopback_starts_with_tls_and_tokens(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(entry("gw_run", "a", "run", 1))
    tokens.chmod(0o600)
    own = authority.issue("127.0.0.1", name="worker")
    worker = Worker(*own.as_flags(), "--tokens", str(tokens), listen="0.0.0.0:0")
    port = worker.address.rpartition(":")[2]
    gw.connect(f"127.0.0.1:{port}", tls_ca=authority.file, token="gw_run")
    assert gw.ones(3).tolist() == [1.0, 1.0, 1.0]
    gw.disconnect()
    with pytest.raises(NotAuthenticated):
        gw.connect(f"127.0.0.1:{port}", tls_ca=authority.file)
    assert worker.end() == 0


def test_a_removed_token_ends_its_session_and_a_new_one_is_let_in(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(entry("gw_old", "a", "run", None))
    tokens.chmod(0o600)
    worker = Worker("--tokens", str(tokens))
    gw.connect(worker.address, token="gw_old")
    assert gw.ones(3).tolist() == [1.0, 1.0, 1.0]
    tokens.write_text(entry("gw_new", "a", "run", None) + "\n")
    deadline = time.monotonic() + 10
    with pytest.raises(NotAuthenticated):  # its stream ends, and it may not come back
        while time.monotonic() < deadline:
            gw.ones(3).tolist()
    with pytest.raises(NotAuthenticated):
        gw.connect(worker.address, token="gw_old")
    gw.connect(worker.address, token="gw_new")
    assert gw.ones(3).tolist() == [1.0, 1.0, 1.0]
    gw.disconnect()
    assert worker.end() == 0
