"""Checkpoints that the worker writes to URLs: a directory of its machine, and a server of Amazon's protocol."""

from __future__ import annotations

import os
import random
import re
import resource
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import gradwire as gw
from gradwire import checkpoint, nn
from gradwire import session as sessions
from gradwire.errors import AccessDenied, CheckpointError
from tests.system.relay import Relay
from tests.system.test_worker import Worker, connect

pytest.importorskip("fsspec", reason="workers reach URLs by gradwire[urls]")
pytestmark = pytest.mark.system

_KILLS = 5


class Place(NamedTuple):
    """What starts workers that may write below a URL; and what lies there, behind their backs."""

    start: Callable[[], Worker]
    url: str
    names: Callable[[], list[str]]
    read: Callable[[str], bytes]
    write: Callable[[str, bytes], object]


def directory(tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "runs"

    def names() -> list[str]:
        return sorted(os.listdir(root)) if root.exists() else []

    yield Place(
        lambda: Worker("--checkpoint-urls", f"file://{root}"), f"file://{root}/last", names,
        lambda name: (root / name).read_bytes(),
        lambda name, content: (root / name).write_bytes(content),
    )  # fmt: skip


def bucket(tmp_path: Path) -> Iterator[Place]:
    pytest.importorskip("moto", reason="the server of stores is in gradwire[stores]")
    import boto3

    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert server.stderr is not None
    endpoint = next(line.split()[-1] for line in server.stderr if "Running on" in line)
    threading.Thread(target=server.stderr.read, daemon=True).start()
    given = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="any", aws_secret_access_key="any", region_name="us-east-1"
    )
    client.create_bucket(Bucket="training")

    def start() -> Worker:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in {**given, "FSSPEC_S3_ENDPOINT_URL": endpoint}.items():
                environment.setenv(name, value)
            return Worker("--checkpoint-urls", "s3://training/runs")

    def names() -> list[str]:
        found = client.list_objects_v2(Bucket="training", Prefix="runs/").get("Contents", [])
        return sorted(each["Key"].removeprefix("runs/") for each in found)

    yield Place(
        start, "s3://training/runs/last", names,
        lambda name: client.get_object(Bucket="training", Key=f"runs/{name}")["Body"].read(),
        lambda name, content: client.put_object(Bucket="training", Key=f"runs/{name}", Body=content),
    )  # fmt: skip
    client.close()
    server.kill()
    server.wait()
    server.stderr.close()


@pytest.fixture(params=[directory, bucket], ids=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    previous, sessions._current = sessions._current, None
    yield from request.param(tmp_path)
    gw.disconnect()
    sessions._current = previous


@pytest.fixture
def worker(place: Place) -> Iterator[Worker]:
    started = place.start()
    yield started
    started.process.kill()
    started.close()


def made() -> tuple[Any, Any]:
    model = nn.Sequential(nn.Linear(300, 80), nn.Dropout(0.3), nn.BatchNorm1d(80), nn.Linear(80, 2))
    return model, gw.optim.Adam(model.parameters(), lr=0.01)


def train(model: Any, optimizer: Any, steps: range) -> list[float]:
    losses = []
    for step in steps:
        x = gw.tensor(np.random.default_rng(step).standard_normal((16, 300), np.float32))
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_training_goes_on_to_the_same_bits_and_nothing_passes_through_the_script(
    place: Place, worker: Worker
) -> None:
    session = gw.connect(worker.address)
    gw.manual_seed(3)
    model, optimizer = made()
    train(model, optimizer, range(5))
    before = session.statistics()
    for shard_bytes in (100_000, 1 << 30):
        checkpoint.save(
            place.url, model=model, optimizer=optimizer, step=5, extra=gw.arange(3), shard_bytes=shard_bytes
        )
        assert (len(place.names()) > 2) is (shard_bytes == 100_000), "what the save before wrote is gone"
    assert session.last_checkpoint == (place.url, 5)
    after = session.statistics()
    assert after.received_bytes - before.received_bytes < 20_000 < sum(len(place.read(name)) for name in place.names())
    expected = train(model, optimizer, range(5, 9))
    gw.disconnect()
    session = gw.connect(worker.address)
    gw.manual_seed(99)
    model, optimizer = made()
    before = session.statistics()
    found = checkpoint.load(place.url, model=model, optimizer=optimizer)
    assert (found.step, found.extra.tolist()) == (5, [0, 1, 2])
    assert session.statistics().sent_bytes - before.sent_bytes < 20_000
    assert train(model, optimizer, range(5, 9)) == expected


def test_damage_is_noticed_before_anything_is_changed(place: Place, worker: Worker) -> None:
    gw.connect(worker.address)
    model = nn.Linear(20, 20)
    checkpoint.save(place.url, model=model)
    index, shard = place.names()
    weights = model.weight.tolist()
    for name, at in [(index, -30), (index, 40), (shard, -1), (shard, -900), (shard, 60), (shard, 2)]:
        whole = place.read(name)
        flipped = bytearray(whole)
        flipped[at] ^= 4
        place.write(name, bytes(flipped))
        with pytest.raises(CheckpointError):
            checkpoint.load(place.url, model=model)
        place.write(name, whole[: len(whole) // 2])
        with pytest.raises(CheckpointError):
            checkpoint.load(place.url, model=model)
        place.write(name, whole)
    assert model.weight.tolist() == weights
    checkpoint.load(place.url, model=model)
    with pytest.raises(CheckpointError, match="needs what is not there"):
        checkpoint.load(place.url + "-none")


def test_a_worker_that_is_killed_leaves_the_last_good_one(place: Place) -> None:
    """Killed at any moment, of a save or between two: what is loaded is whole, and what was last said to be saved, or the next."""
    seed = secrets.randbelow(2**32)
    draw, saved = random.Random(seed), 0
    for _ in range(_KILLS):
        worker = place.start()
        try:
            gw.connect(worker.address, reconnect_seconds=0)
            if saved:
                saved = whole_step(place.url, saved)
            timer = threading.Timer(draw.uniform(0.1, 0.8), worker.process.kill)
            timer.start()
            with pytest.raises(gw.errors.WorkerLost, match=rf"{place.url}, of step \d+|no checkpoint"):
                while True:
                    parts = [gw.full((100_000,), saved + 1.0) for _ in range(8)]
                    checkpoint.save(place.url, extra=parts, step=saved + 1, shard_bytes=1_000_000)
                    saved += 1
            timer.join()
        except BaseException as error:
            error.add_note(f"seed {seed}, {saved} saved")
            raise
        finally:
            gw.disconnect()
            worker.process.kill()
            worker.close()
    assert saved > 3
    worker = place.start()
    gw.connect(worker.address)
    whole_step(place.url, saved)
    checkpoint.save(place.url, extra=gw.ones(3), step=1)
    assert len(place.names()) == 2, "what killed saves left is gone with the next"
    gw.disconnect()
    worker.end()


def whole_step(url: str, saved: int) -> int:
    """Load, and return the step, which all that is loaded must be of."""
    found = checkpoint.load(url)
    assert found.step in (saved, saved + 1)
    assert all((part == found.step).all().item() for part in found.extra)
    return found.step


def test_a_url_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    previous, sessions._current = sessions._current, None
    worker, closed = Worker("--checkpoint-urls", f"file://{root}/a"), Worker()
    try:
        gw.connect(worker.address)
        for url in (
            f"file://{root}/ab", f"file://{root}/a", f"file://{root}/a/", f"file://{root}/a/../b", f"file://{root}/a/.hidden",
            f"file://{root}/a/b//c", f"file://{root}/a/%2e%2e/b", f"file://{root}/a/b\nc", f"local://{root}/a/b", "memory://a/b",
            f"simplecache::file://{root}/a/b", f"file://{root}/a/b?c", f"file://{root}/a/*", "http://127.0.0.1:1/a/b", "://",
        ):  # fmt: skip
            for ask in (lambda url=url: checkpoint.save(url, extra=gw.ones(2)), lambda url=url: checkpoint.load(url)):
                with pytest.raises(AccessDenied, match="--checkpoint-urls"):
                    ask()
        assert not root.exists()
        checkpoint.save(f"file://{root}/a/b", extra=gw.ones(2))
        gw.connect(closed.address)
        with pytest.raises(AccessDenied, match="--checkpoint-urls"):
            checkpoint.load(f"file://{root}/a/b")
        assert checkpoint.load(root / "a" / "b").extra.tolist() == [1, 1], "they are the files of gradwire.checkpoint"
        checkpoint.save(root / "a" / "c", extra=gw.ones(3))
        sessions.use(connect(worker))
        assert checkpoint.load(f"file://{root}/a/c").extra.tolist() == [1, 1, 1]
    finally:
        gw.disconnect()
        sessions._current = previous
        for each in (worker, closed):
            each.process.kill()
            each.close()


def test_what_does_not_fit_is_an_error_and_leaves_the_last_good_one(tmp_path: Path) -> None:
    """A limit on the size of files stands for a disk that is full: the write fails in its middle."""
    root = tmp_path / "runs"
    previous, sessions._current = sessions._current, None
    worker = Worker("--checkpoint-urls", f"file://{root}")
    try:
        gw.connect(worker.address)
        checkpoint.save(f"file://{root}/last", extra=gw.ones(1000), step=1)
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        with pytest.raises(CheckpointError, match=r"said 'File too large'; what was there before is unchanged"):
            checkpoint.save(f"file://{root}/last", extra=gw.ones(200_000), step=2)
        assert checkpoint.load(f"file://{root}/last").step == 1
        checkpoint.save(f"file://{root}/last", extra=gw.ones(2000), step=3)
        assert len(os.listdir(root)) == 2
    finally:
        gw.disconnect()
        sessions._current = previous
        worker.process.kill()
        worker.close()


def test_a_prefix_that_is_no_url_keeps_the_worker_from_starting() -> None:
    for prefix, words in (("runs", "needs a URL"), ("none://a", "needs what reaches it|Protocol not known")):
        done = subprocess.run(
            [sys.executable, "-m", "gradwire", "worker", "--listen", "127.0.0.1:0", "--checkpoint-urls", prefix],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert done.returncode == 1
        assert re.search(words, done.stderr)


def test_a_save_whose_connection_is_cut_is_asked_for_again(place: Place, worker: Worker) -> None:
    draw = random.Random(4)
    relay = Relay(worker.address)
    gw.connect(relay.address)
    for step in range(12):
        relay.cut_after(draw.randrange(1, 600), draw.choice(["up", "down"]))
        checkpoint.save(place.url, extra=[gw.full((30_000,), float(step))], step=step)
        relay.cut_after(draw.randrange(1, 600), draw.choice(["up", "down"]))
        assert whole_step(place.url, step) == step
    assert relay.cuts >= 6
    relay.close()


def test_each_worker_of_a_script_writes_its_own(place: Place, worker: Worker) -> None:
    second = place.start()
    try:
        gw.connect([worker.address, second.address])
        values = {"first": gw.arange(20_000), "second": gw.arange(30_000).to("cpu:1")}
        checkpoint.save(place.url, extra=values)
        assert len(place.names()) == 3
        found = checkpoint.load(place.url).extra
        assert {name: len(tensor) for name, tensor in found.items()} == {"first": 20_000, "second": 30_000}
        assert all((tensor == gw.arange(len(tensor))).all().item() for tensor in found.values())
    finally:
        gw.disconnect()
        second.process.kill()
        second.close()
