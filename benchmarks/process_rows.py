"""Rows C, S and M: many client processes on one worker, start and import, memory. All in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.children import Child
from benchmarks.measure import Samples, interleave, slope
from benchmarks.record import Curve, Goal, Line, Record, Row, Settings

__all__ = ["ROWS"]

_CLIENTS = (1, 4, 16, 64)
_CLIENT_SECONDS = 2.0


def _clients_in_words(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"


def _p99(count: int) -> str:
    return f"p99 of a step, {_clients_in_words(count)}"


def _clients(settings: Settings) -> Record:
    children = [Child("client", settings.worker.address) for _ in range(max(_CLIENTS))]
    for child in children:
        child.answer()
    rates: dict[int, list[float]] = {count: [] for count in _CLIENTS}
    taken: dict[int, list[float]] = {count: [] for count in _CLIENTS}
    for number in range(6):
        for count in _CLIENTS:
            steps = _together(children[:count])
            if number:
                rates[count].append(len(steps) / _CLIENT_SECONDS)
                taken[count] += steps
    for child in children:
        child.close()
    record = Record()
    for count in _CLIENTS:
        p50, p99 = np.percentile(taken[count], (50, 99)) * 1e3
        remark = f"a step and its wait: median {p50:.3g} ms, p99 {p99:.3g} ms"
        record.lines.append(
            Line(f"{_clients_in_words(count)}, all their steps", Samples(tuple(rates[count])), "steps/s", remark)
        )
        record.reached[_p99(count)] = float(p99)
    total = {count: Samples(tuple(rates[count])).median for count in _CLIENTS}
    record.reached["total rate, lowest / of one client"] = min(total.values()) / total[1]
    curve = Curve(
        "so many clients each do 1,000 steps", _CLIENTS, tuple(count * 1000 / total[count] for count in _CLIENTS), "s"
    )
    record.curves.append(curve)
    record.reached["growth, exponent"] = curve.exponent
    return record


def _together(children: list[Child]) -> list[float]:
    """Let clients run at the same time; return the seconds of every step of theirs."""
    for child in children:
        child.start(str(_CLIENT_SECONDS))
    return [seconds for child in children for seconds in child.answer()]


# -- start -------------------------------------------------------------------------------------------------------------

_START = {
    "gradwire": """
import time; began = time.perf_counter()
import gradwire; imported = time.perf_counter()
gradwire.ones(1).item(); print([imported - began, time.perf_counter() - imported])
""",
    "PyTorch": """
import time; began = time.perf_counter()
import torch; imported = time.perf_counter()
torch.ones(1).item(); print([imported - began, time.perf_counter() - imported])
""",
}


def _start(settings: Settings) -> Record:
    unlike_a_user = ("GRADWIRE_ADDRESS", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in unlike_a_user}
    seen: dict[str, list[list[float]]] = {name: [] for name in _START}

    def fresh(name: str) -> Callable[[], None]:
        def run() -> None:
            command = [sys.executable, "-c", _START[name]]
            output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
            seen[name].append(json.loads(output))

        return run

    # The first rounds read the files from disk; they count neither here nor below.
    times = interleave({name: fresh(name) for name in _START}, rounds=9, warmup=1)
    record = Record()
    for name, whole in times.items():
        imports, firsts = (Samples(values) for values in zip(*seen[name][1:], strict=True))
        first = f"{name}, first result" + (", which starts the embedded worker" if name == "gradwire" else "")
        record.lines += [
            Line(f"{name}, import", imports, "s"),
            Line(first, firsts, "s"),
            Line(f"{name}, whole process", whole, "s"),
        ]
    record.reached = {
        "start of the worker to first result": record.lines[1].samples.median,
        "import of the client": record.lines[0].samples.median,
    }
    return record


# -- memory ------------------------------------------------------------------------------------------------------------

_TENSORS = 100_000
_TENSOR_BYTES = 64


def _memory(settings: Settings) -> Record:
    record = Record()
    for probe, title in (("live", "a live tensor"), ("dropped", "a tensor made and dropped")):
        found: dict[str, list[float]] = {"client": [], "worker": []}
        for _ in range(3):
            child = Child("probes", probe, str(_TENSORS))
            for side, held in child.answer().items():
                found[side].append(slope(np.linspace(0, _TENSORS, len(held)), held))
            child.close()
        for side, slopes in found.items():
            own = _TENSOR_BYTES if side == "worker" and probe == "live" else 0
            samples = Samples(tuple(value - own for value in slopes))
            remark = f"beyond its {own} bytes" if own else ""
            record.lines.append(Line(f"{side}, {title}: slope of resident memory", samples, "B", remark))
            unit = 1024 if probe == "live" else 1
            record.reached[f"{side}, {title}"] = samples.median / unit
    return record


ROWS = {
    "C": Row(
        "1, 4, 16 and 64 client processes on one worker; a compiled step of about 1 ms and a wait for each",
        (
            Goal("total rate, lowest / of one client", 0.85, at_least=True),
            *(Goal(_p99(count), None, "ms") for count in _CLIENTS),
            Goal("growth, exponent", 1.05, ""),
        ),
        _clients,
    ),
    "S": Row(
        "from nothing to a first result, in fresh processes",
        (Goal("start of the worker to first result", 0.9, "s"), Goal("import of the client", 0.25, "s")),
        _start,
    ),
    "M": Row(
        f"memory per tensor: least-squares slope over {_TENSORS:,} tensors, in fresh processes",
        (
            Goal("client, a live tensor", 1, "KiB"), Goal("worker, a live tensor", 1.5, "KiB"),
            Goal("client, a tensor made and dropped", None, "B"), Goal("worker, a tensor made and dropped", None, "B"),
        ),
        _memory,
    ),
}  # fmt: skip
