"""Running a program several times in one call: data row by row, results of a step as inputs of the next, results stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradwire_protocol.program import Loop
from gradwire_server.programs.executable import Executable

__all__ = ["run_steps"]

Array = Any


def run_steps(
    executable: Executable, loop: Loop, inputs: Sequence[Array], numbers: Sequence[Any], xp: Any
) -> list[Array]:
    """Return the arrays that the loop wants; what is raised says in which step. `numbers` are those of `loop_signature`."""
    start, each = numbers[0], (len(numbers) - 1) // loop.steps
    given = list(inputs)
    rows = [(index, inputs[index], count) for index, count in enumerate(loop.rows) if count]
    carried = [(index, source - 1) for index, source in enumerate(loop.carried) if source]
    stacked = [(place, item >> 1) for place, item in enumerate(loop.wanted) if item & 1]
    results: list[Array] = [None] * len(loop.wanted)
    made: list[Array] = []
    for step in range(loop.steps):
        for index, data, count in rows:
            given[index] = data[(start + step) % count, ...]
        del made  # so that memory which leaves the program can be used again
        try:
            made = executable.run(given, numbers[1 + step * each : 1 + (step + 1) * each])
        except Exception as error:
            error.program_step = step + 1  # type: ignore[attr-defined]
            raise
        for index, output in carried:
            given[index] = made[output]
        for place, output in stacked:
            if step == 0:
                results[place] = xp.empty((loop.steps, *made[output].shape), made[output].dtype)
            results[place][step, ...] = made[output]
    return [made[item >> 1] if result is None else result for item, result in zip(loop.wanted, results, strict=True)]
