"""`gradwire run-program`: a saved program on a worker of its own, in a process that has none of the script's Python."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gradwire as gw
from gradwire import session as sessions
from tests.support import open_loopback

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def own_session() -> Iterator[None]:
    """Make a session with a worker in this process the current one."""
    previous = sessions._current
    sessions.use(open_loopback()[0])
    yield
    sessions._current = previous


def run_program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "gradwire", "run-program", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_training_step_goes_on_in_another_process(tmp_path: Path) -> None:
    net = gw.nn.Linear(3, 2)
    optimizer = gw.optim.Adam(net.parameters(), lr=0.1)

    @gw.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = gw.nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    batch = {"x": gw.randn(5, 3), "y": gw.randn(5, 2)}
    for _ in range(3):
        step(**batch)
        step(batch["x"], batch["y"])
    program, inputs = tmp_path / "step.gwp", tmp_path / "in.safetensors"
    outputs, values = tmp_path / "out.safetensors", tmp_path / "values.safetensors"
    step.save(program)
    gw.save(batch, inputs)
    done = run_program(program, "--inputs", inputs, "--outputs", outputs, "--values", values, "--times", 3)
    assert (done.returncode, done.stderr) == (0, "")
    for _ in range(3):
        loss = step(batch["x"], batch["y"])
    assert gw.load(outputs)["result"].tolist() == loss.tolist()
    held = [value.tolist() for value in gw.load(values).values()]
    assert all(parameter.tolist() in held for parameter in net.parameters())


def test_what_it_cannot_run_it_says(tmp_path: Path) -> None:
    gw.save({"x": gw.ones(2)}, tmp_path / "x.safetensors")
    done = run_program(tmp_path / "x.safetensors")
    assert done.returncode == 1
    assert "needs a program that a compiled function saved" in done.stderr
    done = run_program(tmp_path / "none.gwp")
    assert done.returncode == 1
    assert "No such file" in done.stderr
