"""Steps of few elements as compiled code: where a kernel's time is that of its calls, not of what they compute.

Each op is written as its kernel in `gradwire_server.ops` computes it, call by call, with the same inner loops of numpy, so the
bits are the same. What is not written here, or not for such operands, stays the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gradwire_protocol.program import Varying
from gradwire_server.native import loops_text
from gradwire_server.native.code import TYPES, Code
from gradwire_server.native.instructions import INSTRUCTIONS, Unwritable
from gradwire_server.native.updates import update_function
from gradwire_server.ops.loss import MEAN, NONE
from gradwire_server.ops.update import adam_numbers
from gradwire_server.products import LEAST as LEAST_OF_MKL
from gradwire_server.programs.fusion import NUMBER, WHOLE, kind_of
from gradwire_server.programs.segments import Segment, is_writable, segment_function
from gradwire_server.programs.values import Step
from gradwire_server.rules import kernel_for

__all__ = ["Call", "Operand", "check_sizes", "lower"]

# Elements of an operand: above, what a call computes takes longer than the call, and numpy goes through reductions in parts.
_MOST_ELEMENTS = 8192


@dataclass(frozen=True, slots=True)
class Operand:
    """An array of a step: the pointer that the code has for it, and one that is laid out as it is in every run."""

    pointer: str
    array: np.ndarray[Any, Any]


@dataclass(slots=True)
class Call:
    """A step to be lowered. `prepare` is set by those that take varying numbers: it returns False where they do not suit."""

    step: Step
    number: int
    inputs: Sequence[Operand | None]
    outputs: Sequence[Operand]
    prepare: Callable[[Sequence[Any]], bool] | None = None

    def arguments(self) -> list[Any]:
        """Return operands, statics and numbers in the order of the schema."""
        signature = self.step.signature
        return list(signature.op.arrange(self.inputs, signature.statics, self.step.numbers, signature.lengths))


def check_sizes(step: Step) -> None:
    """Raise Unwritable for a step whose calls cost little beside what they compute."""
    values = [value for value in (*step.inputs, *step.outputs) if value is not None]
    _need(all(0 < value.meta.numel <= _MOST_ELEMENTS for value in values))


def lower(code: Code, call: Call) -> None:
    """Add a step to the code; raise Unwritable for one that stays its kernel's."""
    written = _LOWERINGS.get(call.step.signature.op.name)
    if written is not None:
        written(code, call, *call.arguments())
    else:
        _pointwise(code, call)


def _need(condition: object) -> None:
    if not condition:
        raise Unwritable("these operands")


def _char(*operands: Operand) -> str:
    """Return the one float type of contiguous arrays."""
    char = operands[0].array.dtype.char
    _need(char in TYPES and all(_is_plain(operand, char) for operand in operands))
    return str(char)


def _is_plain(operand: Operand, char: str) -> bool:
    return operand.array.dtype.char == char and operand.array.flags.c_contiguous


# ---------------------------------------------------------------- pointwise
def _pointwise(code: Code, call: Call) -> None:
    op = call.step.signature.op
    _need(op.is_pointwise and not op.writes and len(call.outputs) == 1)
    found = kernel_for(op, "cpu")
    is_unary = len(call.inputs) == 1 and not call.step.numbers
    if found is not None and found.ufunc and is_unary and op.name not in INSTRUCTIONS and call.inputs[0] is not None:
        _ufunc(code, found.ufunc, call.inputs[0], call.outputs[0])
    else:
        _instructions(code, call)


def _instructions(code: Code, call: Call) -> None:
    step = call.step
    _need(all(value is not None for value in step.inputs) and is_writable(step))
    meta = step.outputs[0].meta
    kinds = tuple(kind_of(value.meta, meta) or "" for value in step.inputs if value is not None)
    operands = [operand for operand in (*call.inputs, *call.outputs) if operand is not None]
    _need(all(kinds) and all(operand.array.flags.c_contiguous for operand in operands))
    inputs = tuple(value for value in step.inputs if value is not None)
    segment = Segment([step], inputs, step.outputs, kinds)
    columns = meta.shape[-1] if meta.shape else 1
    rows = meta.numel // columns
    extents = (1, rows * columns) if set(kinds) <= {WHOLE, NUMBER} else (rows, columns)
    name = code.named(partial(segment_function, segment))
    code.call(name, [*extents, *[operand.pointer for operand in operands]])


def _ufunc(code: Code, name: str, self: Operand, out: Operand) -> None:
    char, size = _char(self, out), self.array.itemsize
    code.ufunc(name, char, [self.pointer, out.pointer], (self.array.size,), (size, size))


def _invoke(code: Code, name: str, text: str, arguments: Sequence[int | str | Operand]) -> None:
    given = [argument.pointer if isinstance(argument, Operand) else argument for argument in arguments]
    code.call(code.function(name, text), given)


# ---------------------------------------------------------------- products
def _product(code: Code, a: Operand, b: Operand, out: Operand) -> str:
    char = str(out.array.dtype.char)
    _need(char in TYPES and {a.array.dtype.char, b.array.dtype.char} == {char} and out.array.flags.c_contiguous)
    _need(a.array.ndim == b.array.ndim == 2 and a.array.size * b.array.shape[1] < LEAST_OF_MKL)
    (rows, inner), columns = a.array.shape, b.array.shape[1]
    steps = (0, 0, 0, *a.array.strides, *b.array.strides, *out.array.strides)
    code.ufunc("matmul", char, [a.pointer, b.pointer, out.pointer], (1, rows, inner, columns), steps)
    return char


def _mm(code: Code, call: Call, a: Operand, b: Operand) -> None:
    _product(code, a, b, call.outputs[0])


def _addmm(code: Code, call: Call, self: Operand, a: Operand, b: Operand, beta: Any, alpha: Any) -> None:
    out = call.outputs[0]
    _need(not isinstance(beta, Varying) and not isinstance(alpha, Varying) and beta == 1 and alpha == 1)
    _need(_is_plain(self, out.array.dtype.char) and self.array.shape in (out.array.shape, out.array.shape[1:]))
    char = _product(code, a, b, out)
    rows, columns = out.array.shape
    step = rows * columns if self.array.shape == out.array.shape else columns
    _two(
        code, "fadd", char, out.pointer, self.pointer, out.pointer, rows, columns, "row" if step == columns else "whole"
    )


def _two(
    code: Code, operation: str, char: str, first: str, second: str, out: str, rows: int, columns: int, kind: str
) -> None:  # fmt: skip
    """Compute first - second and the like, where second is whole, a row, a column or a number."""
    name = f"{operation}_{kind}_{TYPES[char]}"
    _invoke(code, name, loops_text.two(name, operation, TYPES[char], kind), [rows, columns, first, second, out])


# ---------------------------------------------------------------- sums
def _sum(code: Code, char: str, source: str, out: str, rows: int, columns: int, over_rows: bool) -> None:
    """Sum a matrix over its first axis, row by row, or each row in numpy's order of pairs."""
    size = np.dtype(char).itemsize
    name = f"zero_{TYPES[char]}"
    _invoke(code, name, loops_text.zero(name, TYPES[char]), [columns if over_rows else rows, out])
    steps, out_step = ((size, size, size), 0) if over_rows else ((0, size, 0), size)
    code.ufunc("add", char, [out, source, out], (columns,), steps, rows, (out_step, columns * size, out_step))


def _sum_dim(code: Code, call: Call, self: Operand, dim: Any, keepdim: bool, dtype: Any) -> None:
    char, shape = _char(self, call.outputs[0]), self.array.shape
    axes = {axis % len(shape) for axis in ((dim,) if isinstance(dim, int) else dim or ())} if shape else set()
    _need(len(shape) == 2 and len(axes) == 1 and min(shape) > 1 and shape[0] <= 1024)
    _sum(code, char, self.pointer, call.outputs[0].pointer, shape[0], shape[1], over_rows=axes == {0})


def _sum_all(code: Code, call: Call, self: Operand, dtype: Any) -> None:
    out = call.outputs[0]
    _sum(code, _char(self, out), self.pointer, out.pointer, 1, self.array.size, over_rows=False)


def _mean_all(code: Code, call: Call, self: Operand, dtype: Any) -> None:
    _sum_all(code, call, self, dtype)
    _divide(code, call.outputs[0].pointer, self.array.size, call.outputs[0])


def _divide(code: Code, number: str, count: int, out: Operand) -> None:
    """Divide one number by a count."""
    char = out.array.dtype.char
    _two(code, "fdiv", char, number, code.memory(np.asarray(count, char)), out.pointer, 1, 1, "number")


# ---------------------------------------------------------------- the squared difference
def _difference(code: Code, self: Operand, target: Operand, reduction: int, out: str) -> str:
    char = _char(self, target)
    _need(self.array.shape == target.array.shape and reduction != NONE)
    _two(code, "fsub", char, self.pointer, target.pointer, out, 1, self.array.size, "whole")
    return char


def _mse(code: Code, call: Call, self: Operand, target: Operand, reduction: int) -> None:
    loss, count = call.outputs[0], self.array.size
    squares = code.scratch((count,), _char(self, loss))
    char = _difference(code, self, target, reduction, squares)
    _two(code, "fmul", char, squares, squares, squares, 1, count, "whole")
    _sum(code, char, squares, loss.pointer, 1, count, over_rows=False)
    if reduction == MEAN:
        _divide(code, loss.pointer, count, loss)


def _mse_backward(code: Code, call: Call, grad: Operand, self: Operand, target: Operand, reduction: int) -> None:
    out, count = call.outputs[0], self.array.size
    share = Operand(code.scratch((), _char(self, grad, out)), np.empty((), out.array.dtype))
    char = _difference(code, self, target, reduction, out.pointer)
    _two(code, "fadd", char, out.pointer, out.pointer, out.pointer, 1, count, "whole")
    if reduction == MEAN:
        _divide(code, grad.pointer, count, share)
    number = share.pointer if reduction == MEAN else grad.pointer
    _two(code, "fmul", char, out.pointer, number, out.pointer, 1, count, "number")


# ---------------------------------------------------------------- softmax and its loss
def _matrix(array: Any, dim: int) -> tuple[int, int]:
    """Return rows and columns; the softmax is over the columns."""
    _need(array.ndim == 2 and dim % 2 == 1 and min(array.shape) > 1)
    rows, columns = array.shape
    return rows, columns


def _log_softmax(code: Code, call: Call, self: Operand, dim: int, half_to_float: bool) -> None:
    out = call.outputs[0]
    char, (rows, columns) = _char(self, out), _matrix(self.array, dim)
    size, kind = self.array.itemsize, TYPES[char]
    one, powers = code.scratch((rows,), char), code.scratch((rows, columns), char)
    _invoke(code, f"firsts_{kind}", loops_text.firsts(f"firsts_{kind}", kind), [rows, columns, self, one])
    rest = code.new(f"getelementptr {kind}, ptr {self.pointer}, i64 1")
    code.ufunc("maximum", char, [one, rest, one], (columns - 1,), (0, size, 0), rows, (size, columns * size, size))
    _two(code, "fsub", char, self.pointer, one, out.pointer, rows, columns, "column")
    code.ufunc("exp", char, [out.pointer, powers], (rows * columns,), (size, size))
    _sum(code, char, powers, one, rows, columns, over_rows=False)
    code.ufunc("log", char, [one, one], (rows,), (size, size))
    _two(code, "fsub", char, out.pointer, one, out.pointer, rows, columns, "column")


def _log_softmax_backward(code: Code, call: Call, grad: Operand, output: Operand, dim: int, dtype: Any) -> None:
    out = call.outputs[0]
    char, (rows, columns) = _char(grad, output, out), _matrix(grad.array, dim)
    size = grad.array.itemsize
    sums, powers = code.scratch((rows,), char), code.scratch((rows, columns), char)
    code.ufunc("exp", char, [output.pointer, powers], (rows * columns,), (size, size))
    _sum(code, char, grad.pointer, sums, rows, columns, over_rows=False)
    _two(code, "fmul", char, powers, sums, powers, rows, columns, "column")
    _two(code, "fsub", char, grad.pointer, powers, out.pointer, rows, columns, "whole")


def _targets(
    code: Code, call: Call, self: Operand, target: Operand, weight: Operand | None, reduction: int, ignore_index: int
) -> tuple[int, int]:
    """Return rows and classes; a run with a target that is none of them leaves the step to its kernel."""
    _need(self.array.ndim == 2 and weight is None and reduction != NONE and target.array.shape == self.array.shape[:1])
    rows, classes = self.array.shape
    _need(_is_plain(target, "l") and target.array.itemsize == 8 and not 0 <= ignore_index < classes)
    name = code.function("outside", loops_text.OUTSIDE)
    code.refuse_if(code.new(f"call i1 @{name}(i64 {rows}, i64 {classes}, ptr {target.pointer})"), call.number)
    return rows, classes


def _nll_forward(
    code: Code, call: Call, self: Operand, target: Operand, weight: Operand | None, reduction: int, ignore_index: int
) -> None:
    loss, count = call.outputs
    char = _char(self, loss, count)
    rows, classes = _targets(code, call, self, target, weight, reduction, ignore_index)
    kind, picked = TYPES[char], code.scratch((rows,), char)
    _invoke(code, f"picked_{kind}", loops_text.picked(f"picked_{kind}", kind), [rows, classes, self, target, picked])
    _sum(code, char, picked, loss.pointer, 1, rows, over_rows=False)
    name = f"mean_{kind}"
    _invoke(code, name, loops_text.mean(name, kind), [rows, int(reduction == MEAN), loss, count])


def _nll_backward(
    code: Code, call: Call, grad: Operand, self: Operand, target: Operand, weight: Operand | None, reduction: int,
    ignore_index: int, total_weight: Operand,
) -> None:  # fmt: skip
    out = call.outputs[0]
    char = _char(self, grad, total_weight, out)
    rows, classes = _targets(code, call, self, target, weight, reduction, ignore_index)
    kind, name = TYPES[char], f"scattered_{TYPES[char]}"
    _invoke(code, f"zero_{kind}", loops_text.zero(f"zero_{kind}", kind), [rows * classes, out])
    text = loops_text.scattered(name, kind)
    _invoke(code, name, text, [rows, classes, int(reduction == MEAN), grad, total_weight, target, out])


# ---------------------------------------------------------------- updates
def _update(code: Code, rule: str, lists: Sequence[Sequence[Operand]], count: int) -> np.ndarray[Any, Any]:
    """Update as `update_small` does; return where the rule's numbers are to be put."""
    _need(all(lists))
    parts = [operand for operands in lists for operand in operands]
    char = _char(*parts)
    numbers = np.zeros(count, char)
    sizes = code.integers([operand.array.size for operand in lists[0]])
    table = code.pointers([operand.pointer for operand in parts])
    _invoke(code, rule, update_function(rule, char), [len(lists[0]), sizes, table, code.memory(numbers)])
    return numbers


def _known(numbers: Sequence[Any], varying: Sequence[Any]) -> list[Any]:
    return [varying[number.index] if isinstance(number, Varying) else number for number in numbers]


def _sgd(
    code: Code, call: Call, self: Sequence[Operand], grads: Sequence[Operand], buffers: Sequence[Operand], *settings: Any
) -> None:  # fmt: skip
    *numbers, nesterov, maximize, is_first_step = settings
    _need(not (nesterov or maximize or is_first_step))
    told = _update(code, "momentum", (self, grads, buffers), 3)

    def prepare(varying: Sequence[Any]) -> bool:
        decay, momentum, lr, dampening = _known(numbers, varying)
        if not momentum or dampening:
            return False
        told[:] = momentum, lr, decay
        return True

    call.prepare = prepare


def _adam(
    code: Code, call: Call, self: Sequence[Operand], grads: Sequence[Operand], means: Sequence[Operand],
    squares: Sequence[Operand], largest: Sequence[Operand], counts: Sequence[Operand], *settings: Any,
) -> None:  # fmt: skip
    *numbers, amsgrad, maximize = settings
    decoupled = call.step.signature.op.name == "_fused_adamw_"
    _need(not (amsgrad or maximize))
    told = _update(code, "adam", (self, grads, means, squares), 7)
    char = _char(*counts)
    reached, name = np.zeros((), char), f"copied_{TYPES[char]}"
    source = code.memory(reached)
    for count in counts:
        _invoke(code, name, loops_text.copied(name, TYPES[char]), [count.array.size, source, count])

    def prepare(varying: Sequence[Any]) -> bool:
        step, lr, beta1, beta2, decay, eps = _known(numbers, varying)
        if decay and not decoupled:
            return False
        told[:] = adam_numbers(step, lr, beta1, beta2, decay, eps)
        reached[...] = step
        return True

    call.prepare = prepare


_LOWERINGS: dict[str, Callable[..., None]] = {
    "mm": _mm, "addmm": _addmm, "sum.dim_IntList": _sum_dim, "sum": _sum_all, "mean": _mean_all,
    "mse_loss": _mse, "mse_loss_backward": _mse_backward, "_log_softmax": _log_softmax,
    "_log_softmax_backward_data": _log_softmax_backward, "nll_loss_forward": _nll_forward,
    "nll_loss_backward": _nll_backward, "_fused_sgd_": _sgd, "_fused_adam_": _adam, "_fused_adamw_": _adam,
}  # fmt: skip
