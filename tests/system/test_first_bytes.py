"""A connection that is cut in its first bytes is made again; one that is refused without a word is soon an error."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradwire as gw
from gradwire_protocol.errors import WorkerUnreachable
from tests.system.certificates import Authority
from tests.system.relay import Relay
from tests.system.test_worker import Worker

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("own_session")]

# Of HTTP/2's preface, 24 bytes, and the settings after it; with TLS the same bytes are the hello's and the certificate's.
_CUTS = [("up", 1), ("up", 20), ("up", 40), ("up", 90), ("down", 1), ("down", 10), ("down", 30), ("down", 100)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module", params=["plain", "TLS"])
def served(request: pytest.FixtureRequest, authority: Authority) -> Iterator[tuple[Worker, dict[str, str]]]:
    """A worker, and what `connect` needs for it."""
    is_secure = request.param == "TLS"
    worker = Worker(*(authority.issue("127.0.0.1", name="own").as_flags() if is_secure else []))
    yield worker, {"tls_ca": authority.file} if is_secure else {}
    worker.process.kill()
    worker.close()


@pytest.mark.parametrize(("direction", "count"), _CUTS)
def test_a_first_connection_that_is_cut_is_made_again(
    served: tuple[Worker, dict[str, str]], direction: str, count: int
) -> None:
    worker, credentials = served
    relay = Relay(worker.address)
    try:
        relay.cut_after(count, direction)
        gw.connect(relay.address, connect_seconds=10, **credentials)
        assert gw.ones(3).sum().item() == 3.0
        assert relay.cuts == 1
        gw.disconnect()
    finally:
        relay.close()


class Closing:
    """A server that closes connections without a word: all, or with a `target` the first `count`, and forwards the others to it."""

    def __init__(self, count: int, target: str = "") -> None:
        self.closed = 0
        self._count, self._target = count, target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._target or self.closed < self._count:
                self.closed += 1
                client.recv(1)
                client.close()
                continue
            host, _, port = self._target.rpartition(":")
            worker = socket.create_connection((host, int(port)))
            for source, sink in ((client, worker), (worker, client)):
                threading.Thread(target=_forward, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def _forward(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # the other end went first


def test_one_that_breaks_twice_comes_about_too(served: tuple[Worker, dict[str, str]]) -> None:
    worker, credentials = served
    server = Closing(2, worker.address)
    try:
        gw.connect(server.address, connect_seconds=10, **credentials)
        assert gw.ones(3).sum().item() == 3.0
        assert server.closed == 2
        gw.disconnect()
    finally:
        server.close()


def test_a_server_that_closes_every_connection_is_tried_again_and_soon_an_error() -> None:
    server = Closing(0)
    began = time.monotonic()
    with pytest.raises(WorkerUnreachable, match="does it want TLS"):
        gw.connect(server.address, connect_seconds=60)
    assert 3 <= time.monotonic() - began < 20
    assert server.closed >= 3
    server.close()


def test_it_is_tried_no_longer_than_asked_for() -> None:
    server = Closing(0)
    began = time.monotonic()
    with pytest.raises(WorkerUnreachable, match="does it want TLS"):
        gw.connect(server.address, connect_seconds=0.6)
    assert time.monotonic() - began < 3
    server.close()


def test_a_wrong_certificate_is_an_error_at_once(authority: Authority, tmp_path: Path) -> None:
    worker = Worker(*authority.issue("127.0.0.1", name="own").as_flags())
    began = time.monotonic()
    with pytest.raises(WorkerUnreachable, match="was not signed by tls_ca"):
        gw.connect(worker.address, connect_seconds=60, tls_ca=Authority(tmp_path, "stranger").file)
    assert time.monotonic() - began < 3
    assert worker.end() == 0
