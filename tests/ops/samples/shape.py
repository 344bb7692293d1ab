"""Samples of the shape family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = np.ndarray[Any, Any]
Cases = Callable[[np.random.Generator], Iterable[Case]]
Forms = Sequence[tuple[tuple[int, ...], tuple[Any, ...]]]

DTYPES = (np.float32, np.int64, np.bool_)


def values(rng: np.random.Generator, *shape: int, dtype: Any = np.float64) -> Array:
    """Return random values of a shape; bools are both."""
    drawn = rng.standard_normal(shape)
    return np.asarray(drawn > 0 if dtype is np.bool_ else drawn * (1 if np.dtype(dtype).kind in "fc" else 9), dtype)


def forms(*given: tuple[tuple[int, ...], tuple[Any, ...]]) -> Cases:
    """Make cases of (shape, arguments): float64 for each, the first in other dtypes, and transposed where that fits."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for shape, arguments in given:
            yield Case((values(rng, *shape), *arguments))
            yield Case((values(rng, *shape[::-1]).T, *arguments))
        shape, arguments = given[0]
        for dtype in DTYPES:
            yield Case((values(rng, *shape, dtype=dtype), *arguments))

    return cases


def contiguous_forms(*given: tuple[tuple[int, ...], tuple[Any, ...]]) -> Cases:
    """Make cases of arrays in C order only, for what depends on strides."""
    return lambda rng: [case for case in forms(*given)(rng) if case.args[0].flags.c_contiguous]


def refusal(shape: tuple[int, ...], arguments: tuple[Any, ...], error: type[Exception], match: str) -> Refusal:
    """Refuse arguments after one tensor of zeros."""
    return Refusal((np.zeros(shape), *arguments), error, match)


OUT_OF_RANGE = "Dimension out of range"


# ---------------------------------------------------------------- references
def _strided(self: Array, size: Sequence[int], stride: Sequence[int], storage_offset: int = 0) -> Array:
    memory = np.ascontiguousarray(self).reshape(-1)
    places = np.full(tuple(size), storage_offset)
    for axis, step in enumerate(stride):
        places += (np.arange(size[axis]) * step).reshape((-1,) + (1,) * (len(size) - axis - 1))
    return memory[places] if places.size else np.zeros(tuple(size), self.dtype)


def _strided_scatter(
    self: Array, src: Array, size: Sequence[int], stride: Sequence[int], storage_offset: int = 0
) -> Array:
    out = np.array(self, order="C")
    places = _strided(np.arange(self.size), size, stride, storage_offset)
    out.reshape(-1)[places] = src
    return out


def _strided_backward(
    grad_output: Array,
    input_size: Any,
    input_stride: Any,
    input_offset: int,
    size: Any,
    stride: Any,
    storage_offset: int,
) -> Array:
    memory = np.zeros(1000, grad_output.dtype)
    for index in np.ndindex(*size):
        memory[storage_offset + int(np.dot(index, stride))] += grad_output[index]
    return _strided(memory, input_size, input_stride, input_offset)


def _torch_strided_scatter(self: Any, src: Any, size: Any, stride: Any, storage_offset: int = 0) -> Any:
    """Do by index what PyTorch's own op does: its gradient of `self` is that of the part written over."""
    import torch

    places = torch.arange(self.numel()).as_strided(size, stride, storage_offset)
    return self.reshape(-1).index_put((places.reshape(-1),), src.reshape(-1)).reshape(self.shape)


def _torch_strided_backward(
    grad_output: Any, input_size: Any, input_stride: Any, input_offset: int, size: Any, stride: Any, storage_offset: int
) -> Any:
    import torch

    base = torch.zeros(1000, dtype=grad_output.dtype).as_strided(input_size, input_stride, input_offset)
    base.requires_grad_()
    return torch.autograd.grad(base.as_strided(size, stride, storage_offset), base, grad_output, create_graph=True)[0]


def _expand(self: Array, size: Sequence[int]) -> Array:
    held = (1,) * (len(size) - self.ndim) + self.shape
    return np.broadcast_to(self, [had if wanted == -1 else wanted for wanted, had in zip(size, held, strict=True)])


def _squeeze(self: Array, dim: int | Sequence[int] | None = None) -> Array:
    named = range(self.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    dropped = {axis % max(self.ndim, 1) for axis in named}
    return self.reshape([size for axis, size in enumerate(self.shape) if size != 1 or axis not in dropped])


def _slice(self: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return np.moveaxis(np.moveaxis(self, dim, 0)[start:end:step], 0, dim)


def _unbind(self: Array, dim: int = 0) -> tuple[Array, ...]:
    return tuple(np.moveaxis(self, dim, 0))


def _split_at(self: Array, sizes: Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    bounds = [0, *np.cumsum(sizes).tolist()]
    return tuple(_slice(self, dim, start, end) for start, end in pairwise(bounds))


def _split(self: Array, split_size: int, dim: int = 0) -> tuple[Array, ...]:
    size = self.shape[dim]
    starts = range(0, size, split_size) if size else [0]
    return tuple(_slice(self, dim, start, start + split_size) for start in starts)


def _cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    dtype = _torch_promotion(tensors)
    joined = [tensor.astype(dtype) for tensor in tensors if tensor.shape != (0,)]
    return np.concatenate(joined, dim) if joined else np.zeros(0, dtype)


def _torch_promotion(tensors: Sequence[Array]) -> Any:
    """Promote as PyTorch: an integer never widens a float; tensors without axes yield to those with axes."""
    ranked = [t.dtype for t in tensors if t.ndim] or [t.dtype for t in tensors]
    floats = [dtype for dtype in ranked if dtype.kind == "f"]
    return np.result_type(*(floats or ranked))


def _roll(self: Array, shifts: Sequence[int], dims: Sequence[int] = ()) -> Array:
    return np.roll(self, tuple(shifts), tuple(dims)) if dims else np.roll(self, shifts[0])


def _placed(shape: Sequence[int], index: Any, grad_output: Array) -> Array:
    out = np.zeros(tuple(shape), grad_output.dtype)
    out[index] = grad_output
    return out


def _along(dim: int, ndim: int, item: Any) -> tuple[Any, ...]:
    return (slice(None),) * (dim % ndim) + (item,)


def _diagonal_backward(grad_output: Array, input_sizes: Sequence[int], offset: int, dim1: int, dim2: int) -> Array:
    out = np.zeros(tuple(input_sizes), grad_output.dtype)
    places = np.diagonal(np.arange(out.size).reshape(out.shape), offset, dim1, dim2)
    out.reshape(-1)[places] = grad_output
    return out


# ---------------------------------------------------------------- cases of several tensors
def _cat_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield Case(([values(rng, 2, 3), values(rng, 4, 3), values(rng, 0, 3)], 0))
    yield Case(([values(rng, 2, 3), values(rng, 1, 2).T], -1))
    yield Case(([values(rng, 0), values(rng, 2, 3), values(rng, 0)], 1))
    yield Case(([values(rng, 0)],))
    yield Case(([values(rng, 2, dtype=np.int64), values(rng, 1, dtype=np.float32), values(rng, 2, dtype=np.bool_)],))
    yield Case(([values(rng, 2, dtype=np.float32), values(rng, 2)],))


def _stack_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dim in (0, 1, 2, -1, -3):
        yield Case(([values(rng, 2, 3), values(rng, 3, 2).T], dim))
    yield Case(([values(rng), values(rng)],))
    yield Case(([values(rng, 0, 2)], 1))
    yield Case(([values(rng, 2, dtype=np.int64), values(rng, 2, dtype=np.float32)],))


def _scatter_cases(rng: np.random.Generator) -> Iterator[Case]:
    for shape, size, stride, offset in (
        ((3, 4), (2, 2), (4, 1), 1), ((3, 4), (3,), (5,), 0), ((), (), (), 0), ((6,), (0,), (1,), 2),
        ((2, 3), (2,), (2,), 3),
    ):  # fmt: skip
        yield Case((values(rng, *shape), values(rng, *size), size, stride, offset))
    yield Case((values(rng, 3, dtype=np.int64), values(rng, 2, dtype=np.int64), (2,), (2,)))


def _strided_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for size, stride, offset in (
        ((2, 3), (4, 1), 1), ((3, 2), (1, 1), 0), ((2, 3), (0, 2), 1), ((), (), 5), ((0, 2), (1, 1), 3),
        ((4,), (0,), 11),
    ):  # fmt: skip
        for input_size, input_stride in (((3, 4), (4, 1)), ((4, 3), (1, 4))):
            arguments = (values(rng, *size), input_size, input_stride, 0, size, stride, offset)
            yield Case(arguments, differentiable=0 not in size)  # of nothing, PyTorch records no gradient
    yield Case((values(rng, 3), (2, 0), (1, 1), 0, (3,), (1,), 0), differentiable=False)


def _backward(*given: tuple[tuple[int, ...], tuple[Any, ...]]) -> Cases:
    return lambda rng: [Case((values(rng, *shape), *arguments)) for shape, arguments in given]


_VIEW_FORMS = contiguous_forms(
    ((2, 3, 4), ((6, 4),)), ((2, 3, 4), ((-1,),)), ((6,), ((2, 1, 3),)), ((), ((1, 1),)), ((1,), ((),)),
    ((0, 3), ((3, 0, 2),)),
)  # fmt: skip
_VIEW_REFUSALS = (
    refusal((2, 3), ((5,),), RuntimeError, r"shape '\[5\]' is invalid for input of size 6"),
    refusal((2, 3), ((-1, -1),), RuntimeError, "only one dimension can be inferred"),
    refusal((2, 3), ((-2, 3),), RuntimeError, r"invalid shape dimension -2 at index 0 of shape \[-2, 3\]"),
    refusal((0, 3), ((-1, 0),), RuntimeError, "cannot reshape tensor of 0 elements into shape"),
)
_FLIP_FORMS = forms(
    ((2, 3), ((0,),)), ((2, 3), ((0, -1),)), ((2, 1), ((1,),)), ((3,), ((),)), ((), ((),)), ((0, 2), ((0,),))
)
_TRIANGLE_FORMS = forms(*(((3, 4), (k,)) for k in (0, 1, -2, 9, -9)), ((2, 3, 3), (1,)), ((0, 2), ()), ((2, 2), ()))

SAMPLES: list[Sample] = [
    # views
    Sample(
        "as_strided",
        _strided,
        contiguous_forms(
            ((3, 4), ((2, 2), (4, 1), 1)),
            ((3, 4), ((4, 3), (1, 4))),
            ((6,), ((4, 3), (1, 1))),
            ((3,), ((2, 3), (0, 1))),
            ((3,), ((), (), 2)),
            ((0,), ((0, 2), (1, 1))),
            ((), ((1,), (3,))),
        ),
        (
            refusal((2, 3), ((3,), (1, 2)), RuntimeError, "mismatch in length of strides and shape"),
            refusal((2, 3), ((30,), (1,)), RuntimeError, "are out of bounds for storage of size"),
            refusal((2, 3), ((2, 3), (3, 1), 1), RuntimeError, "are out of bounds for storage of size"),
            refusal((2, 3), ((3,), (-1,)), RuntimeError, "Negative strides are not supported"),
            refusal((2, 3), ((3,), (1,), -1), RuntimeError, "invalid storage offset -1"),
        ),
    ),
    Sample("detach", lambda self: self, forms(((2, 3), ()), ((), ()), ((0,), ()))),
    Sample("alias", lambda self: self, forms(((2, 3), ()), ((), ()), ((0,), ()))),
    Sample("view", lambda self, size: self.reshape(size), _VIEW_FORMS, _VIEW_REFUSALS),
    Sample("_unsafe_view", lambda self, size: self.reshape(size), _VIEW_FORMS, _VIEW_REFUSALS),
    Sample(
        "permute",
        lambda self, dims: self.transpose(dims),
        forms(((2, 3, 4), ((2, 0, 1),)), ((2, 3), ((-1, 0),)), ((), ((),)), ((0, 2), ((1, 0),))),
        (
            refusal((2, 3), ((0,),), RuntimeError, "number of dimensions in the tensor input does not match"),
            refusal((2, 3), ((0, 0),), RuntimeError, r"permute\(\): duplicate dims are not allowed"),
            refusal((2, 3), ((0, 5),), IndexError, OUT_OF_RANGE),
        ),
    ),
    Sample(
        "transpose.int",
        lambda self, dim0, dim1: np.swapaxes(self, dim0, dim1) if self.ndim else self,
        forms(((2, 3, 4), (0, -1)), ((2, 3), (1, 1)), ((), (0, -1)), ((0, 2), (0, 1))),
        (refusal((2, 3), (0, 2), IndexError, OUT_OF_RANGE),),
    ),
    Sample(
        "t",
        lambda self: self.T,
        forms(((2, 3), ()), ((3,), ()), ((), ()), ((0, 2), ())),
        (refusal((2, 3, 4), (), RuntimeError, r"t\(\) expects a tensor with <= 2 dimensions, but self is 3D"),),
    ),
    Sample("squeeze", _squeeze, forms(((1, 2, 1), ()), ((2, 3), ()), ((1,), ()), ((), ()), ((0, 1), ()))),
    Sample(
        "squeeze.dim",
        _squeeze,
        forms(((1, 2, 1), (0,)), ((1, 2, 1), (-1,)), ((1, 2, 1), (1,)), ((), (0,)), ((0, 1), (1,))),
        (refusal((2, 3), (5,), IndexError, OUT_OF_RANGE),),
    ),
    Sample(
        "squeeze.dims",
        _squeeze,
        forms(((1, 2, 1), ((0, -1),)), ((1, 2, 1), ((1,),)), ((1, 2), ((),)), ((), ((0,),))),
        (refusal((2, 3), ((0, 0),), RuntimeError, "dim 0 appears multiple times in the list of dims"),),
    ),
    Sample(
        "unsqueeze",
        np.expand_dims,
        forms(((2, 3), (0,)), ((2, 3), (1,)), ((2, 3), (-1,)), ((), (0,)), ((0,), (-2,))),
        (refusal((2, 3), (4,), IndexError, OUT_OF_RANGE),),
    ),
    Sample(
        "expand",
        _expand,
        forms(
            ((2, 1), ((2, 3),)),
            ((1, 3), ((4, -1, -1),)),
            ((), ((2, 2),)),
            ((1,), ((0,),)),
            ((2, 3), ((2, 3),)),
            ((1, 1), ((1, 1),)),
        ),
        (
            refusal((2, 3), ((3,),), RuntimeError, "the number of sizes provided .1. must be greater or equal"),
            refusal(
                (2, 3),
                ((3, 3),),
                RuntimeError,
                r"The expanded size of the tensor \(3\) must match the existing size \(2\)",
            ),
            refusal((2, 3), ((-1, 2, 3),), RuntimeError, "isn't allowed in a leading, non-existing dimension 0"),
        ),
    ),
    Sample(
        "select.int",
        lambda self, dim, index: np.take(self, index, dim),
        forms(((2, 3, 4), (1, 2)), ((2, 3), (-1, -3)), ((3,), (0, 1))),
        (
            refusal(
                (2, 3),
                (0, 2),
                IndexError,
                r"select\(\): index 2 out of range for tensor of size \[2, 3\] at dimension 0",
            ),
            refusal((2, 3), (2, 0), IndexError, OUT_OF_RANGE),
            refusal((), (0, 0), IndexError, r"select\(\) cannot be applied to a 0-dim tensor"),
        ),
    ),
    Sample(
        "slice.Tensor",
        _slice,
        forms(
            ((5, 3), (0, 1, 4, 2)),
            ((2, 6), (-1, -4, None, 3)),
            ((4,), (0, 3, 1, 1)),
            ((4,), (0, 1, 99)),
            ((4,), ()),
            ((0,), (0, 0, 1)),
        ),
        (
            refusal((2, 3), (0, 0, 5, 0), RuntimeError, "slice step must be positive"),
            refusal((2, 3), (3, 0, 5, 1), IndexError, OUT_OF_RANGE),
            refusal((), (0,), IndexError, r"slice\(\) cannot be applied to a 0-dim tensor"),
        ),
    ),
    Sample(
        "diagonal",
        np.diagonal,
        forms(((3, 4), ()), ((3, 4), (1,)), ((3, 4), (-2,)), ((2, 3, 4), (1, -1, 0)), ((2, 2), (5,)), ((0, 2), ())),
        (
            refusal((3,), (), IndexError, OUT_OF_RANGE),
            refusal((2, 3), (0, 0, 0), RuntimeError, "diagonal dimensions cannot be identical 0, 0"),
        ),
    ),
    Sample(
        "unbind.int",
        _unbind,
        forms(((2, 3), ()), ((2, 3), (-1,)), ((3,), ()), ((2, 0), (0,))),
        (refusal((), (), IndexError, "Dimension specified as 0 but tensor has no dimensions"),),
    ),
    Sample(
        "split.Tensor",
        _split,
        forms(((5, 2), (2,)), ((2, 4), (2, -1)), ((3,), (7,)), ((0, 2), (3,))),
        (
            refusal(
                (2, 3),
                (0,),
                RuntimeError,
                "split_size can only be 0 if dimension size is 0, but got dimension size of 2",
            ),
            refusal((2, 3), (-1,), RuntimeError, "split expects split_size be non-negative, but got split_size=-1"),
            refusal((), (1,), RuntimeError, "split expects at least a 1-dimensional tensor"),
        ),
    ),
    Sample(
        "split_with_sizes",
        _split_at,
        forms(((5, 2), ((2, 0, 3),)), ((2, 4), ((1, 3), -1)), ((0,), ((0, 0),))),
        (
            refusal(
                (2, 3), ((1, 2),), RuntimeError, r"split_sizes to sum exactly to 2 .* but got split_sizes=\[1, 2\]"
            ),
            refusal((2, 3), ((3, -1),), RuntimeError, "split_sizes have only non-negative entries"),
        ),
    ),
    # copies
    Sample(
        "cat",
        _cat,
        _cat_cases,
        (
            Refusal(([np.zeros(2), np.zeros(())],), RuntimeError, r"zero-dimensional tensor \(at position 1\)"),
            Refusal(
                ([np.zeros((2, 3)), np.zeros((4, 5))],),
                RuntimeError,
                "Sizes of tensors must match except in dimension 0. Expected size 3 but got size 5 for tensor number 1",
            ),
            Refusal(([np.zeros((2, 3)), np.zeros(3)],), RuntimeError, "same number of dimensions: got 2 and 1"),
            Refusal(([np.zeros(2)], 1), IndexError, OUT_OF_RANGE),
        ),
    ),
    Sample(
        "stack",
        lambda tensors, dim=0: np.stack([t.astype(_torch_promotion(tensors)) for t in tensors], dim),
        _stack_cases,
        (
            Refusal(
                ([np.zeros((2, 3)), np.zeros((4, 5))],),
                RuntimeError,
                r"stack expects each tensor to be equal size, but got \[2, 3\] at entry 0 and \[4, 5\] at entry 1",
            ),
            Refusal(([np.zeros(2)], 3), IndexError, OUT_OF_RANGE),
        ),
    ),
    Sample(
        "flip",
        lambda self, dims: np.flip(self, tuple(dims)),
        _FLIP_FORMS,
        (
            refusal((2, 3), ((3,),), IndexError, OUT_OF_RANGE),
            refusal((2, 3), ((0, 0),), RuntimeError, "dim 0 appears multiple times in the list of dims"),
        ),
    ),
    Sample(
        "roll",
        _roll,
        forms(
            ((2, 3), ((1,), (0,))),
            ((2, 3), ((-1, 5), (0, 1))),
            ((2, 3), ((2,),)),
            ((), ((1,),)),
            ((0, 2), ((1,), (0,))),
        ),
        (
            refusal((2, 3), ((1, 2), (0,)), RuntimeError, "shifts and dimensions must align. shifts: 2, dims:1"),
            refusal((2, 3), ((),), RuntimeError, "`shifts` required"),
            refusal((2, 3), ((1,), (3,)), IndexError, OUT_OF_RANGE),
        ),
    ),
    Sample(
        "repeat",
        np.tile,
        forms(
            ((2, 3), ((2, 1),)),
            ((2, 3), ((2, 1, 3),)),
            ((), ((3,),)),
            ((), ((),)),
            ((2,), ((0,),)),
            ((0, 2), ((2, 2),)),
        ),
        (refusal((2, 3), ((2,),), RuntimeError, "Number of dimensions of repeat dims can not be smaller"),),
    ),
    *(
        Sample(
            name,
            getattr(np, name),
            _TRIANGLE_FORMS,
            (refusal((3,), (), RuntimeError, f"{name}: input tensor must have at least 2 dimensions"),),
        )
        for name in ("tril", "triu")
    ),
    Sample(
        "as_strided_scatter",
        _strided_scatter,
        _scatter_cases,
        (
            Refusal(
                (np.zeros((2, 3)), np.zeros(4), (3,), (1,)),
                RuntimeError,
                r"expected src to have a size equal to the slice of self. src size = \[4\], slice size = \[3\]",
                in_torch=False,  # those are the words of PyTorch's op, not of what stands in for it
            ),
            Refusal((np.zeros((2, 3)), np.zeros(7), (7,), (1,)), RuntimeError, "are out of bounds for storage of size"),
        ),
        torch=_torch_strided_scatter,
    ),
    # gradients of views
    Sample(
        "select_backward",
        lambda grad_output, input_sizes, dim, index: _placed(
            input_sizes, _along(dim, len(input_sizes), index), grad_output
        ),
        _backward(((2, 4), ((2, 3, 4), 1, -1)), ((), ((3,), 0, 1)), ((0,), ((0, 2), -1, 0))),
    ),
    Sample(
        "slice_backward",
        lambda grad_output, input_sizes, dim, start, end, step: _placed(
            input_sizes, _along(dim, len(input_sizes), slice(start, end, step)), grad_output
        ),
        _backward(((2, 3), ((5, 3), 0, 1, 4, 2)), ((2, 1), ((2, 4), -1, 3, 4, 1)), ((0,), ((3,), 0, 2, 2, 1))),
    ),
    Sample(
        "diagonal_backward",
        _diagonal_backward,
        _backward(((3,), ((3, 4), 0, 0, 1)), ((2, 2), ((3, 2, 3), 1, 0, -1)), ((0,), ((2, 2), 4, 0, 1))),
    ),
    Sample(
        "as_strided_backward",
        _strided_backward,
        _strided_backward_cases,
        (
            Refusal(
                (np.zeros(2), (3,), (1,), 0, (3,), (1,), 0),
                RuntimeError,
                r"as_strided_backward needs a gradient of shape \[3\]",
                in_torch=False,
            ),
            Refusal(
                (np.zeros(3), (3,), (1,), 0, (3,), (-1,), 4), RuntimeError, "none of them negative", in_torch=False
            ),
        ),
        torch=_torch_strided_backward,
    ),
]
