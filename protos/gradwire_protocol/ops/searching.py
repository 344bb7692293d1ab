"""Finding elements: by truth (`nonzero`, masks), by value (`searchsorted`, `isin`), and counting what is found.

Where the size of a result depends on values, the caller finds it first (it waits for a count) and passes it on, so that
a shape rule always knows it. Refusals: pytorch/aten/src/ATen/native/{TensorAdvancedIndexing,Bucketization}.cpp.
"""

from __future__ import annotations

import math

from gradwire_protocol import infer
from gradwire_protocol.dtypes import Category, bool_, float32, float64, int32, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import unsupported
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name

__all__ = ["check_bincount"]

Shape = tuple[int, ...]

_C_NAMES = {
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "int64": "long int",
    "int32": "int",
}


def _c_name(meta: Meta) -> str:
    return _C_NAMES.get(meta.dtype.name, meta.dtype.name)


# ---------------------------------------------------------------- by truth
def _nonzero_static(self: Meta, size: int, fill_value: int) -> Meta:
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    return Meta.of((size, self.ndim), int64)


def _masked_select(self: Meta, mask: Meta, size: int) -> Meta:
    shape = infer.broadcast_shapes(self.shape, mask.shape)
    if mask.dtype is not bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    if not 0 <= size <= math.prod(shape):
        raise RuntimeError(f"masked_select picks at most all elements of {list(shape)}; got {size}")
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


# ---------------------------------------------------------------- by value
def _searchsorted(
    sorted_sequence: Meta, self: Meta, out_int32: bool, right: bool, side: str | None, sorter: Meta | None
) -> Meta:
    if side not in (None, "left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True"
        )
    _check_boundaries(sorted_sequence, self)
    if sorter is not None:
        _check_sorter(sorted_sequence, sorter)
    if sorted_sequence.dtype.is_complex or sorted_sequence.dtype is bool_:
        raise unsupported("searchsorted_out_cpu", sorted_sequence.dtype)
    return Meta.of(self.shape, int32 if out_int32 else int64)


def _check_boundaries(boundaries: Meta, self: Meta) -> None:
    if not boundaries.ndim:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    if boundaries.ndim == 1:
        return
    if not self.ndim:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we got "
            f"boundaries tensor dim({boundaries.ndim}) and input value's dim(0) numel(1)"
        )
    if boundaries.shape[:-1] != self.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries tensor {list(boundaries.shape)} and input "
            f"value tensor {list(self.shape)}"
        )


def _check_sorter(boundaries: Meta, sorter: Meta) -> None:
    if sorter.shape != boundaries.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
            f"{list(boundaries.shape)}and got sorter tensor {list(sorter.shape)}"
        )
    if sorter.dtype is not int64:
        raise RuntimeError(
            f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {torch_type_name(sorter.dtype)}"
        )


def _isin(elements: Meta, test_elements: Meta, assume_unique: bool, invert: bool) -> Meta:
    for meta in (elements, test_elements):
        if meta.dtype.is_complex or meta.dtype is bool_:
            raise RuntimeError(f"Unsupported input type encountered for isin(): {torch_type_name(meta.dtype)}")
    return Meta.of(elements.shape, bool_)


op("searchsorted.Tensor(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, "
   "Tensor? sorter=None) -> Tensor", _searchsorted)  # fmt: skip
op("isin.Tensor_Tensor(Tensor elements, Tensor test_elements, *, bool assume_unique=False, bool invert=False) -> Tensor",
   _isin)  # fmt: skip


# ---------------------------------------------------------------- counting
def check_bincount(self: Meta, weights: Meta | None, minlength: int) -> None:
    """Refuse what `bincount` cannot count, in PyTorch's words."""
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if self.dtype.category is not Category.INT:
        raise unsupported("bincount_cpu", self.dtype)
    if self.ndim != 1:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and (weights.ndim != 1 or weights.numel != self.numel):
        raise RuntimeError("weights should be 1-d and have the same length as input")


def _bincount(self: Meta, weights: Meta | None, size: int) -> Meta:
    check_bincount(self, weights, size)
    if weights is None:
        return Meta.of((size,), int64)
    return Meta.of((size,), float32 if weights.dtype is float32 else float64)


def _repeat_interleave(repeats: Meta, output_size: int) -> Meta:
    if repeats.dtype not in (int64, int32):
        raise unsupported("repeat_interleave_cpu", repeats.dtype)
    if repeats.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    return Meta.of((output_size,), repeats.dtype)


def _real_floats(kernel: str, self: Meta) -> None:
    if not self.dtype.is_floating_point:
        raise unsupported(kernel, self.dtype)


def _check_bins(bins: int) -> None:
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")


def _histc(self: Meta, bins: int, low: type, high: type) -> Meta:
    _check_bins(bins)
    _real_floats("histogram_cpu", self)
    return Meta.of((bins,), self.dtype)


def _bin_edges(self: Meta, bins: int, low: type, high: type) -> Meta:
    _check_bins(bins)
    _real_floats("histogram_cpu", self)
    return Meta.of((bins + 1,), self.dtype)


def _check_weight(self: Meta, weight: Meta) -> None:
    if weight.shape != self.shape[:-1]:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor excluding "
            f"its innermost dimension, but got input with shape {list(self.shape)} and weight with shape "
            f"{list(weight.shape)}"
        )
    if weight.dtype is not self.dtype:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided, input tensor and weight tensor should have the same dtype, "
            f"but got input({_c_name(self)}), and weight({_c_name(weight)})"
        )


def _histogramdd(self: Meta, bins: tuple[Meta, ...], weight: Meta | None, density: bool) -> Meta:
    if self.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    if len(bins) != self.shape[-1]:
        raise RuntimeError(
            f"torch.histogramdd: expected {self.shape[-1]} sequences of bin edges for a {self.shape[-1]}-dimensional "
            f"histogram but got {len(bins)}"
        )
    for axis, edges in enumerate(bins):
        if edges.dtype is not self.dtype:
            raise RuntimeError(
                "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype "
                f"{_c_name(self)} and bins for dimension {axis} with dtype {_c_name(edges)}"
            )
        if edges.ndim != 1:
            raise RuntimeError(
                f"torch.histogramdd: bins tensor should have one dimension, but got {edges.ndim} dimensions in the bins "
                f"tensor for dimension {axis}"
            )
        if not edges.numel:
            raise RuntimeError(
                "torch.histogramdd: bins tensor should have at least 1 element, but got 0 elements in the bins tensor for "
                f"dimension {axis}"
            )
    if weight is not None:
        _check_weight(self, weight)
    _real_floats("histogram_cpu", self)
    return Meta.of(tuple(edges.numel - 1 for edges in bins), self.dtype)


# ATen's have no sizes: the caller finds them (and waits for the one number that takes).
op("gw::bincount(Tensor self, Tensor? weights, int size) -> Tensor", _bincount)
op("gw::repeat_interleave(Tensor repeats, int output_size) -> Tensor", _repeat_interleave)
op("histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", _histc)
# The edges of `bins` bins of equal width from `low` to `high`; without these, around all elements.
op("gw::bin_edges(Tensor self, int bins, Scalar? low=None, Scalar? high=None) -> Tensor", _bin_edges)
op("_histogramdd_from_bin_tensors(Tensor self, Tensor[] bins, *, Tensor? weight=None, bool density=False) -> Tensor",
   _histogramdd)  # fmt: skip
# A condition that only values can show, for composites: `self` again, or a RuntimeError in these words.
op("gw::require(Tensor self, Tensor condition, str message) -> Tensor",
   lambda self, condition, message: infer.like(self), {"self": ""})  # fmt: skip
