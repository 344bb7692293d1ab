"""How compiled functions ran during a profile: their counts before it taken from those after it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from gradwire.profiling.recorder import Called
from gradwire.programs.compiled import CompiledFunction, compiled_functions

__all__ = ["FunctionCost", "Marks", "name_of", "op_name", "program_names"]


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """A compiled function: how many calls ran a program, were recorded, or ran as ever; and why not a program, with counts."""

    name: str
    hits: int
    recordings: int
    eager_calls: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def calls(self) -> int:
        """Return how often it was called."""
        return self.hits + sum(count for _, count in self.reasons)


class Marks:
    """The counts of all compiled functions at one moment."""

    def __init__(self) -> None:
        """Look at the counts now."""
        self._counts = {
            id(function): (function.replays, function.recordings, function.reasons.copy())
            for function in compiled_functions
        }

    def since(self) -> tuple[FunctionCost, ...]:
        """Return what was counted since, the function that was called most first."""
        made = [self._cost(function) for function in compiled_functions]
        return tuple(sorted((cost for cost in made if cost.calls), key=lambda cost: (-cost.calls, cost.name)))

    def _cost(self, function: CompiledFunction) -> FunctionCost:
        replays, recordings, reasons = self._counts.get(id(function), (0, 0, Counter[str]()))
        why = function.reasons - reasons
        recorded = function.recordings - recordings
        return FunctionCost(
            name_of(function), function.replays - replays, recorded, why.total() - recorded, tuple(why.most_common())
        )


def name_of(function: CompiledFunction) -> str:
    """Return a compiled function's name, or its module's class."""
    return getattr(function.function, "__qualname__", type(function.function).__name__)


def op_name(called: Called, programs: dict[str, str]) -> str:
    """Return what a call is called: its op, or the function whose program it runs."""
    return f"program of {programs.get(called.digest, called.digest[:8])}" if called.digest else called.op


def program_names() -> dict[str, str]:
    """Return the names of the functions that programs were made from, by digest."""
    return {
        variant.replay.capture.digest: name_of(function)
        for function in compiled_functions
        for kind in function._kinds.values()
        for variant in kind.variants
    }
