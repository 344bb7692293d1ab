"""Attention as one op, which never holds all of its scores at once: their size grows with the square of the length.

Named as PyTorch's CPU op, so that graphs read alike; it runs on every backend. Semantics and refusals:
pytorch/aten/src/ATen/native/transformers/attention.cpp and sdp_utils_cpp.h. ATen's `dropout_p` is left out here, since
dropout takes the way through plain products; so does a mask that requires grad.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, bfloat16, bool_, float16, float32
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["check_attention"]


def check_attention(query: Meta, key: Meta, value: Meta, attn_mask: Meta | None, is_causal: bool) -> None:
    """Refuse what PyTorch's `validate_sdpa_input` does, in its words."""
    names = {
        "float16": "c10::Half",
        "bfloat16": "c10::BFloat16",
        "float32": "float",
        "float64": "double",
        "int64": "long",
        "int32": "int",
        "bool": "bool",
    }

    def name(meta: Meta) -> str:
        return names.get(meta.dtype.name, meta.dtype.name)

    if query.dtype is not key.dtype or query.dtype is not value.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {name(query)} key.dtype: "
            f"{name(key)} and value.dtype: {name(value)} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise RuntimeError(
            f"Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: {query.ndim} key.dim: "
            f"{key.ndim} and value.dim: {value.ndim} instead."
        )
    if query.dtype.category is not Category.FLOAT:
        raise RuntimeError(f"expected scalar type Float but found {torch_type_name(query.dtype)}")
    if attn_mask is not None and attn_mask.dtype not in (bool_, float32, query.dtype):
        raise RuntimeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{name(attn_mask)} and  query.dtype: {name(query)} instead."
        )
    if attn_mask is not None and is_causal:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")


def _check_shapes(query: Meta, key: Meta, value: Meta, attn_mask: Meta | None) -> None:
    batch = query.shape[:-2]
    if key.shape[:-2] != batch or value.shape[:-2] != batch:
        raise RuntimeError(f"attention needs query, key and value of one batch; got {query}, {key} and {value}")
    if query.shape[-1] != key.shape[-1]:
        raise RuntimeError(f"attention needs query.shape[-1] == key.shape[-1]; got {query} and {key}")
    if key.shape[-2] != value.shape[-2]:
        raise RuntimeError(f"attention needs key.shape[-2] == value.shape[-2]; got {key} and {value}")
    if attn_mask is not None:
        scores = (*batch, query.shape[-2], key.shape[-2])
        shape = broadcast_shapes(scores, attn_mask.shape)
        if shape != scores:
            raise RuntimeError(f"output with shape {list(scores)} doesn't match the broadcast shape {list(shape)}")


def _attention(
    query: Meta, key: Meta, value: Meta, is_causal: bool, attn_mask: Meta | None, scale: type
) -> tuple[Meta, Meta]:
    check_attention(query, key, value, attn_mask, is_causal)
    _check_shapes(query, key, value, attn_mask)
    shape = (*query.shape[:-1], value.shape[-1])
    return Meta.of(shape, query.dtype), Meta.of(
        shape[:-1], float32 if query.dtype in (float16, bfloat16) else query.dtype
    )


def _attention_backward(
    grad_out: Meta, query: Meta, key: Meta, value: Meta, out: Meta, logsumexp: Meta, is_causal: bool,
    attn_mask: Meta | None, scale: type,
) -> tuple[Meta, Meta, Meta]:  # fmt: skip
    expected = _attention(query, key, value, is_causal, attn_mask, scale)
    if grad_out.shape != expected[0].shape or out.shape != expected[0].shape or logsumexp.shape != expected[1].shape:
        raise RuntimeError(
            f"attention's backward needs grad_out and out like {expected[0]} and logsumexp like {expected[1]}; got "
            f"{grad_out}, {out} and {logsumexp}"
        )
    query_like, key_like, value_like = (Meta.of(meta.shape, meta.dtype) for meta in (query, key, value))
    return query_like, key_like, value_like


_NAME = "_scaled_dot_product_flash_attention_for_cpu"
_KEPT = "query key value attn_mask result result1"
op(f"{_NAME}(Tensor query, Tensor key, Tensor value, bool is_causal=False, *, Tensor? attn_mask=None, float? scale=None) "
   "-> (Tensor output, Tensor logsumexp)", _attention, {"query": _KEPT, "key": _KEPT, "value": _KEPT},
   node="ScaledDotProductFlashAttentionForCpuBackward0")  # fmt: skip
_KEPT = "grad_out query key value attn_mask"
op(f"{_NAME}_backward(Tensor grad_out, Tensor query, Tensor key, Tensor value, Tensor out, Tensor logsumexp, "
   "bool is_causal, *, Tensor? attn_mask=None, float? scale=None) -> (Tensor grad_query, Tensor grad_key, "
   "Tensor grad_value)", _attention_backward,
   {"grad_out": _KEPT, "query": _KEPT, "key": _KEPT, "value": _KEPT})  # fmt: skip
