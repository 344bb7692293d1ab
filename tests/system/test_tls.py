"""TLS between real processes: what is let in, what is refused, with which words, and certificates renewed meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.errors import WorkerUnreachable
from gradwire.token_command import entry
from tests.system.certificates import Authority, Pair
from tests.system.test_worker import Worker

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("own_session")]

SERVERS = ([], ["--public-server"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def own(authority: Authority) -> Pair:
    return authority.issue("localhost", "127.0.0.1", name="worker")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.issue("someone@example.org", name="client")


@pytest.fixture(params=SERVERS, ids=["own queues", "grpcio's server"])
def server(request: pytest.FixtureRequest) -> list[str]:
    return list(request.param)


def works() -> None:
    """Use the calls and the bulk plane of the session, both ways."""
    values = np.arange(400_000, dtype=np.float32)
    assert ((gw.tensor(values) + 1).numpy() == values + 1).all()


@pytest.mark.parametrize("public", [False, True], ids=["direct stream", "public stream"])
@pytest.mark.parametrize("shared", ["1", "0"], ids=["shared memory", "chunks"])
def test_calls_bulk_and_health_by_tls(
    server: list[str], authority: Authority, own: Pair, public: bool, shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADWIRE_SHARED_MEMORY", shared)
    worker = Worker(*server, *own.as_flags())
    gw.connect(worker.address, tls_ca=authority.file, public_stream=public)
    works()
    command = [sys.executable, "-m", "gradwire", "health", worker.address]
    done = subprocess.run([*command, "--tls-ca", authority.file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "SERVING"), done.stderr
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "GRADWIRE_TLS_CA" in done.stderr
    gw.disconnect()
    assert worker.end() == 0


def test_client_certificates(
    server: list[str], authority: Authority, stranger: Authority, own: Pair, client: Pair
) -> None:
    worker = Worker(*server, *own.as_flags(), "--tls-client-ca", authority.file)
    gw.connect(worker.address, tls_ca=authority.file, **client.as_arguments())
    works()
    gw.disconnect()
    with pytest.raises(WorkerUnreachable, match="GRADWIRE_TLS_CERTIFICATE"):
        gw.connect(worker.address, tls_ca=authority.file)
    strange = stranger.issue("someone@example.org", name="client")
    with pytest.raises(WorkerUnreachable, match="--tls-client-ca must have signed it"):
        gw.connect(worker.address, tls_ca=authority.file, **strange.as_arguments())
    assert worker.end() == 0


def test_a_worker_that_is_not_the_one_meant(
    server: list[str], authority: Authority, stranger: Authority, own: Pair
) -> None:
    worker = Worker(*server, *own.as_flags())
    started = time.monotonic()
    with pytest.raises(WorkerUnreachable, match="was not signed by tls_ca"):
        gw.connect(worker.address, tls_ca=stranger.file)
    with pytest.raises(WorkerUnreachable, match="does it want TLS"):
        gw.connect(worker.address)
    assert time.monotonic() - started < 8, "what waiting does not help is said before the 10 s of a connection are over"
    assert worker.end() == 0
    worker = Worker(*server, *authority.issue("elsewhere.example", name="elsewhere").as_flags())
    with pytest.raises(WorkerUnreachable, match="is for another name"):
        gw.connect(worker.address, tls_ca=authority.file)
    assert worker.end() == 0
    worker = Worker(*server, *authority.issue("127.0.0.1", name="old", expired=True).as_flags())
    with pytest.raises(WorkerUnreachable, match="has expired"):
        gw.connect(worker.address, tls_ca=authority.file)
    assert worker.end() == 0
    worker = Worker(*server)
    with pytest.raises(WorkerUnreachable, match="speaks no TLS"):
        gw.connect(worker.address, tls_ca=authority.file)
    assert worker.end() == 0


def test_a_renewed_certificate_is_used_without_a_restart(
    server: list[str], authority: Authority, tmp_path: Path
) -> None:
    files = Pair(str(tmp_path / "w.crt"), str(tmp_path / "w.key"))

    def install(issued: Pair) -> None:
        for source, target in ((issued.certificate, files.certificate), (issued.key, files.key)):
            Path(target + ".new").write_bytes(Path(source).read_bytes())
            os.replace(target + ".new", target)
        time.sleep(1.1)  # files are looked at once a second

    install(authority.issue("127.0.0.1", name="first", expired=True))
    worker = Worker(*server, *files.as_flags())
    with pytest.raises(WorkerUnreachable, match="has expired"):
        gw.connect(worker.address, tls_ca=authority.file)
    install(authority.issue("127.0.0.1", name="second"))
    gw.connect(worker.address, tls_ca=authority.file)
    works()
    gw.disconnect()
    Path(files.key).write_text("half a key")
    time.sleep(1.1)
    gw.connect(worker.address, tls_ca=authority.file)  # the pair before it stays in force
    works()
    gw.disconnect()
    assert worker.end() == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tls-certificate", "none.crt"], "give both"),
        (["--tls-client-ca", "none.pem"], "which needs TLS"),
        (["--tls-certificate", "none.crt", "--tls-key", "none.key"], "need a PEM chain"),
    ],
)
def test_a_worker_that_cannot_use_its_files_does_not_start(flags: list[str], words: str) -> None:
    command = [sys.executable, "-m", "gradwire", "worker", "--listen", "127.0.0.1:0", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert words in done.stderr and "Traceback" not in done.stderr


def test_a_token_is_not_sent_in_plain_text_to_another_machine() -> None:
    with pytest.raises(WorkerUnreachable, match="by TLS only"):
        gw.connect("192.0.2.1:7471", token="gw_secret", connect_seconds=0.2)


def test_certificates_and_tokens_rotate_under_load(server: list[str], authority: Authority, tmp_path: Path) -> None:
    """A training goes on, and new clients come in, while both files are replaced again and again."""
    pairs = [authority.issue("127.0.0.1", name=f"rotated-{n}") for n in range(2)]
    files = Pair(str(tmp_path / "w.crt"), str(tmp_path / "w.key"))
    tokens = tmp_path / "tokens.toml"

    def install(number: int) -> None:
        issued, newest = pairs[number % 2], f"gw_{number}"
        kept = "".join(entry(token, "a", "run", 1) for token in ("gw_first", newest))
        for path, content in ((files.certificate, Path(issued.certificate).read_bytes()),
                              (files.key, Path(issued.key).read_bytes()), (str(tokens), kept.encode())):  # fmt: skip
            Path(path + ".new").write_bytes(content)
            os.chmod(path + ".new", 0o600)
            os.replace(path + ".new", path)

    install(0)
    worker = Worker(*server, *files.as_flags(), "--tokens", str(tokens))
    training = gw.connect(worker.address, tls_ca=authority.file, token="gw_first")
    total, steps, rotations = gw.zeros(3), 0, 3
    for number in range(1, rotations + 1):
        install(number)
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            total = total + 1
            steps += 1
            assert total.tolist() == [float(steps)] * 3
        other = gw.connect(worker.address, tls_ca=authority.file, token=f"gw_{number}")
        works()
        other.close()
        sessions.use(training)
    assert steps > 100
    gw.disconnect()
    assert worker.end() == 0
