"""What a load test found: fairness, and two runs side by side. Pure: no process, no socket."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["ABUSERS", "comparison", "growth", "jain", "others", "quantile", "roles", "table"]

ABUSERS = ("flood", "never-reading", "malformed", "killed")
_IDLE_OF_A_PROCESS = 50
_MIB = 1 << 20
_ROW = "{:<16} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9}"


def roles(profile: str, clients: int, abusers: Sequence[str] = ABUSERS) -> list[str]:
    """Return the role of each client's process; in `abuse` the first do harm and the others train, `idle` ones share processes."""
    if profile == "idle":
        whole, rest = divmod(clients, _IDLE_OF_A_PROCESS)
        return [f"idle:{_IDLE_OF_A_PROCESS}"] * whole + [f"idle:{rest}"] * bool(rest)
    if profile != "abuse":
        return [profile] * clients
    if clients <= len(abusers):
        raise ValueError(
            f"the abuse profile needs clients beside its {len(abusers)} abusers; got {clients}; give --clients {len(abusers) + 4}"
        )
    return [*abusers, *["train"] * (clients - len(abusers))]


def jain(counts: Sequence[float]) -> float:
    """Return Jain's index of fairness: 1 where all got the same, 1/n where one got all; 0 where nobody got anything."""
    squares = sum(count * count for count in counts)
    return sum(counts) ** 2 / (len(counts) * squares) if squares else 0.0


def others(given: Sequence[str]) -> list[int]:
    """Return which clients are no abusers: those whose errors and fairness count."""
    return [index for index, role in enumerate(given) if role not in ABUSERS]


def table(run: Mapping[str, Any]) -> str:
    """Return a run's steps in lines."""
    lines = [_ROW.format("step", "count", "errors", "per s", "p50 ms", "p95 ms", "p99 ms")]
    for name, step in run["steps"].items():
        lines.append(
            _ROW.format(
                name,
                step["count"],
                step["errors"],
                f"{step['per_second']:.1f}",
                *(f"{step['milliseconds'][quantile]:.1f}" for quantile in ("p50", "p95", "p99")),
            )
        )
    lines.append(
        f"Jain index over {len(run['steps_of_clients'])} clients {run['jain']:.3f}, refusals {run['refusals']}"
    )
    if run["worker"]:
        lines.append(_memory(run["worker"]))
    return "\n".join(lines)


def _memory(samples: Sequence[Sequence[float]]) -> str:
    """Return a worker's memory in words."""
    (_, before, _), (_, after, _) = samples[0], samples[-1]
    most, per_minute = max(sample[2] for sample in samples), growth(samples) * 60
    return (
        f"worker's memory {before / _MIB:.1f} MiB before, {after / _MIB:.1f} MiB at the end, at most {most} sessions; in the "
        f"second half {per_minute / _MIB:+.2f} MiB a minute"
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of some numbers in order that such a share of them does not exceed; 0 where there are none."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else 0.0


def growth(samples: Sequence[Sequence[float]]) -> float:
    """Return how many bytes a second a worker's memory grew in the second half of its samples, by least squares."""
    late = samples[len(samples) // 2 :]
    middle = sum(at for at, _, _ in late) / len(late)
    mean = sum(held for _, held, _ in late) / len(late)
    spread = sum((at - middle) ** 2 for at, _, _ in late)
    return sum((at - middle) * (held - mean) for at, held, _ in late) / spread if spread else 0.0


def comparison(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Return two runs side by side, with the second's ratio to the first."""
    row = "{:<30} {:>12} {:>12} {:>7}"
    lines = [row.format("", "first", "second", "ratio")]
    for label, path in _compared(first, second):
        one, two = _value(first, path), _value(second, path)
        lines.append(row.format(label, f"{one:.2f}", f"{two:.2f}", f"{two / one:.2f}" if one else "-"))
    return "\n".join(lines)


def _compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in ("clients", "per_second", "errors", "jain")]
    for name in first["steps"]:
        if name in second["steps"]:
            found.append((f"{name} per second", ("steps", name, "per_second")))
            found += [(f"{name} {q} ms", ("steps", name, "milliseconds", q)) for q in ("p50", "p95", "p99")]
    return found


def _value(run: Mapping[str, Any], path: tuple[str, ...]) -> float:
    found: Any = run
    for name in path:
        found = found[name]
    return float(found)
