"""Programs in files: what is loaded does what the function did, without its Python; bad files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import session as sessions
from gradwire.safetensors import read_safetensors, write_safetensors
from gradwire_protocol.errors import CheckpointError
from tests.support import open_loopback

nn, F = gw.nn, gw.nn.functional


@pytest.fixture(autouse=True)
def own_session(session: sessions.Session) -> None:
    """Make a session the current one."""


def trained() -> tuple[Any, Any, Any]:
    """Return a compiled training step that ran, its model, and a batch."""
    gw.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 4))
    opt = gw.optim.AdamW(net.parameters(), lr=0.01)

    @gw.compile
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        return {"loss": loss.detach(), "pair": (net[4].weight.t()[1:] * 2, "text", x)}

    batch = gw.randn(6, 8), gw.randint(0, 4, (6,))
    for _ in range(4):
        step(*batch)
    return step, net, batch


def test_training_goes_on_from_a_file(tmp_path: Path) -> None:
    step, net, (x, y) = trained()
    path = tmp_path / "step.gwp"
    step.save(path)
    gw.manual_seed(5)
    expected = [step(x, y) for _ in range(3)]
    weights = [p.tolist() for p in net.parameters()]
    inputs = x.numpy(), y.numpy()
    sessions.use(open_loopback()[0])
    loaded = gw.programs.load(path)
    gw.manual_seed(5)
    x, y = (gw.from_numpy(array) for array in inputs)
    for item in expected:
        got = loaded(x, y)
        assert got["loss"].tolist() == item["loss"].tolist()
        assert got["pair"][0].tolist() == item["pair"][0].tolist()
        assert got["pair"][1] == "text"
        assert got["pair"][2].tolist() == x.tolist()
    held = [value.tolist() for value in loaded.values.values()]
    assert all(weight in held for weight in weights)
    assert (loaded.numbers["lr"], loaded.numbers["step"]) == (0.01, 7)
    loaded.numbers["lr"] = 0.0
    loaded.numbers["weight_decay"] = 0.0
    loaded(x, y)
    assert [value.tolist() in held for value in loaded.values.values()].count(True) >= len(weights)


def test_kinds_of_arguments_and_refusals_of_others(tmp_path: Path) -> None:
    run = gw.compile(lambda x, scale=1.0, *, more=None: x * scale if more is None else x + more["by"])
    for _ in range(3):
        run(gw.ones(2), 3.0)
        run(gw.ones(2, 2))
        run(gw.ones(3), more={"by": gw.ones(3)})
    run.save(tmp_path / "kinds.gwp")
    loaded = gw.programs.load(tmp_path / "kinds.gwp")
    assert loaded(gw.ones(2), 3.0).tolist() == [3.0, 3.0]
    assert loaded(gw.ones(2, 2).t()).tolist() == [[1.0, 1.0]] * 2
    assert loaded(gw.ones(3), more={"by": gw.ones(3)}).tolist() == [2.0] * 3
    assert loaded.by_name({"x": gw.ones(2, 2)})["result"].tolist() == [[1.0, 1.0]] * 2
    for arguments, words in [
        ((gw.ones(2), 4.0), "scale is 4.0, and was 3.0"), ((gw.ones(5),), r"x must be float32\[2, 2\], and is float32\[5\]"),
        ((1, 2, 3), "none takes arguments of this structure"), ((7,), "x must be a tensor"),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError, match=words):
            loaded(*arguments)
    with pytest.raises(RuntimeError, match=r"they take .*'x'.*; got \['z'\]"):
        loaded.by_name({"z": gw.ones(1)})


def test_strides_and_gradients_in_files(tmp_path: Path) -> None:
    w, t = gw.ones(2, 3, requires_grad=True), gw.arange(6.0).view(3, 2).t()
    w.grad = gw.zeros(2, 3)

    def step() -> Any:
        (w * t).sum().backward()
        return w.grad * 1

    run = gw.compile(step)
    for _ in range(3):
        run()
    run.save(tmp_path / "step.gwp")
    expected = [run().tolist() for _ in range(2)]
    loaded = gw.programs.load(tmp_path / "step.gwp")
    assert [loaded().tolist() for _ in range(2)] == expected


def test_what_needs_python_cannot_be_saved(tmp_path: Path) -> None:
    w = gw.ones(2, requires_grad=True)
    cases = [
        (gw.optim.NAdam([w]), lambda o: None, "optimizer's Python"),
        (gw.optim.SGD([w], lr=0.1), lambda o: gw.optim.lr_scheduler.StepLR(o, 2), "a learning-rate schedule is Python"),
    ]
    for optimizer, schedule, words in cases:
        scheduler = schedule(optimizer)

        def step(optimizer: Any = optimizer, scheduler: Any = scheduler) -> None:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()

        run = gw.compile(step)
        with pytest.raises(RuntimeError, match="there must be a program"):
            run.save(tmp_path / "none.gwp")
        for _ in range(5):
            run()
        with pytest.raises(RuntimeError, match=words):
            run.save(tmp_path / "none.gwp")
    assert not list(tmp_path.iterdir())


def test_bad_files_are_refused(tmp_path: Path) -> None:
    step, *_ = trained()
    good = tmp_path / "good.gwp"
    step.save(good)
    arrays, metadata = read_safetensors(good)
    bad = tmp_path / "bad.gwp"

    def changed(change: Any) -> None:
        described = json.loads(metadata["gradwire"])
        copies = {name: array.copy() for name, array in arrays.items()}
        change(described, described["programs"][0], copies)
        write_safetensors(bad, copies, {"gradwire": json.dumps(described)})

    def put(key: str, value: Any) -> Any:
        return lambda described, program, copies: program.__setitem__(key, value)

    def pop(name: str) -> Any:
        return lambda described, program, copies: copies.pop(name)

    weight = next(name for name in arrays if "params" in name)
    changes: list[tuple[Any, str]] = [
        (lambda d, p, c: d.update(version=9), "it has version 9"),
        (lambda d, p, c: d.update(format="other"), "something else"),
        (lambda d, p, c: d.update(programs=[]), "no program"),
        (lambda d, p, c: c["program.0"].__setitem__(50, c["program.0"][50] ^ 1), "loading"),
        (lambda d, p, c: c.update({weight: np.zeros(3, "f4")}), "is no float32"),
        (pop(weight), "it lacks"), (pop("program.0"), "it lacks 'program.0'"),
        (put("inputs", []), "inputs"), (put("inputs", None), "loading"), (put("numbers", []), "numbers"),
        (put("result", None), "do not fit their structure"), (put("result", ["set", None, []]), "no structure"),
        (put("carried", [[0, 99]]), "what is carried"), (put("digest", "x"), "digest"), (put("results", [{}] * 4), "no result"),
        (put("results", [{"argument": 5}] * 4), "no result"), (put("arguments", [{"name": 1}]), "no argument"),
        (lambda d, p, c: p["numbers"][0].update(generator=7), "no generator"),
        (lambda d, p, c: p["inputs"][0].update(argument=-1), "an input is"),
    ]  # fmt: skip
    for change, words in changes:
        changed(change)
        with pytest.raises(CheckpointError, match=words):
            gw.programs.load(bad)
    bad.write_bytes(good.read_bytes()[:-9])
    with pytest.raises(CheckpointError):
        gw.programs.load(bad)
    write_safetensors(bad, {"x": np.zeros(2, "f4")})
    with pytest.raises(CheckpointError, match="a safetensors file without one"):
        gw.programs.load(bad)
