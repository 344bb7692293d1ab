"""Sums of products named by letters: `einsum`, and `tensordot`. Made of permute, reshape and bmm, so gradients follow.

The algorithm is that of aten/src/ATen/native/Linear.cpp: all operands get the same axes, output axes first, then those that
are summed, with size 1 where an operand lacks one; pairs are contracted from left to right.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Sequence
from typing import Any

from gradwire.tensor import Tensor, expect_tensor
from gradwire_protocol.infer import normalize_dim

__all__ = ["einsum", "tensordot"]

# An axis is a letter, or for one of an ellipsis its place from the right: -1, -2, ...
Label = str | int
_LETTERS = string.ascii_uppercase + string.ascii_lowercase


# ---------------------------------------------------------------- reading the equation
def _subscripts(text: str, start: int, owner: str) -> list[str]:
    """Return the letters and `...` of one operand or of the output; `start` is its place in the equation."""
    found, index = [], 0
    while index < len(text):
        letter = text[index]
        if letter == ".":
            if "..." in found:
                for_which = "but an ellipsis (...)" if owner == "output" else "for which an ellipsis"
                raise RuntimeError(f"einsum(): found '.' for {owner} {for_which} was already found")
            if text[index : index + 3] != "...":
                mark = " (...)" if owner == "output" else ""
                raise RuntimeError(f"einsum(): found '.' for {owner} that is not part of any ellipsis{mark}")
            found.append("...")
            index += 3
            continue
        if letter != " " and letter not in _LETTERS:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + index} in the equation string, subscripts must be in "
                "[a-zA-Z]"
            )
        if letter != " ":
            found.append(letter)
        index += 1
    return found


def _parsed(equation: str) -> tuple[list[list[str]], list[str] | None]:
    """Return the subscripts of each operand, and those of the output if the equation has an arrow."""
    left, arrow, right = equation.partition("->")
    inputs, start = [], 0
    for number, part in enumerate(left.split(",")):
        inputs.append(_subscripts(part, start, f"operand {number}"))
        start += len(part) + 1
    return inputs, _subscripts(right, len(left) + 2, "output") if arrow else None


def _letter(subscript: Any) -> str:
    if subscript is Ellipsis:
        return "..."
    if not 0 <= subscript < len(_LETTERS):
        raise ValueError("einsum(): subscript in subscript list is not within the valid range [0, 52)")
    return _LETTERS[subscript]


def _listed(arguments: Sequence[Any]) -> tuple[list[list[str]], list[str] | None, list[Any]]:
    """Read the form `einsum(operand, subscripts, ..., [output subscripts])`."""
    output = [_letter(item) for item in arguments[-1]] if len(arguments) % 2 else None
    paired = arguments[: len(arguments) // 2 * 2]
    return [[_letter(item) for item in listed] for listed in paired[1::2]], output, list(paired[::2])


def _expanded(subscripts: list[str], ndim: int, operand: int) -> list[Label]:
    """Return a label per axis of an operand."""
    count = len(subscripts) - ("..." in subscripts)
    if count > ndim or ("..." not in subscripts and count < ndim):
        none = "but no" if "..." in subscripts else "and no"
        wanted = "is more than" if "..." in subscripts else "does not match"
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({count}) {wanted} the number of dimensions ({ndim}) for "
            f"operand {operand}{f' {none} ellipsis was given' if '...' not in subscripts else ''}"
        )
    labels: list[Label] = []
    for subscript in subscripts:
        labels += range(count - ndim, 0) if subscript == "..." else [subscript]
    return labels


def _outputs(output: list[str] | None, inputs: list[list[Label]]) -> list[Label]:
    """Return the output's labels; without an arrow, the ellipsis and then what occurs once, by the alphabet."""
    every = [label for labels in inputs for label in labels]
    broadcast = range(min((label for label in every if isinstance(label, int)), default=0), 0)
    if output is None:
        once = sorted(label for label in every if isinstance(label, str) and every.count(label) == 1)
        return [*broadcast, *once]
    found: list[Label] = []
    for subscript in output:
        if subscript == "...":
            found += broadcast
            continue
        if subscript in found:
            raise RuntimeError(f"einsum(): output subscript {subscript} appears more than once in the output")
        if subscript not in every:
            raise RuntimeError(
                f"einsum(): output subscript {subscript} does not appear in the equation for any input operand"
            )
        found.append(subscript)
    return found


# ---------------------------------------------------------------- contracting
def _diagonals(operand: Any, labels: list[Label], number: int) -> tuple[Any, list[Label]]:
    """Take the diagonal of axes that share a label."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            one, other = operand.shape[first], operand.shape[second]
            if one != other:
                raise RuntimeError(
                    f"einsum(): subscript {label} is repeated for operand {number} but the sizes don't match, {other} != "
                    f"{one}"
                )
            operand = operand.diagonal(0, first, second)
            labels = [*labels[:first], *labels[first + 1 : second], *labels[second + 1 :], label]
    return operand, labels


def _aligned(operand: Any, labels: list[Label], order: list[Label]) -> Any:
    """Return an operand with the axes of `order`, of size 1 where it has none."""
    held = [label for label in order if label in labels]
    shape = dict(zip(labels, operand.shape, strict=True))
    axes = [labels.index(label) for label in held]
    turned = operand if axes == sorted(axes) else operand.permute(axes)
    return turned if len(held) == len(order) else turned.reshape([shape.get(label, 1) for label in order])


def _check_sizes(aligned: list[Any], order: list[Label]) -> None:
    for axis, label in enumerate(order):
        seen = 1
        for number, operand in enumerate(aligned):
            size = operand.shape[axis]
            if size != 1 and seen not in (1, size):
                raise RuntimeError(
                    f"einsum(): subscript {label if isinstance(label, str) else '...'} has size {size} for operand {number} "
                    f"which does not broadcast with previously seen size {seen}"
                )
            seen = size if size != 1 else seen


def _summed(operand: Any, axes: Sequence[int], dtype: Any = None) -> Any:
    """Sum axes, keeping them with size 1; as `sum` does, integers without a dtype to int64."""
    axes = [axis for axis in axes if operand.shape[axis] != 1]
    return operand.sum(axes, keepdim=True, dtype=dtype) if axes else operand


def _pair(left: Any, right: Any, contracted: Sequence[int]) -> Any:
    """Multiply two operands of the same axes and sum `contracted`, which stay with size 1: one batched matrix product."""
    wide = [(size != 1, other != 1) for size, other in zip(left.shape, right.shape, strict=True)]
    left = _summed(left, [axis for axis in contracted if wide[axis] == (True, False)])
    right = _summed(right, [axis for axis in contracted if wide[axis] == (False, True)])
    inner = [axis for axis in contracted if wide[axis] == (True, True)]
    if not inner:
        return left.mul(right)
    kept = [axis for axis in range(left.ndim) if axis not in contracted]
    batch = [axis for axis in kept if wide[axis][0] == wide[axis][1]]
    rows = [axis for axis in kept if wide[axis] == (True, False)]
    columns = [axis for axis in kept if wide[axis] == (False, True)]

    def matrices(operand: Any, *groups: list[int]) -> Any:
        order = [axis for group in groups for axis in group]
        rest = [axis for axis in range(operand.ndim) if axis not in order]
        sizes = [math.prod(operand.shape[axis] for axis in group) for group in groups]
        return operand.permute([*order, *rest]).reshape(sizes)

    product = matrices(left, batch, rows, inner).bmm(matrices(right, batch, inner, columns))
    order = [*batch, *rows, *columns, *contracted]
    shape = [1 if axis in contracted else left.shape[axis] if axis in rows else right.shape[axis] for axis in order]
    return product.reshape(shape).permute([order.index(axis) for axis in range(left.ndim)])


def _contracted(operands: list[Any], kept: int) -> Any:
    """Multiply aligned operands and sum all axes but the first `kept`, each at the last operand that has it."""
    result = operands[0]
    summed = range(kept, result.ndim)
    if len(operands) == 1:
        return result.sum(list(summed)) if summed else result
    last = {
        axis: max((index for index, operand in enumerate(operands) if operand.shape[axis] != 1), default=0)
        for axis in summed
    }
    result = _summed(result, [axis for axis in summed if last[axis] == 0])
    for index, operand in enumerate(operands[1:], 1):
        result = _pair(result, operand, [axis for axis in summed if last[axis] == index])
    shape: Any = result.shape[:kept]
    return result.reshape(shape) if len(shape) < result.ndim else result


def _operands(given: Sequence[Any]) -> Iterator[Tensor]:
    if len(given) == 1 and isinstance(given[0], list | tuple):
        given = given[0]
    for operand in given:
        yield expect_tensor("einsum", operand)


def einsum(*args: Any) -> Any:
    """Sum products of elements as the equation says: `einsum("ij,jk->ik", a, b)`, or `einsum(a, [0, 1], b, [1, 2], [0, 2])`."""
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its "
            "subscripts list"
        )
    if isinstance(args[0], Tensor):
        inputs, output, given = _listed(args)
    elif isinstance(args[0], str):
        inputs, output = _parsed(args[0])
        given = list(_operands(args[1:]))
    else:
        raise TypeError(f"einsum(): argument 'equation' (position 1) must be str, not {type(args[0]).__name__}")
    if len(inputs) != len(given):
        more = "more" if len(inputs) < len(given) else "fewer"
        raise RuntimeError(f"einsum(): {more} operands were provided than specified in the equation")
    return _einsum(inputs, output, given)


def _einsum(inputs: list[list[str]], output: list[str] | None, operands: list[Any]) -> Any:
    labelled = [
        _expanded(subscripts, operand.ndim, number)
        for number, (subscripts, operand) in enumerate(zip(inputs, operands, strict=True))
    ]
    kept = _outputs(output, labelled)
    pairs = [
        _diagonals(operand, labels, number)
        for number, (operand, labels) in enumerate(zip(operands, labelled, strict=True))
    ]
    order = [*kept, *dict.fromkeys(label for _, labels in pairs for label in labels if label not in kept)]
    aligned = [_aligned(operand, labels, order) for operand, labels in pairs]
    _check_sizes(aligned, order)
    return _contracted(aligned, len(kept))


# ---------------------------------------------------------------- tensordot
def _contracted_axes(a: Any, b: Any, dims: Any) -> tuple[list[int], list[int]]:
    """Return the axes of both that are summed, as given or the last of `a` with the first of `b`."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, list | tuple) and len(dims) == 2:
        pair = [list(part) if isinstance(part, list | tuple) else [part] for part in dims]
        if len(pair[0]) != len(pair[1]):
            raise RuntimeError("both dimension lists should have same length")
        return [normalize_dim(axis, a.ndim) for axis in pair[0]], [normalize_dim(axis, b.ndim) for axis in pair[1]]
    count = dims[0] if isinstance(dims, list | tuple) else dims
    if count < 0:
        raise RuntimeError(f"tensordot expects dims >= 0, but got dims={count}")
    if count > min(a.ndim, b.ndim):
        raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={count}")
    return list(range(a.ndim - count, a.ndim)), list(range(count))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Any:
    """Sum products over axes of both: the last `dims` of `a` with the first of `b`, or those of a pair of lists."""
    left: Any = expect_tensor("tensordot", a)
    right: Any = expect_tensor("tensordot", b)
    summed, matched = _contracted_axes(left, right, dims)
    if left.dtype is not right.dtype:
        raise RuntimeError("both inputs should have same dtype")
    for one, other in zip(summed, matched, strict=True):
        size, partner = left.shape[one], right.shape[other]
        if size != partner and 1 not in (size, partner):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {size} in dim {one - left.ndim} and second has "
                f"size {partner} in dim {other}"
            )
    pairs = list(zip(summed, matched, strict=True))
    left_sums = [one for one, other in pairs if right.shape[other] == 1]
    right_sums = [other for one, other in pairs if left.shape[one] == 1]
    left, right = _summed(left, left_sums, left.dtype), _summed(right, right_sums, right.dtype)
    rows = [axis for axis in range(left.ndim) if axis not in summed]
    columns = [axis for axis in range(right.ndim) if axis not in matched]
    inner = math.prod(left.shape[axis] for axis in summed)
    shape = [*(left.shape[axis] for axis in rows), *(right.shape[axis] for axis in columns)]
    one = left.permute([*rows, *summed]).reshape(math.prod(left.shape[axis] for axis in rows), inner)
    other = right.permute([*matched, *columns]).reshape(inner, math.prod(right.shape[axis] for axis in columns))
    return one.mm(other).reshape(shape)
