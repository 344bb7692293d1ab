"""A profile of a script and a worker that are processes of their own, with clocks to join."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

TRAINING = """
import gradwire as gw
from gradwire import nn
model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
optimizer = gw.optim.SGD(model.parameters(), lr=0.1)
images, labels = gw.randn(32, 64), gw.randint(0, 10, (32,))
with gw.profile() as p:
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total = loss.item()
    [gw.ones(3) for _ in range(1000)]
total = p.summary
assert total.steps == 10 and total.calls > 1000
assert 0 < total.worker_seconds < total.wall_seconds
assert 0 < total.error_seconds < 0.01, total.error_seconds
for work in p.timeline.work:
    assert work.batch.began_ns <= work.began_ns + p.timeline.offset.error_ns
    assert work.ended_ns <= work.batch.received_ns + p.timeline.offset.error_ns
p.export("trace.json")
p.plot("profile.svg")
print(p)
"""

SCRIPT = """
import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule, tensorboard_trace_handler
model = torch.nn.Linear(16, 4)
with profile(
    activities=[ProfilerActivity.CPU], schedule=schedule(wait=1, warmup=1, active=2, repeat=1), record_shapes=True,
    on_trace_ready=tensorboard_trace_handler("log"),
) as prof:
    for _ in range(5):
        with record_function("forward"), torch.autograd.profiler.record_function("inner"):
            loss = model(torch.randn(8, 16)).sum()
        loss.backward()
        prof.step()
print(prof.key_averages(group_by_input_shape=True).table(sort_by="cpu_time_total", row_limit=20))
"""


def run(*arguments: str, folder: Path) -> str:
    """Run Python in a folder and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_finds_the_line_that_waits(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING)
    said = run("train.py", folder=tmp_path)
    assert "train.py:13 reads loss.item() every step: " in said
    assert "train.py:11" in said
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert (tmp_path / "profile.svg").read_text().startswith("<svg")


def test_a_script_that_uses_pytorch_s_profiler_runs(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    table = run("-m", "gradwire", "run", "script.py", folder=tmp_path)
    assert re.search(r" forward .*us +2 +\[\]\n", table)
    assert re.search(r" inner .*us +2 +\[\]\n", table)
    assert "[[4], [8, 16], [16, 4]]" in table
    (trace,) = (tmp_path / "log").iterdir()
    names = {event["name"] for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"ProfilerStep#2", "ProfilerStep#3", "forward"} <= names
