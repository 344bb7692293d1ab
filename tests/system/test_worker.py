"""Worker processes as a user starts, asks, breaks and stops them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.session import Session
from gradwire.transport import DirectStream, GrpcConnection, PublicStream
from gradwire_protocol.v1 import worker_pb2

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("own_session")]


class Worker:
    """A worker process on a TCP port of its own."""

    def __init__(self, *flags: str, listen: str = "127.0.0.1:0") -> None:
        command = [sys.executable, "-m", "gradwire", "worker", "--listen", listen, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.address = line.rsplit(" ", 1)[-1].strip()

    def end(self) -> int:
        """Stop the process if it still runs; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.close()
        return self.process.returncode

    def close(self) -> None:
        """Wait for the end of the process, and close its pipes."""
        self.process.wait(timeout=30)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(params=["own queues", "grpcio's server"])
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A running worker, with either server."""
    running = Worker(*(["--public-server"] if request.param == "grpcio's server" else []))
    yield running
    running.process.kill()
    running.close()


def connect(worker: Worker, *, public: bool = False) -> Session:
    """Open a session that is not the current one."""
    return Session(GrpcConnection(worker.address, connect_seconds=10, public_stream=public))


TRAINING = """
import hashlib
import gradwire as gw
from gradwire import nn
gw.manual_seed(7)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
optimizer = gw.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
inputs, labels = gw.randn(32, 6), gw.randint(0, 3, (32,))
losses = []
for _ in range(20):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item().hex())
digest = hashlib.sha256()
for value in model.state_dict().values():
    digest.update(value.numpy().tobytes())
print(digest.hexdigest(), " ".join(losses))
"""


def run_training(**environment: str) -> str:
    """Run the training in a process of its own and return what it printed."""
    kept = {name: value for name, value in os.environ.items() if name != "GRADWIRE_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINING],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_tcp_worker_trains_the_same_weights_as_the_embedded_one(worker: Worker) -> None:
    embedded = run_training()
    assert embedded == run_training(GRADWIRE_ADDRESS=worker.address)
    assert len(set(embedded.split()[1:])) == 20, "the losses of a training differ from step to step"


def test_health_answers_from_grpc_health(worker: Worker) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gradwire", "health", worker.address], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "SERVING")


def test_health_of_nobody_is_an_error_that_says_what_to_do() -> None:
    command = [sys.executable, "-m", "gradwire", "health", "127.0.0.1:9", "--seconds", "0.5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "gradwire worker --listen 127.0.0.1:9" in done.stderr


def test_sigterm_lets_the_running_call_finish_and_exits_zero(worker: Worker) -> None:
    session = sessions.use(connect(worker))
    values = gw.ones(3000, 3000)
    session.wait()
    values.mm(values)
    session.flush()
    time.sleep(0.2)  # the product takes longer than this, and has begun
    worker.process.send_signal(signal.SIGTERM)
    session.wait()
    assert worker.process.wait(timeout=30) == 0
    with pytest.raises(gw.errors.WorkerUnreachable):
        gw.connect(worker.address, connect_seconds=0.3)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:7471"])
def test_a_worker_beyond_loopback_refuses_to_start(listen: str) -> None:
    command = [sys.executable, "-m", "gradwire", "worker", "--listen", listen]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "needs TLS and tokens" in done.stderr


def test_an_address_in_use_is_an_error(worker: Worker) -> None:
    command = [sys.executable, "-m", "gradwire", "worker", "--listen", worker.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cannot be bound" in done.stderr


def test_a_worker_on_a_unix_socket(tmp_path: Path) -> None:
    worker = Worker(listen=f"unix:{tmp_path / 'w.sock'}")
    gw.connect(worker.address)
    assert (gw.ones(3) * 2).tolist() == [2.0, 2.0, 2.0]
    gw.disconnect()
    assert worker.end() == 0


def test_nobody_at_the_address() -> None:
    with pytest.raises(gw.errors.WorkerUnreachable, match=r"gradwire worker --listen 127\.0\.0\.1:9"):
        gw.connect("127.0.0.1:9", connect_seconds=0.3)
    with pytest.raises(gw.errors.WorkerUnreachable, match="HOST:PORT or unix:PATH"):
        gw.connect("nonsense")


def test_a_worker_killed_mid_run_is_lost_and_says_so(worker: Worker) -> None:
    sessions.use(connect(worker))
    values = gw.ones(3)
    assert values.tolist() == [1.0, 1.0, 1.0]
    worker.process.kill()
    with pytest.raises(gw.errors.WorkerLost, match="restore what was last saved"):
        for _ in range(1000):
            values = values * 2
            values.tolist()
    with pytest.raises(gw.errors.WorkerLost):
        gw.zeros(3)


@pytest.mark.parametrize("field", ["protocol_version", "op_table_digest"])
def test_another_version_is_refused_with_what_does_not_match(worker: Worker, field: str) -> None:
    connection = GrpcConnection(worker.address, connect_seconds=10, public_stream=False)
    from gradwire_protocol.limits import PROTOCOL_VERSION
    from gradwire_protocol.registry import table_digest

    hello = worker_pb2.Hello(protocol_version=PROTOCOL_VERSION, op_table_digest=table_digest(), client="test")
    setattr(hello, field, 99 if field == "protocol_version" else b"other")
    connection.stream.send(worker_pb2.ClientFrame(hello=hello).SerializeToString())
    reply = worker_pb2.WorkerFrame.FromString(connection.stream.receive())
    assert reply.refused.error == "VersionMismatch"
    assert re.search("protocol version|op table", reply.refused.message)
    connection.close()


def test_one_session_too_many_is_refused_at_once() -> None:
    worker = Worker("--max-sessions", "1")
    first = connect(worker)
    with pytest.raises(gw.errors.LimitExceeded, match="--max-sessions") as refused:
        connect(worker)
    assert 0 < refused.value.retry_after_seconds < 1
    first.close()
    assert worker.end() == 0


def test_a_client_can_wait_until_there_is_room() -> None:
    worker = Worker("--max-sessions", "1")
    first = connect(worker)
    leaving = threading.Timer(1.0, first.close)
    leaving.start()
    second = gw.connect(worker.address, wait_seconds=30)
    assert not leaving.is_alive()
    assert gw.ones(2).tolist() == [1.0, 1.0]
    started = time.monotonic()
    with pytest.raises(gw.errors.LimitExceeded, match="--max-sessions"):
        gw.connect(worker.address, wait_seconds=0.2)
    assert time.monotonic() - started < 10
    second.close()
    assert worker.end() == 0


def test_sessions_do_not_see_each_other(worker: Worker) -> None:
    mine, other = connect(worker), connect(worker)
    sessions.use(mine)
    secret = gw.full((4,), 42.0)
    assert secret.tolist() == [42.0] * 4
    sessions.use(other)
    stolen = gw.zeros(4)
    stolen.tolist()
    stolen.handle, own = secret.handle + 1000, stolen.handle
    with pytest.raises(gw.errors.HandleNotFound):
        stolen.tolist()
    stolen.handle = own
    assert gw.empty(4).tolist() == [0.0] * 4
    mine.close()
    other.close()


@pytest.mark.parametrize("public", [False, True])
def test_both_streams_carry_the_same(worker: Worker, public: bool) -> None:
    session = connect(worker, public=public)
    assert isinstance(session._link._connection.stream, PublicStream if public else DirectStream)
    sessions.use(session)
    values = gw.arange(10.0)
    for _ in range(600):
        values = values + 1
    assert values.tolist() == [600.0 + i for i in range(10)]
    session.close()


def test_no_batch_is_lost_among_many_that_nothing_waits_for(worker: Worker) -> None:
    """A message that came while the worker waited to send was once overwritten by the next."""
    session = sessions.use(connect(worker))
    total = gw.zeros(4)
    for _ in range(600):
        total = total + 1
        session.flush()
    assert total.tolist() == [600.0] * 4
    session.close()


def test_large_tensors_travel_in_chunks(worker: Worker) -> None:
    import numpy as np

    sessions.use(connect(worker))
    values = np.random.default_rng(0).standard_normal((3, 1_000_003)).astype(np.float32)
    there = gw.from_numpy(values)
    assert (there.numpy() == values).all()
    assert ((there * 2).numpy() == values * 2).all()


def test_a_session_with_uploads_ends(worker: Worker) -> None:
    """The worker's last words on a stream lay unread, and gRPC held the stream's end back behind them."""
    session = sessions.use(connect(worker))
    for size in (100_000, 3_000_000):
        assert gw.from_numpy(np.ones(size, np.float32)).sum().item() == size
    session.close()
    assert session.is_closed


def test_odd_arrays_travel_whole(worker: Worker) -> None:
    import numpy as np

    sessions.use(connect(worker))
    base = np.arange(24, dtype=">i4").reshape(4, 6)
    for array in (
        base,
        base.T,
        base[::2, ::-1],
        base[:0],
        np.array(5, dtype="<i2"),
        np.array([[True], [False]]),
        base.astype(">f8"),
    ):
        there = gw.from_numpy(array)
        assert there.shape == array.shape
        assert there.tolist() == array.tolist()


def test_an_embedded_worker_ends_with_the_script() -> None:
    script = "import gradwire as gw; gw.ones(3).tolist(); print(gw.current_session()._embedded.process.pid)"
    environment = {name: value for name, value in os.environ.items() if name != "GRADWIRE_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_failure_that_nothing_waited_for_is_reported_at_exit() -> None:
    script = "import gradwire as gw; w = gw.ones(3); w.handle += 500; v = w * 2; w.handle -= 500"
    environment = {name: value for name, value in os.environ.items() if name != "GRADWIRE_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert "a call failed that nothing waited for" in done.stderr
