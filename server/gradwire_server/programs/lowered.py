"""A program of small steps as a few compiled calls, with the kernels' instructions as what they fall back to.

Made after enough runs, when each array that a step reads has been seen: planned memory and constants never move, inputs are
looked at again when another array is given for them, and outputs get new memory in each run.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradwire_server.backend import Backend
from gradwire_server.native import machine
from gradwire_server.native.addresses import address
from gradwire_server.native.code import NAME, Code
from gradwire_server.native.instructions import Unwritable
from gradwire_server.programs.fusion import Fusion
from gradwire_server.programs.lowering import Call, Operand, check_sizes, lower
from gradwire_server.programs.plan import Plan, takes_out
from gradwire_server.programs.values import Step, Value

__all__ = ["WORTHWHILE", "Kernels", "Lowered"]

# Runs of a program after which compiling is worth it: with LLVM's import it takes 0.25 s and 80 MiB; a small MLP's saves 0.06 ms.
WORTHWHILE = 300
# Steps of a program that are compiled: LLVM takes 1.4 ms for each, once.
_MOST_STEPS = 500

Array = np.ndarray[Any, Any]
Numbers = Sequence[Any]
Instruction = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Kernels:
    """A program as its kernels run it: slots, where values are in them, and the instructions of each step."""

    plan: Plan
    backend: Backend
    slots: list[Any]
    index: dict[Value, int]
    instructions: Sequence[Instruction]
    steps: Sequence[Step | Fusion]


@dataclass(slots=True)
class _Run:
    """Consecutive steps as one compiled call: those of the instructions from `first` to before `end`."""

    first: int
    end: int = 0
    code: Code = field(default_factory=Code)
    positions: list[int] = field(default_factory=list)  # of the steps' instructions
    operands: dict[Value, Operand] = field(default_factory=dict)
    inputs: list[tuple[int, int, int]] = field(default_factory=list)  # slots of an input and of it or its view, place
    fresh: list[tuple[Value, int]] = field(default_factory=list)  # output, place
    table: array[int] = field(default_factory=lambda: array("q"))

    def instruction(self) -> Callable[[], int | None]:
        """Compile; the call returns the position of a refused instruction, or None."""
        self.table = table = array("q", [0] * self.code.entries)
        for place, fixed in self.code.fixed.items():
            table[place] = address(fixed)
        function = machine.compiled(self.code.text(), NAME, 1)
        at, positions = table.buffer_info()[0], self.positions

        def run() -> int | None:
            function(at)
            return positions[table[0] - 1] if table[0] else None

        return run


class Lowered:
    """The compiled form of a program. It holds the inputs of its last run."""

    def __init__(self, kernels: Kernels, new_output: Callable[[Value], Callable[[], Any]]) -> None:
        """Compile what can be; a run's inputs must be in their slots.

        `new_output` returns what puts memory for an output into its slot.
        """
        self._kernels = kernels
        self._made: dict[Value, Array] = {}
        self._escaping = {kernels.plan.trace.root(value) for value in kernels.plan.trace.outputs}
        self._given = set(kernels.plan.trace.inputs)
        self._fresh: set[Value] = set()
        self._steps = 0
        self._written: set[int] = set()
        self._prepares: list[Callable[[Numbers], bool]] = []
        self._items: list[tuple[int, Callable[[], int | None]]] = []
        runs = self._found()
        position = 0
        for run in runs:
            self._keep(position, run.first)
            self._items.append((run.first, run.instruction()))
            position = run.end
        self._keep(position, len(kernels.instructions))
        self._runs = runs  # and their memory
        self._seen: dict[int, Any] = dict.fromkeys(slot for run in runs for slot, _, _ in run.inputs)
        self._bounds: dict[int, tuple[int, int]] = {}
        self._layouts = {slot: _layout(kernels.slots[slot]) for slot in self._seen}
        self._scratch = [(kernels.index[value], made) for value, made in self._made.items()]
        self._outputs = [
            (new_output(value), [(run.table, place) for run in runs for made, place in run.fresh if made is value])
            for value in self._fresh
        ]  # fmt: skip

    # -- running -------------------------------------------------------------------------------------------------------

    def takes(self, numbers: Numbers) -> bool:
        """Return whether this run's inputs, in their slots, and numbers are such as the code was made for."""
        slots = self._kernels.slots
        changed = [slot for slot, before in self._seen.items() if slots[slot] is not before]
        if changed and not self._look_at(changed):
            return False
        try:
            return all(prepare(numbers) for prepare in self._prepares)
        except (ArithmeticError, TypeError, ValueError):
            return False  # the kernel says what is wrong, and at which call

    def run(self) -> tuple[int, Exception | None]:
        """Run; return the first instruction that is still to be done, and the error that it raised, if it did."""
        slots = self._kernels.slots
        for slot, made in self._scratch:
            slots[slot] = made
        for new, places in self._outputs:
            at = address(new())
            for table, place in places:
                table[place] = at
        position = 0
        try:
            for position, item in self._items:  # noqa: B007
                refused = item()
                if refused is not None:
                    return refused, None
        except Exception as error:
            return position, error
        return len(self._kernels.instructions), None

    def _look_at(self, changed: Sequence[int]) -> bool:
        """Take new arrays of inputs: laid out as those before, and none in the memory of one that is written."""
        slots = self._kernels.slots
        if any(_layout(slots[slot]) != self._layouts[slot] for slot in changed):
            return False
        if self._written:
            bounds = self._bounds | {slot: _bounds(slots[slot]) for slot in changed}
            if not self._are_apart(bounds):
                return False
            self._bounds = bounds
        for slot in changed:
            self._seen[slot] = slots[slot]
        for run in self._runs:
            for given, slot, place in run.inputs:
                if given in changed:
                    run.table[place] = address(slots[slot])
        return True

    def _are_apart(self, bounds: dict[int, tuple[int, int]]) -> bool:
        """Return whether inputs that are written can be, and lie apart from all others."""
        slots, written = self._kernels.slots, self._written
        if not all(slots[slot].flags.writeable for slot in written):
            return False
        end_of_all = end_of_written = 0
        for (start, end), slot in sorted((span, slot) for slot, span in bounds.items()):
            if start < end_of_written or (slot in written and start < end_of_all):
                return False
            end_of_all = max(end_of_all, end)
            end_of_written = max(end_of_written, end) if slot in written else end_of_written
        return True

    # -- making --------------------------------------------------------------------------------------------------------

    def _keep(self, first: int, end: int) -> None:
        self._items += [(position, self._kernels.instructions[position]) for position in range(first, end)]

    def _found(self) -> list[_Run]:
        """Return the runs of steps that can be compiled."""
        found: list[_Run] = []
        run: _Run | None = None
        steps = self._kernels.steps
        for position, step in enumerate(steps):
            drops = position > 0 and steps[position - 1] is step
            if not drops:
                run = self._extended(run, position, step)
                if run is not None and run.first == position:
                    found.append(run)
            if run is not None:
                run.end = position + 1
        return found

    def _extended(self, run: _Run | None, position: int, step: Step | Fusion) -> _Run | None:
        """Return the run with a step, or a new one; None where the step stays its kernel's."""
        if isinstance(step, Fusion) or self._steps == _MOST_STEPS:
            return None
        if step.signature.op.is_view:
            return run if run is not None and self._view(position, step) else None
        extended = run or _Run(position)
        length = extended.code.length
        try:
            self._lower(extended, position, step)
        except Unwritable:
            extended.code.shorten(length)
            return None
        self._steps += 1
        return extended

    def _view(self, position: int, step: Step) -> bool:
        """Make a view of memory that is always the same, once; return False for a view of other memory."""
        kernels, source, view = self._kernels, step.inputs[0], step.outputs[0]
        if source not in self._made or len(step.outputs) > 1:
            return False
        kernels.slots[kernels.index[source]] = self._made[source]
        kernels.instructions[position]()
        self._made[view] = kernels.slots[kernels.index[view]]
        return True

    def _lower(self, run: _Run, position: int, step: Step) -> None:
        kernels = self._kernels
        if step.signature.op.is_pointwise and not takes_out(step, kernels.backend):
            raise Unwritable("a cast")
        check_sizes(step)
        self._check_writes(step)
        inputs = [None if value is None else self._operand(run, value) for value in step.inputs]
        news = [value for value in step.outputs if value not in kernels.plan.placed]
        for value in news:
            made = np.empty(value.meta.shape, value.meta.dtype.numpy)
            run.operands[value] = Operand(run.code.place() if value in self._escaping else run.code.memory(made), made)
        call = Call(step, len(run.positions), inputs, [self._operand(run, value) for value in step.outputs])
        lower(run.code, call)
        run.positions.append(position)
        if call.prepare is not None:
            self._prepares.append(call.prepare)
        self._written |= {kernels.index[kernels.plan.trace.root(value)] for value in step.written}
        for value in news:
            operand = run.operands[value]
            if value in self._escaping:
                self._fresh.add(value)
                run.fresh.append((value, _place(operand)))
            else:
                self._made[value] = operand.array

    def _check_writes(self, step: Step) -> None:
        """Refuse a step that writes to other than inputs, or to memory that it also reads."""
        roots = [self._kernels.plan.trace.root(value) for value in step.inputs if value is not None]
        for value in step.written:
            if value not in self._given or roots.count(value) > 1:
                raise Unwritable("what it writes")

    def _operand(self, run: _Run, value: Value) -> Operand:
        """Return the operand for a value: of this run, of memory that never moves, of an input, or of an earlier run."""
        found = run.operands.get(value)
        if found is None:
            found = run.operands[value] = self._new_operand(run, value)
        return found

    def _new_operand(self, run: _Run, value: Value) -> Operand:
        kernels = self._kernels
        root, slot = kernels.plan.trace.root(value), kernels.index.get(value)
        if value in self._made:
            return Operand(run.code.memory(self._made[value]), self._made[value])
        data = None if slot is None else kernels.slots[slot]
        if value in self._fresh:
            operand = Operand(run.code.place(), np.empty(value.meta.shape, value.meta.dtype.numpy))
            run.fresh.append((value, _place(operand)))
        elif slot is None or type(data) is not np.ndarray or not data.flags.aligned:
            raise Unwritable("what is not there before the run")
        elif root in self._given:
            operand = Operand(run.code.place(), data)
            run.inputs.append((kernels.index[root], slot, _place(operand)))
        elif root in kernels.plan.placed or root.constant is not None:
            operand = Operand(run.code.memory(data), data)
        else:
            raise Unwritable("what a kernel makes")
        return operand


def _place(operand: Operand) -> int:
    return int(operand.pointer.removeprefix("%p"))


def _layout(data: Array) -> tuple[Any, ...]:
    return data.shape, data.strides, data.dtype, data.flags.aligned


def _bounds(data: Array) -> tuple[int, int]:
    """Return the addresses of an array's first byte and of what follows its last."""
    if data.flags.c_contiguous:
        return address(data), address(data) + data.nbytes
    low, high = np.lib.array_utils.byte_bounds(data)
    return int(low), int(high)
