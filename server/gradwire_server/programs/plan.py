"""From a trace to a plan: which memory each value has, and which steps run when.

- Memory of a value that nobody sees outside, made by a kernel that writes where it is told, is planned: buffers of equal
  dtype and size are reused as values die, also by the step at which they die where that step is pointwise. Planned memory
  lives as long as the program is loaded, so a run allocates nothing for it and touches no new page.
- Views of planned memory and of constants are made once; views of an input when another array is given for it.
- All other memory is made by the kernels themselves, and dropped after its last use.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradwire_protocol.dtypes import DType
from gradwire_server.backend import Backend
from gradwire_server.bfloat16 import involves_bfloat16
from gradwire_server.engine import direct_numbers
from gradwire_server.programs.cuda.source import is_writable
from gradwire_server.programs.fusion import LEAST, Fusion, fuse
from gradwire_server.programs.values import Step, Trace, Value
from gradwire_server.rules import kernel_for

__all__ = ["Plan", "make_plan"]


@dataclass(slots=True)
class Plan:
    """A trace with its memory. `placed` says which buffer a value has; `dying` what to drop after each step."""

    trace: Trace
    steps: list[Step | Fusion] = field(default_factory=list)  # those that every run repeats
    fixed_views: list[Step] = field(default_factory=list)
    input_views: dict[Value, list[Step]] = field(default_factory=dict)
    buffers: list[tuple[DType, int]] = field(default_factory=list)  # dtype and number of elements
    placed: dict[Value, int] = field(default_factory=dict)
    told: set[Value] = field(default_factory=set)  # outputs whose kernels write where they are told
    dying: dict[Step | Fusion, list[Value]] = field(default_factory=dict)


def takes_out(step: Step, backend: Backend) -> bool:
    """Return whether a step's kernel writes its one result where it is told."""
    signature = step.signature
    if len(step.outputs) != 1 or signature.op.writes or signature.op.is_view or signature.returns_list:
        return False
    found = kernel_for(signature.op, backend.name)
    if found is None or not found.takes_out or involves_bfloat16(signature):
        return False
    return not found.is_pointwise or direct_numbers(signature, (), backend.xp) is not None


def make_plan(trace: Trace, backend: Backend, fusing: bool = True) -> Plan:
    """Plan a trace, whose dead steps are gone."""
    plan = Plan(trace)
    escaping = {trace.root(value) for value in trace.outputs}
    told = {step.outputs[0] for step in trace.steps if takes_out(step, backend)}
    plan.told = told & set(trace.outputs)
    planned = told - escaping
    given = set(trace.inputs)
    steps: list[Step] = []
    for step in trace.steps:
        root = trace.root(step.outputs[0]) if step.signature.op.is_view else None
        if root is None:
            steps.append(step)
        elif root in planned or root.constant is not None:
            plan.fixed_views.append(step)
        elif root in given:
            plan.input_views.setdefault(root, []).append(step)
        else:
            steps.append(step)
    # On a GPU even a few elements cost a launch for each step.
    least = 1 if backend.name == "cuda" else LEAST
    fusible = {step for step in steps if _is_fusible(step, told, backend)} if fusing else set()
    plan.steps = fuse(steps, fusible.__contains__, _seen_outside(plan), least)
    for item in plan.steps:
        if isinstance(item, Fusion):
            planned -= item.inner.keys()
    _place(plan, planned)
    return plan


def _is_fusible(step: Step, told: set[Value], backend: Backend) -> bool:
    """Return whether a step's kernel may run on parts of its operands, or be a part of a generated one."""
    if not step.signature.op.is_pointwise or not told.issuperset(step.outputs) or not step.outputs:
        return False
    return backend.name != "cuda" or is_writable(step)


def _seen_outside(plan: Plan) -> set[Value]:
    """Return the values that are read by others than the repeated steps: outputs, and what fixed views show."""
    seen = set(plan.trace.outputs)
    for step in plan.fixed_views:
        value = step.inputs[0]
        while value is not None:
            seen.add(value)
            value = value.viewed
    return seen


def _last_uses(plan: Plan) -> dict[Step | Fusion, list[Value]]:
    """Return which roots are read or written for the last time by each step."""
    trace, last = plan.trace, dict[Value, Step | Fusion]()
    for step in plan.steps:
        for value in (*step.inputs, *step.outputs):
            if value is not None:
                last[trace.root(value)] = step
    dying: dict[Step | Fusion, list[Value]] = {}
    for root, step in last.items():
        dying.setdefault(step, []).append(root)
    return dying


def _place(plan: Plan, planned: set[Value]) -> None:
    """Give planned values their buffers, reusing those of dead ones, and note what else dies where."""
    trace = plan.trace
    keep = {trace.root(value) for value in (*trace.inputs, *trace.outputs)}
    free: dict[tuple[DType, int], list[int]] = {}
    dying = _last_uses(plan)
    for step in plan.steps:
        dead = [root for root in dying.get(step, ()) if root not in keep and root.constant is None]
        ending = [root for root in dead if root in plan.placed]
        reusable = ending if _may_overwrite(plan, step) else []
        for root in reusable:
            free.setdefault(_size(root), []).append(plan.placed[root])
        for value in step.outputs:
            if value in planned:
                plan.placed[value] = _buffer(plan, free, _size(value))
        for root in dead:
            if root in planned and root not in reusable:
                free.setdefault(_size(root), []).append(plan.placed[root])
        plan.dying[step] = [root for root in dead if root not in planned]


def _size(value: Value) -> tuple[DType, int]:
    return value.meta.dtype, value.meta.numel


def _buffer(plan: Plan, free: dict[tuple[DType, int], list[int]], size: tuple[DType, int]) -> int:
    found = free.get(size)
    if found:
        return found.pop()
    plan.buffers.append(size)
    return len(plan.buffers) - 1


def _may_overwrite(plan: Plan, step: Step | Fusion) -> bool:
    """Return whether a step may write its result over an input that dies: pointwise, all of one contiguous shape."""
    if isinstance(step, Fusion) or not step.signature.op.is_pointwise or not step.outputs:
        return False
    meta = step.outputs[0].meta
    return all(
        value is None or (value.viewed is None and value.meta is meta) for value in step.inputs
        if value is None or plan.trace.root(value) in plan.placed
    )  # fmt: skip


def describe(plan: Plan) -> dict[str, Any]:
    """Return figures of a plan: steps, buffers, bytes."""
    return {
        "steps": len(plan.steps),
        "fused": sum(len(item.steps) for item in plan.steps if isinstance(item, Fusion)),
        "buffers": len(plan.buffers),
        "planned_bytes": sum(dtype.itemsize * numel for dtype, numel in plan.buffers),
    }
