"""Rows W1 to W7 and R: steps made by `gradwire.compile`, against PyTorch, other frameworks and the worker in process."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.children import peer
from benchmarks.record import Goal, Record, Row, Settings
from benchmarks.workloads import WORKLOADS, contest

__all__ = ["ROWS"]

_ALL = ("compiled", "compiled in process", "eager", "torch")
_REACH = "compiled remote / PyTorch"


def _row(limits: dict[str, float | None], framework: str = "", module: str = "", limit: float | None = None) -> Row:
    """Return a row over workloads, each with the ratio to PyTorch to reach; and a peer for the first of them."""
    several = len(limits) > 1
    goals = [Goal(f"{name}: {_REACH}" if several else _REACH, reach) for name, reach in limits.items()]
    if framework:
        goals.append(Goal(f"compiled remote / {framework}", limit))

    def run(settings: Settings) -> Record:
        record = Record()
        child, version = peer(framework, module) if framework else (None, "")
        for goal, name in zip(goals, limits, strict=False):
            peers: dict[str, Callable[[], object]] = {version: child.ask} if child is not None else {}
            found = contest(settings.worker, name, _ALL, peers)
            record.lines += found.lines
            record.notes.append(found.note)
            record.reached[goal.what] = found.ratio("compiled", "torch")
            if framework:
                record.reached[goals[-1].what] = found.ratio("compiled", version)
        if child is not None:
            child.close()
        elif framework:
            record.notes.append(f"{version}.")
        return record

    return Row("; ".join(WORKLOADS[name].about for name in limits) + "; compiled", tuple(goals), run)


_R_GOALS = {"lenet": Goal("a step over 3 ms", 1.05), "small mlp": Goal("a step of about 0.1 ms", 1.5)}


def _remote_against_in_process(settings: Settings) -> Record:
    record = Record()
    for name, goal in _R_GOALS.items():
        found = contest(settings.worker, name, ("compiled", "compiled in process"))
        record.lines += found.lines
        record.notes.append(found.note)
        record.reached[goal.what] = found.ratio("compiled", "compiled in process")
    return record


ROWS = {
    "W1": _row({"mlp": 0.55}, "JAX", "jax_mlp", 1.2),
    "W2": _row({"small mlp": 0.5}),
    "W3": _row({"lenet": 1.0}),
    "W4": _row({"gpt": 0.65}, "TensorFlow", "tensorflow_gpt", 1.0),
    "W5": _row({"pointwise": 0.25}),
    "W6": _row({"lstm": 1.0, "lstm cells": 0.5}),
    "W7": _row({"resnet": 1.5}),
    "R": Row("a compiled step with a remote worker / in process", tuple(_R_GOALS.values()), _remote_against_in_process),
}
