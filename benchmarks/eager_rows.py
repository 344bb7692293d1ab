"""Rows E1 to E3 and G1: calls one by one, without programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradwire as gw
from benchmarks.children import Child
from benchmarks.floor import Floor
from benchmarks.measure import interleave
from benchmarks.record import Curve, Goal, Line, Record, Row, Settings
from benchmarks.worker import torch_on_one_thread
from benchmarks.workloads import contest
from gradwire.session import Session

__all__ = ["ROWS"]

# An exponent is fitted to noisy times; a hundredth or two above 1 is no growth.
_LINEAR = 1.05


def _sizes(largest: int) -> tuple[int, ...]:
    return tuple(10**digits for digits in range(2, 7) if 10**digits <= largest)


def _adds(start: Any, step: Any, count: int) -> Any:
    x = start
    for _ in range(count):
        x = x + step
    return x


def _then_wait(session: Session, run: Callable[[], Any]) -> Callable[[], None]:
    def both() -> None:
        run()
        session.wait()

    return both


def _tiny_adds(settings: Settings) -> Record:
    torch, session = torch_on_one_thread(), settings.worker.session()
    one, leaf = gw.ones(16), gw.ones(16, requires_grad=True)
    theirs, theirs_leaf = torch.ones(16), torch.ones(16, requires_grad=True)
    contestants = {
        "gradwire": _then_wait(session, lambda: _adds(one, one, 1000)),
        "gradwire, recorded for autograd": _then_wait(session, lambda: _adds(leaf, one, 1000)),
        "PyTorch": lambda: _adds(theirs, theirs, 1000),
        "PyTorch, recorded for autograd": lambda: _adds(theirs_leaf, theirs, 1000),
    }
    times = interleave(contestants, rounds=40)
    record = Record()
    for name, samples in times.items():
        other = times.get(name.replace("gradwire", "PyTorch"), samples)
        remark = f"{samples.over(other):.2f}x of PyTorch" if other is not samples else ""
        record.lines.append(Line(f"{name}, an add", samples.times(1e3), "us", remark))
    record.reached["an add"] = times["gradwire"].median * 1e3
    record.reached["recorded for autograd"] = times["gradwire, recorded for autograd"].median * 1e3
    sizes = _sizes(settings.largest)
    for what, start in (("adds and one wait", one), ("recorded adds and one wait", leaf)):
        values = []
        for size in sizes:
            run = _then_wait(session, lambda start=start, size=size: _adds(start, one, size))  # type: ignore[misc]
            values.append(interleave({"": run}, rounds=3 if size >= 10**5 else 10, warmup=1)[""].median * 1e3)
        record.curves.append(Curve(what, sizes, tuple(values), "ms"))
    record.reached["growth, exponent"] = max(curve.exponent for curve in record.curves)
    session.close()
    return record


def _item(settings: Settings) -> Record:
    session = settings.worker.session()
    x = gw.ones(())
    floor = Floor()
    message = b"x" * 60
    contestants: dict[str, Callable[[], object]] = {
        "gradwire, (x + x).item()": lambda: (x + x).item(),
        "bare ping-pong, 60 B, the same style of stream": lambda: floor.echo(message),
        "bare ping-pong, 60 B, grpcio's documented stream API": lambda: floor.echo_public(message),
    }
    times = interleave(contestants, rounds=2000, warmup=200)
    floor.close()
    session.close()
    ours, same, public = times.values()
    return Record(
        [Line(name, samples.times(1e6), "us") for name, samples in times.items()],
        {"op and .item() / ping-pong": ours.over(same), "op and .item()": ours.median * 1e6},
        notes=[f"{ours.over(public):.2f}x of the documented API's ping-pong."],
    )


def _eager_steps(settings: Settings) -> Record:
    record = Record()
    for name, goal in zip(("small mlp", "mlp"), _STEP_GOALS, strict=True):
        found = contest(settings.worker, name, ("eager", "eager in process", "torch"))
        record.lines += found.lines
        record.notes.append(found.note)
        record.reached[goal.what] = found.ratio("eager", "torch")
    return record


# -- a graph of many tiny nodes ----------------------------------------------------------------------------------------

_GRAPH_NODES = 10_000
_MEMORY_SIZES = (10_000, 30_000, 100_000)


def chain(leaf: Any, half: Any, count: int) -> Any:
    """Return a chain of `count` recorded nodes, additions and products in turn; values stay below 2."""
    x = leaf
    for _ in range(count // 2):
        x = (x + leaf) * half
    return x


def _there_and_back(framework: Any, count: int) -> Callable[[], None]:
    leaf, half = framework.ones(16, requires_grad=True), framework.full((16,), 0.5)

    def run() -> None:
        leaf.grad = None
        chain(leaf, half, count).sum().backward()

    return run


def _graph(settings: Settings) -> Record:
    torch, session = torch_on_one_thread(), settings.worker.session()

    def pair(count: int) -> dict[str, Callable[[], None]]:
        ours = _then_wait(session, _there_and_back(gw, count))
        return {"gradwire": ours, "PyTorch": _there_and_back(torch, count)}

    times = interleave(pair(_GRAPH_NODES), rounds=15)
    record = Record([Line(f"{name}, a node", s.times(1e6 / _GRAPH_NODES), "us") for name, s in times.items()])
    record.reached["gradwire / PyTorch"] = times["gradwire"].over(times["PyTorch"])
    sizes = _sizes(settings.largest)
    found = [interleave(pair(size), rounds=2 if size >= 10**5 else 8, warmup=1) for size in sizes]
    for name in times:
        values = tuple(one[name].median * 1e3 for one in found)
        record.curves.append(Curve(f"{name}, forward and backward through so many nodes", sizes, values, "ms"))
    record.reached["time, exponent"] = record.curves[0].exponent
    session.close()
    record.curves += _graph_memory()
    record.reached["memory, exponent"] = max(curve.exponent for curve in record.curves[-2:])
    return record


def _graph_memory() -> list[Curve]:
    """Return how the memory of client and worker grows with a graph, each size in fresh processes."""
    grown: dict[str, list[float]] = {"client": [], "worker": []}
    for size in _MEMORY_SIZES:
        child = Child("probes", "graph", str(size))
        for side, bytes_ in child.answer().items():
            grown[side].append(bytes_ / 2**20)
        child.close()
    return [
        Curve(f"{side}'s memory for a graph of so many nodes", _MEMORY_SIZES, tuple(v), "MiB")
        for side, v in grown.items()
    ]


_STEP_GOALS = (Goal("64-64-10 / PyTorch", 2.0), Goal("784-512-512-10 / PyTorch", 1.0))

ROWS = {
    "E1": Row(
        "1,000 tiny adds, eager, and one wait",
        (Goal("an add", 3, "us"), Goal("recorded for autograd", 5, "us"), Goal("growth, exponent", _LINEAR, "")),
        _tiny_adds,
    ),
    "E2": Row(
        "one op and .item()", (Goal("op and .item() / ping-pong", 1.15), Goal("op and .item()", 200, "us")), _item
    ),
    "E3": Row("a whole eager training step of two MLPs, loss not read", _STEP_GOALS, _eager_steps),
    "G1": Row(
        "forward and backward through 10,000 tiny nodes",
        (Goal("gradwire / PyTorch", 1.0), Goal("time, exponent", _LINEAR, ""), Goal("memory, exponent", _LINEAR, "")),
        _graph,
    ),
}
