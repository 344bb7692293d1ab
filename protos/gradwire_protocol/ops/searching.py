"""Finding elements: by truth (`nonzero`, masks), by value (`searchsorted`, `isin`), and counting what is found.

Where the size of a result depends on values, the caller finds it first (it waits for a count) and passes it on, so that
a shape rule always knows it. Refusals: pytorch/aten/src/ATen/native/{TensorAdvancedIndexing,Bucketization}.cpp.
"""

from __future__ import annotations

from gradwire_protocol import infer
from gradwire_protocol.dtypes import bool_, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name

__all__: list[str] = []

Shape = tuple[int, ...]


# ---------------------------------------------------------------- by truth
def _nonzero_static(self: Meta, size: int, fill_value: int) -> Meta:
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    return Meta.of((size, self.ndim), int64)


def _masked_select(self: Meta, mask: Meta, size: int) -> Meta:
    infer.broadcast_shapes(self.shape, mask.shape)
    return Meta.of((size,), self.dtype)


def _check_mask(self: Meta, mask: Meta, source: Meta) -> None:
    if mask.dtype is not bool_:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {torch_type_name(mask.dtype)}"
        )
    if self.dtype is not source.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got{torch_type_name(self.dtype)} and "
            f"{torch_type_name(source.dtype)}"
        )


def _masked_scatter(self: Meta, mask: Meta, source: Meta) -> Meta:
    shape = infer.broadcast_shapes(self.shape, mask.shape)
    _check_mask(self, mask, source)
    return Meta.of(shape, self.dtype)


def _masked_scatter_inplace(self: Meta, mask: Meta, source: Meta) -> tuple[()]:
    _check_mask(self, mask, source)
    if infer.broadcast_shapes(self.shape, mask.shape) != self.shape:
        raise RuntimeError(
            f"masked_scatter_ needs a mask that broadcasts to self; got a mask of shape {list(mask.shape)} and self of "
            f"shape {list(self.shape)}"
        )
    check_no_overlap(self)
    return ()


def _masked_scatter_backward(grad_output: Meta, mask: Meta, sizes: Shape) -> Meta:
    return Meta.of(sizes, grad_output.dtype)


op("nonzero_static(Tensor self, *, int size, int fill_value=-1) -> Tensor", _nonzero_static)
# ATen's has no `size`, which is how often the mask is true in the common shape.
op("gw::masked_select(Tensor self, Tensor mask, int size) -> Tensor", _masked_select, {"self": "mask"},
   node="MaskedSelectBackward0")  # fmt: skip
_SCATTERED = {"self": "mask", "source": "mask"}
op("masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", _masked_scatter, _SCATTERED)
op("masked_scatter_(Tensor(a!) self, Tensor mask, Tensor source) -> Tensor(a!)", _masked_scatter_inplace, _SCATTERED)
op("masked_scatter_backward(Tensor grad_output, Tensor mask, int[] sizes) -> Tensor", _masked_scatter_backward,
   {"grad_output": "mask"})  # fmt: skip
