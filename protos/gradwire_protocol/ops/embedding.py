"""Looking rows of a weight up, one by one or in bags that are reduced. `mode` is ATen's number: 0 sum, 1 mean, 2 max.

Shapes and refusals: pytorch/aten/src/ATen/native/Embedding.cpp and EmbeddingBag.cpp. ATen's `sparse` is left out: it
chooses the layout of the weight's gradient, and there is but one.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, bfloat16, float16, float32, float64, int32, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

SUM, MEAN, MAX = range(3)


def _check_type(name: str, position: int, tensor: Meta, checking: str) -> None:
    if tensor.dtype not in (int64, int32):
        raise RuntimeError(
            f"Expected tensor for argument #{position} '{name}' to have one of the following scalar types: Long, Int; but "
            f"got torch.{torch_type_name(tensor.dtype)}Tensor instead (while checking arguments for {checking})"
        )


# ---------------------------------------------------------------- one by one
def _embedding(weight: Meta, indices: Meta, padding_idx: int, scale_grad_by_freq: bool) -> Meta:
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_type("indices", 1, indices, "embedding")
    return Meta.of((*indices.shape, weight.shape[1]), weight.dtype)


def _embedding_dense_backward(
    grad_output: Meta, indices: Meta, num_weights: int, padding_idx: int, scale_grad_by_freq: bool
) -> Meta:
    _check_type("indices", 2, indices, "embedding_dense_backward")
    if grad_output.shape[:-1] != indices.shape or not grad_output.ndim:
        raise RuntimeError(
            f"embedding_dense_backward needs a gradient of shape [*indices.shape, D]; got {grad_output} and {indices}"
        )
    return Meta.of((num_weights, grad_output.shape[-1]), grad_output.dtype)


def _embedding_renorm(self: Meta, indices: Meta, max_norm: type, norm_type: type) -> tuple[()]:
    if self.ndim != 2:
        raise RuntimeError(
            f"Expected 2-dimensional tensor, but got {self.ndim}-dimensional tensor for argument #1 'self' (while checking "
            "arguments for embedding_renorm_)"
        )
    if self.dtype.category is not Category.FLOAT:
        raise RuntimeError(f"embedding_renorm_ needs a floating-point weight; got {self}")
    _check_type("indices", 2, indices, "embedding_renorm_")
    return ()


op("embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False) -> Tensor", _embedding,
   {"weight": "indices"})  # fmt: skip
op("embedding_dense_backward(Tensor grad_output, Tensor indices, int num_weights, int padding_idx, "
   "bool scale_grad_by_freq) -> Tensor", _embedding_dense_backward, {"grad_output": "indices"})  # fmt: skip
op(
    "embedding_renorm_(Tensor(a!) self, Tensor indices, float max_norm, float norm_type) -> Tensor(a!)",
    _embedding_renorm,
)


# ---------------------------------------------------------------- in bags
def _check_weights(weight: Meta, indices: Meta, mode: int, per_sample_weights: Meta) -> None:
    if mode != SUM:
        raise RuntimeError("embedding_bag: per_sample_weights only supported with mode='sum'")
    if weight.dtype is not per_sample_weights.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 'per_sample_weights'; "
            f"but type torch.{torch_type_name(weight.dtype)}Tensor does not equal "
            f"torch.{torch_type_name(per_sample_weights.dtype)}Tensor (while checking arguments for embedding_bag)"
        )
    if per_sample_weights.shape != indices.shape:
        raise RuntimeError(
            f"embedding_bag needs a weight per sample, a vector of {indices.numel}; got {per_sample_weights}"
        )


def _embedding_bag(
    weight: Meta, indices: Meta, offsets: Meta, scale_grad_by_freq: bool, mode: int, per_sample_weights: Meta | None,
    include_last_offset: bool, padding_idx: int,
) -> tuple[Meta, ...]:  # fmt: skip
    if indices.ndim != 1:
        raise RuntimeError(f"input has to be a 1D Tensor, but got Tensor of dimension {indices.ndim}")
    if offsets.ndim != 1:
        raise RuntimeError(f"offsets has to be a 1D Tensor, but got Tensor of dimension {offsets.ndim}")
    if weight.ndim != 2:
        raise RuntimeError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.ndim}")
    for meta in (indices, offsets):
        _check_type("indices", 1, meta, "embedding_bag")
    if weight.dtype not in (float16, bfloat16, float32, float64):
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half, BFloat16, Float, "
            f"Double; but got torch.{torch_type_name(weight.dtype)}Tensor instead (while checking arguments for embedding_bag)"
        )
    if mode not in (SUM, MEAN, MAX):
        raise RuntimeError("`mode` must be sum, mean, or max.")
    if include_last_offset and not offsets.shape[0]:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    if per_sample_weights is not None:
        _check_weights(weight, indices, mode, per_sample_weights)
    bags, width = offsets.shape[0] - include_last_offset, weight.shape[1]
    largest = (bags, width) if mode == MAX else (bags,)
    return (
        Meta.of((bags, width), weight.dtype), Meta.of(indices.shape, int64), Meta.of((bags,), int64),
        Meta.of(largest, int64),
    )  # fmt: skip


# PyTorch returns no offset2bag where its fast path does without; here each index always has its bag.
op("_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, "
   "Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> "
   "(Tensor, Tensor, Tensor, Tensor)", _embedding_bag,
   {"weight": "indices per_sample_weights result1 result2 result3", "per_sample_weights": "weight indices result1"},
   node="EmbeddingBagBackward0")  # fmt: skip
