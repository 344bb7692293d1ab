"""Composites of the attention family."""

from __future__ import annotations

import math
from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.dtypes import DType, bool_
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.ops.attention import check_attention

__all__ = ["AttentionComposites", "scale_of"]

_ATTENTION = OPS["_scaled_dot_product_flash_attention_for_cpu"]


def scale_of(query: Meta, scale: float | None) -> float:
    """Return what scores are multiplied by: 1 / sqrt(query.shape[-1]) where nothing is said."""
    return 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)


def _same_heads(query: Any, key: Any, value: Any) -> tuple[Any, Any]:
    """Repeat heads of the keys and of the values such that each serves its group of heads of the query."""
    heads = [_heads(tensor.meta) for tensor in (query, key, value)]
    if heads[1] == 0 or heads[2] == 0 or heads[0] % heads[1] or heads[0] % heads[2]:
        raise RuntimeError("Number of heads in key and value must divide the number of heads in ")
    key, value = (_repeated(tensor, heads[0] // count) for tensor, count in ((key, heads[1]), (value, heads[2])))
    return key, value


def _heads(meta: Meta) -> int:
    if meta.ndim < 3:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [-{meta.ndim}, {meta.ndim - 1}], but got -3)"
        )
    return meta.shape[-3]


def _repeated(tensor: Any, times: int) -> Any:
    if times == 1:
        return tensor
    *batch, heads, length, width = tensor.meta.shape
    wide = tensor.unsqueeze(-3).expand(*batch, heads, times, length, width)
    return wide.reshape(*batch, heads * times, length, width)


class AttentionComposites(Callable_):
    """Methods of the attention family that are written by hand."""

    __slots__ = ()

    def _safe_softmax(self, dim: int, dtype: DType | None = None) -> Any:
        """Compute softmax along `dim`, and zeros instead of NaN where every score is -inf."""
        me: Any = self
        hidden = me.eq(float("-inf")).all(dim, keepdim=True)
        # Filled before too: backward through the softmax of a row of -inf is NaN, whatever it is multiplied with.
        return me.masked_fill(hidden, 0).softmax(dim, dtype=dtype).masked_fill(hidden, 0)

    def _attention_weights(self, key: Any, attn_mask: Any, is_causal: bool, scale: float) -> Any:
        """Compute the safe softmax of the masked scores: (*, L, E), (*, S, E) -> (*, L, S)."""
        me: Any = self
        scores = (me * scale).matmul(key.transpose(-2, -1))
        if is_causal:
            attn_mask = me.new_ones(scores.meta.shape[-2:], dtype=bool_).tril()
        if attn_mask is None:
            return scores.softmax(-1)
        if attn_mask.meta.dtype is bool_:
            return scores.masked_fill(attn_mask.logical_not(), float("-inf"))._safe_softmax(-1)
        return scores.add(attn_mask)._safe_softmax(-1, scores.meta.dtype)

    def _attention_inputs(self, key: Any, value: Any, attn_mask: Any, is_causal: bool, enable_gqa: bool) -> Any:
        """Check what PyTorch checks; return query, key and value of one batch."""
        check_attention(self.meta, key.meta, value.meta, None if attn_mask is None else attn_mask.meta, is_causal)
        if enable_gqa:
            key, value = _same_heads(self, key, value)
        tensors: tuple[Any, ...] = (self, key, value)
        batch = broadcast_shapes(*(tensor.meta.shape[:-2] for tensor in tensors))
        return [
            tensor if tensor.meta.shape[:-2] == batch else tensor.expand(*batch, *tensor.meta.shape[-2:])
            for tensor in tensors
        ]

    def _attention(
        self, key: Any, value: Any, attn_mask: Any = None, is_causal: bool = False, scale: float | None = None
    ) -> Any:
        """Compute softmax(self @ key.T * scale + attn_mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V)."""
        tensors = (self, key, value, attn_mask)
        return self._call(_ATTENTION, tensors, (is_causal,), (scale_of(self.meta, scale),))[0]
