"""Checkpoints: whole or not there, checked to the bit, and enough to go on to the same bits."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import checkpoint, nn
from gradwire.errors import CheckpointError


def made() -> tuple[Any, Any, Any]:
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = gw.optim.Adam(
        [{"params": model[0].parameters(), "lr": 0.02}, {"params": model[3].parameters()}], lr=0.01
    )
    return model, optimizer, gw.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)


def train(model: Any, optimizer: Any, scheduler: Any, steps: range) -> list[float]:
    losses = []
    for step in steps:
        x = gw.tensor(np.random.default_rng(step).standard_normal((16, 6), np.float32))
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shard_bytes", [1 << 30, 200])
def test_a_training_goes_on_to_the_same_bits(tmp_path: Path, shard_bytes: int) -> None:
    gw.manual_seed(3)
    model, optimizer, scheduler = made()
    train(model, optimizer, scheduler, range(7))
    path = tmp_path / "run.ckpt"
    checkpoint.save(
        path, model=model, optimizer=optimizer, scheduler=scheduler, step=7, extra={"best": (float("inf"), [1, "a"])},
        shard_bytes=shard_bytes,
    )  # fmt: skip
    expected = train(model, optimizer, scheduler, range(7, 14))
    gw.manual_seed(99)
    model, optimizer, scheduler = made()
    found = checkpoint.load(path, model=model, optimizer=optimizer, scheduler=scheduler)
    assert (found.step, found.extra, dict(found.states)) == (7, {"best": (float("inf"), [1, "a"])}, {})
    assert train(model, optimizer, scheduler, range(7, 14)) == expected
    assert (len(os.listdir(tmp_path)) > 1) is (shard_bytes == 200)
    checkpoint.save(path, model=model, shard_bytes=1 << 30)
    assert os.listdir(tmp_path) == ["run.ckpt"], "the shards of the one before are gone"
    assert list(checkpoint.load(path).states) == ["model"]


def test_the_session_remembers_the_last_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.ckpt", extra=gw.ones(2), step=7)
    assert gw.current_session().last_checkpoint == (str(tmp_path / "a.ckpt"), 7)
    checkpoint.save(tmp_path / "b.ckpt", step=8)
    checkpoint.load(tmp_path / "a.ckpt")
    assert gw.current_session().last_checkpoint == (str(tmp_path / "a.ckpt"), 7)


def test_a_shared_tensor_is_written_once_and_shared_again(tmp_path: Path) -> None:
    x = gw.arange(4)
    checkpoint.save(tmp_path / "a", extra=[x, {"again": x}])
    first, second = checkpoint.load(tmp_path / "a").extra
    assert first is second["again"]
    assert first.tolist() == [0, 1, 2, 3]


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    model = nn.Linear(3, 2)
    checkpoint.save(path, model=model, step=5)
    content = path.read_bytes()
    chosen = random.Random(2)
    for place in chosen.sample(range(len(content)), min(len(content), 600)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            checkpoint.load(path, model=model)
    for end in (0, 7, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(CheckpointError):
            checkpoint.load(path, model=model)


def test_damaged_and_missing_shards_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, extra=[gw.ones(100), gw.zeros(100)], shard_bytes=400)
    first, second = sorted(found for found in os.listdir(tmp_path) if found != "a.ckpt")
    content = bytearray((tmp_path / first).read_bytes())
    content[-1] ^= 4
    (tmp_path / first).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"extra\.0 is not what was saved"):
        checkpoint.load(path)
    os.unlink(tmp_path / second)
    with pytest.raises(CheckpointError, match="needs its shard"):
        checkpoint.load(path)


def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, step=1)
    for extra, place in (
        ({"f": len}, "extra.f is a builtin"),
        ({(1, 2): 3}, "extra has"),
        ([set()], "extra.0 is a set"),
    ):
        with pytest.raises(TypeError, match=place):
            checkpoint.save(path, extra=extra)
    with pytest.raises(TypeError, match="model is a int"):
        checkpoint.save(path, model=3)
    assert checkpoint.load(path).step == 1
    with pytest.raises(CheckpointError, match=r"has the parts \(none\); it has no model"):
        checkpoint.load(path, model=nn.Linear(1, 1))
    gw.save({"x": gw.ones(1)}, str(tmp_path / "x.safetensors"))
    with pytest.raises(CheckpointError, match="of another kind"):
        checkpoint.load(tmp_path / "x.safetensors")
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "none")


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    checkpoint.save(path, step=1, extra=gw.ones(4))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        for shard_bytes in (1 << 30, 10_000):
            with pytest.raises(CheckpointError, match="what was there before is unchanged"):
                checkpoint.save(path, step=2, extra=[gw.ones(2000), gw.ones(9000)], shard_bytes=shard_bytes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoint.load(path).step == 1
    assert os.listdir(tmp_path) == ["a.ckpt"]


SAVING = """
import sys
import gradwire as gw
from gradwire import checkpoint
for step in range(1, 100_000):
    checkpoint.save(sys.argv[1], step=step, extra=[gw.full((500,), step), gw.full((700,), step)], shard_bytes=2000)
    print(step, flush=True)
"""


@pytest.mark.system
def test_a_kill_at_any_moment_leaves_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    chosen = random.Random(4)
    process = None
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", SAVING, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        last = int(process.stdout.readline())
        time.sleep(chosen.uniform(0.0, 0.2))
        process.kill()
        last = max([last, *(int(line) for line in process.stdout.read().split())])
        process.stdout.close()
        process.wait()
        found = checkpoint.load(path)
        assert found.step in (last, last + 1)
        assert all((part == found.step).all().item() for part in found.extra)
