"""A plan with its memory: a flat list of prepared kernel calls over numbered slots.

What a call needs is looked up once, here: kernels, constants, where results go. A run fills the slots of inputs and of
numbers that vary, and goes down the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any

from gradwire_protocol.program import Varying
from gradwire_server.bfloat16 import involves_bfloat16
from gradwire_server.engine import Engine, direct_numbers
from gradwire_server.native import machine
from gradwire_server.programs.blocks import BlockRunner
from gradwire_server.programs.cuda.runner import KernelRunner
from gradwire_server.programs.footprint import refusal
from gradwire_server.programs.fusion import Fusion, Layout
from gradwire_server.programs.instructions import (
    Instruction,
    Slots,
    drop,
    into,
    into_new,
    new_output,
    on_block,
    taker,
)  # fmt: skip
from gradwire_server.programs.lowered import WORTHWHILE, Kernels, Lowered
from gradwire_server.programs.plan import Plan, takes_out
from gradwire_server.programs.segments import NAME, Segment, cut, segment_text
from gradwire_server.programs.values import Step, Value
from gradwire_server.rules import kernel_for

__all__ = ["Executable", "run_step"]


def run_step(engine: Engine, step: Step) -> tuple[Any, ...]:
    """Run a step of constants and return what it makes."""
    data = [None if value is None else value.constant for value in step.inputs]
    return _own(engine, _runner(engine, step)(data, step.numbers))


def _runner(engine: Engine, step: Step) -> Callable[..., Any]:
    runner: Callable[..., Any] = step.signature.kernel or engine.prepare(step.signature)
    return runner


def _own(engine: Engine, results: Sequence[Any]) -> tuple[Any, ...]:
    """Return results as arrays with memory of their own, C-contiguous."""
    backend = engine.backend
    arrays = [data if type(data) is backend.array_type else backend.xp.asarray(data) for data in results]
    return tuple([data if data.flags.c_contiguous else backend.xp.ascontiguousarray(data) for data in arrays])


def located(error: Exception, step: Step | Fusion) -> Exception:
    """Return an error that says which of the program's calls failed: `codec.encode_failure` sends it."""
    first = step.steps[0] if isinstance(step, Fusion) else step
    error.program_call = first.origin + 1  # type: ignore[attr-defined]
    return error


class Executable:
    """A program that is ready to run in one session. Not for two threads at once."""

    def __init__(self, plan: Plan, engine: Engine) -> None:
        """Make the buffers and prepare every step."""
        self.plan = plan
        self._engine = engine
        trace = plan.trace
        self._slots: Slots = [None] * len(trace.inputs)
        self._index: dict[Value, int] = {value: index for index, value in enumerate(trace.inputs)}
        self._numbers = [self._new(None) for _ in trace.kinds]
        self._place()
        self._outputs = [self._slot(value) for value in trace.outputs]
        self._given: dict[int, list[Any]] = {}
        self._run_now(plan.fixed_views)
        self._views = [
            (self._slot(value), [self._instruction(step) for step in steps])
            for value, steps in plan.input_views.items()
        ]
        self._seen: list[Any] = [None] * len(self._views)
        made = [(instruction, step) for step in plan.steps for instruction in self._instructions_of(step)]
        self._instructions = [instruction for instruction, _ in made]
        self._steps = [step for _, step in made]
        self._transient = self._transient_slots()
        self._runs = 0
        self._lowered: Lowered | None = None

    @property
    def slots(self) -> Slots:
        """Return all values of the program: what is not of a run stays between runs."""
        return self._slots

    # -- running -------------------------------------------------------------------------------------------------------

    def run(self, inputs: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        """Run once on the inputs' arrays, and return the outputs' arrays."""
        slots = self._slots
        slots[: len(inputs)] = inputs
        if numbers:
            first = self._numbers[0]
            slots[first : first + len(numbers)] = numbers
        for index, (slot, views) in enumerate(self._views):
            if slots[slot] is not self._seen[index]:
                self._seen[index] = slots[slot]
                for view in views:
                    view()
        position = 0
        try:
            position, error = self._run_lowered(numbers)
            if error is not None:
                raise error
            for instruction in islice(self._instructions, position, None):
                instruction()
                position += 1
            return [slots[slot] for slot in self._outputs]
        except Exception as error:
            raise located(error, self._steps[position]) from None
        finally:
            slots[: len(inputs)] = [None] * len(inputs)
            for slot in self._transient:
                slots[slot] = None

    def _run_lowered(self, numbers: Sequence[Any]) -> tuple[int, Exception | None]:
        """Run what is compiled; return the first instruction that is still to be done, and its error if it raised one."""
        self._runs += 1
        if self._runs == WORTHWHILE and self._compiles:
            kernels = Kernels(
                self.plan, self._engine.backend, self._slots, self._index, self._instructions, self._steps
            )
            self._lowered = Lowered(kernels, self._new_output_of)
        if self._lowered is None or not self._lowered.takes(numbers):
            return 0, None
        return self._lowered.run()

    # -- preparing -----------------------------------------------------------------------------------------------------

    def _new(self, content: Any) -> int:
        self._slots.append(content)
        return len(self._slots) - 1

    def _slot(self, value: Value) -> int:
        found = self._index.get(value)
        if found is None:
            found = self._index[value] = self._new(value.constant)
        return found

    def _place(self) -> None:
        """Make the planned memory, and put it where its values are."""
        xp = self._engine.backend.xp
        refused = refusal(self.plan, self._engine.most_bytes)
        if refused is not None:
            raise refused
        buffers = [xp.empty((numel,), dtype.numpy) for dtype, numel in self.plan.buffers]
        for value, buffer in self.plan.placed.items():
            self._slots[self._slot(value)] = buffers[buffer].reshape(value.meta.shape)

    def _transient_slots(self) -> list[int]:
        """Return the slots whose arrays must not outlive a run: all but constants, planned memory and views of inputs."""
        plan = self.plan
        made = {value for step in plan.steps for value in step.outputs} - set(plan.placed)
        return sorted(self._index[value] for value in made if value in self._index)

    def _run_now(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._instruction(step)()

    def _instructions_of(self, step: Step | Fusion) -> list[Instruction]:
        """Return what a step does, and how what dies with it is dropped."""
        made = [self._fused(step) if isinstance(step, Fusion) else self._instruction(step)]
        dying = [self._index[value] for value in self.plan.dying.get(step, ()) if value in self._index]
        if dying:
            made.append(partial(drop, self._slots, tuple(dying)))
        return made

    def _instruction(self, step: Step) -> Instruction:
        signature, backend = step.signature, self._engine.backend
        found = kernel_for(signature.op, backend.name)
        if takes_out(step, backend):
            return self._told(step)
        outputs = [self._slot(value) for value in step.outputs]
        direct = found is not None and not found.is_pointwise and not signature.op.functional
        if direct and not involves_bfloat16(signature):
            function, take = self._prepared(step, list(step.numbers))
            if signature.op.writes:
                return into(function, take, self._slots)
            single = len(outputs) == 1 and not signature.returns_list
            return _making(self._engine, function, take, self._slots, outputs, single, signature.op.is_view)
        runner = _runner(self._engine, step)
        inputs = [self._slot(value) if value is not None else self._new(None) for value in step.inputs]
        numbers = [self._number(number) for number in step.numbers]
        return _through_runner(self._engine, runner, self._slots, inputs, numbers, outputs)

    def _number(self, number: Any) -> int:
        return self._numbers[number.index] if isinstance(number, Varying) else self._new(number)

    def _prepared(self, step: Step, numbers: Sequence[Any]) -> tuple[Callable[..., Any], Callable[[Slots], Any]]:
        """Return a step's kernel, and what takes its arguments out of the slots."""
        signature = step.signature
        found = kernel_for(signature.op, self._engine.backend.name)
        assert found is not None
        extra: dict[str, Any] = {}
        if found.wants_result:
            single = len(signature.outputs) == 1 and not signature.returns_list
            extra["result"] = signature.outputs[0] if single else signature.outputs
        arguments = signature.op.arrange(
            [self._slot(value) if value is not None else self._new(None) for value in step.inputs],
            [self._new(static) for static in signature.statics], [self._number(number) for number in numbers],
            signature.lengths,
        )  # fmt: skip
        return self._function(step, extra), taker(arguments)

    def _function(self, step: Step, extra: dict[str, Any] | None = None) -> Callable[..., Any]:
        """Return a step's kernel, as a function of its arguments."""
        xp, found = self._engine.backend.xp, kernel_for(step.signature.op, self._engine.backend.name)
        assert found is not None
        return getattr(xp, found.ufunc) if found.ufunc else partial(found.function, xp, **(extra or {}))

    def _fused(self, fusion: Fusion) -> Instruction:
        """Prepare a fusion: what runs it, and where the whole arrays come from."""
        xp, slots = self._engine.backend.xp, self._slots
        runner = KernelRunner(fusion, xp) if self._engine.backend.name == "cuda" else self._in_blocks(fusion)
        sources: list[Callable[[], Any]] = [partial(slots.__getitem__, self._slot(value)) for value in fusion.inputs]
        passing = [index for index, value in enumerate(fusion.inputs) if not self._stays(value)]
        for value in fusion.outputs:
            slot = self._slot(value)
            if value in self.plan.placed:
                sources.append(partial(slots.__getitem__, slot))
            else:
                passing.append(len(sources))
                sources.append(self._new_output_of(value))
        return _blockwise(runner, sources, passing)

    @property
    def _compiles(self) -> bool:
        return self._engine.backend.name == "cpu" and machine.is_available()

    def _new_output_of(self, value: Value) -> Callable[[], Any]:
        """Return what puts memory that leaves the program into the slot of a value."""
        slot = self._slot(value)
        return new_output(self._slots, slot, self._given.setdefault(slot, []), value, self._engine.backend.xp)

    def _in_blocks(self, fusion: Fusion) -> BlockRunner:
        """Prepare the calls of a block: compiled segments where LLVM is there, else a call for each step."""
        xp = self._engine.backend.xp
        parts: Sequence[Step | Segment] = cut(fusion) if self._compiles else fusion.steps
        runner = BlockRunner(fusion, xp, in_one=len(parts) == 1)
        body = [
            _segment(part, runner, fusion.layout) if isinstance(part, Segment) else self._step_on_block(part, runner)
            for part in parts
        ]
        runner.prepare(body, any(isinstance(part, Segment) for part in parts))
        return runner

    def _step_on_block(self, step: Step, runner: BlockRunner) -> Instruction:
        numbers = direct_numbers(step.signature, step.numbers, self._engine.backend.xp) or []
        signature = step.signature
        arguments = signature.op.arrange(
            [runner.slot(value) if value is not None else runner.constant(None) for value in step.inputs],
            [runner.constant(static) for static in signature.statics], [runner.constant(number) for number in numbers],
            signature.lengths,
        )  # fmt: skip
        return on_block(self._function(step), taker(arguments), runner.slots, runner.slot(step.outputs[0]))

    def _stays(self, value: Value) -> bool:
        """Return whether a value is the same array in every run."""
        return self.plan.trace.root(value) in self.plan.placed or value.constant is not None

    def _told(self, step: Step) -> Instruction:
        """Prepare a step whose kernel writes where it is told: into a buffer, or into an output's new memory."""
        numbers = list(step.numbers)
        if not any(isinstance(number, Varying) for number in numbers):
            numbers = direct_numbers(step.signature, numbers, self._engine.backend.xp) or numbers
        function, take = self._prepared(step, numbers)
        output = step.outputs[0]
        slot = self._slot(output)
        if output in self.plan.placed:
            return into(partial(function, out=self._slots[slot]), take, self._slots)
        return into_new(function, take, self._slots, self._new_output_of(output))


def _segment(segment: Segment, runner: BlockRunner, layout: Layout) -> Instruction:
    """Compile a segment, and call it with the addresses of a block's parts."""
    places = [runner.slot(value) for value in (*segment.inputs, *segment.outputs)]
    function = machine.compiled(segment_text(segment), NAME, len(places) + 2)
    columns, is_flat = layout.columns, segment.is_flat

    def run() -> None:
        addresses = runner.addresses
        rows, width = (1, runner.rows * columns) if is_flat else (runner.rows, columns)
        function(rows, width, *[addresses[place] for place in places])

    return run


def _blockwise(
    runner: BlockRunner | KernelRunner, sources: Sequence[Callable[[], Any]], passing: Sequence[int]
) -> Instruction:
    """Run a fusion on whole arrays; those at `passing` are not held until the next run."""

    def run() -> None:
        runner.run([source() for source in sources])
        for number in passing:
            runner.forget(number)

    return run


def _making(
    engine: Engine, function: Callable[..., Any], take: Callable[[Slots], Sequence[Any]], slots: Slots,
    outputs: Sequence[int], single: bool, is_view: bool,
) -> Instruction:  # fmt: skip
    """Run a kernel that makes its own memory, or a view."""
    array_type = engine.backend.array_type

    def run_one() -> None:
        data = function(*take(slots))
        if not is_view and (type(data) is not array_type or not data.flags.c_contiguous):
            (data,) = _own(engine, (data,))
        slots[outputs[0]] = data

    def run_several() -> None:
        results = function(*take(slots))
        for slot, data in zip(outputs, results if is_view else _own(engine, results), strict=True):
            slots[slot] = data

    return run_one if single else run_several


def _through_runner(
    engine: Engine, runner: Callable[..., Any], slots: Slots, inputs: Sequence[int], numbers: Sequence[int],
    outputs: Sequence[int],
) -> Instruction:  # fmt: skip
    """Run a kernel whose arguments or results are cast on the way."""

    def run() -> None:
        results = runner([slots[index] for index in inputs], [slots[index] for index in numbers])
        if outputs:
            for slot, data in zip(outputs, _own(engine, results), strict=True):
                slots[slot] = data

    return run
