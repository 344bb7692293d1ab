"""Attention, and attention of many heads between projections."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from gradwire import random
from gradwire.functions.joining import cat
from gradwire.nn.functional.dropout import dropout
from gradwire.nn.functional.linear import linear
from gradwire.tensor import Tensor
from gradwire_protocol.composites.attention import scale_of
from gradwire_protocol.dtypes import DType, bool_

__all__ = ["canonical_mask", "each_once", "multi_head_attention_forward", "scaled_dot_product_attention"]

Tensors = tuple[Tensor, Tensor, Tensor]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return softmax(query @ key.T * scale + attn_mask) @ value: (*, L, E), (*, S, E), (*, S, V) -> (*, L, V).

    A bool mask says what takes part; a row without any gives zeros. `scale` is 1 / sqrt(E) where none is given. With
    `enable_gqa`, heads (axis -3) of keys and values serve groups of heads of the query. Dropout always applies, and holds
    all weights in memory, as does a mask that requires grad.
    """
    if not 0 <= dropout_p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {dropout_p:g}")
    query, key, value = query._attention_inputs(key, value, attn_mask, is_causal, enable_gqa)
    if dropout_p == 0 and (attn_mask is None or not attn_mask.requires_grad):
        whole: Tensor = query._attention(key, value, attn_mask, is_causal, scale)
        return whole
    weights = query._attention_weights(key, attn_mask, is_causal, scale_of(query.meta, scale))
    mixed: Tensor = random.dropout(weights, dropout_p, True).matmul(value)
    return mixed


def canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other: Tensor | None,
    other_name: str,
    target_type: DType,
    check_other: bool = True,
) -> Tensor | None:
    """Return a mask as what is added to scores: of a bool one, -inf where it is True."""
    if mask is None:
        return None
    if mask.dtype is not bool_ and not mask.dtype.is_floating_point:
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other is not None and mask.dtype is not other.dtype:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if mask.dtype is bool_:
        added: Tensor = mask.zeros_like(dtype=target_type).masked_fill(mask, float("-inf"))
        return added
    return mask


# ---------------------------------------------------------------- many heads
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Return attention of `num_heads` heads, and its weights if they are needed: (L, N, E), (S, N, E) -> (L, N, E), (N, L, S).

    Without the axis N for a single sequence. A bool mask here says what does not take part. See `MultiheadAttention`.
    """
    is_batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not is_batched:
        query, key, value = each_once(lambda tensor: tensor.unsqueeze(1), query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    key_padding_mask, attn_mask, is_causal = _masks(query, key_padding_mask, attn_mask, is_causal, need_weights)
    _check_widths(query, key, value, embed_dim_to_check, num_heads, use_separate_proj_weight)
    weights = (in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight)
    q, k, v = _project((query, key, value), weights, in_proj_bias, use_separate_proj_weight)
    attn_mask = _three_axes(attn_mask, query, key, num_heads)
    k, v, added = _with_bias(k, v, bias_k, bias_v, static_k, static_v)
    q = _split_heads(q, num_heads)
    k = _split_heads(k, num_heads) if static_k is None else _static("static_k", static_k, q)
    v = _split_heads(v, num_heads) if static_v is None else _static("static_v", static_v, q)
    if add_zero_attn:
        k, v = (cat([tensor, tensor.new_zeros((tensor.shape[0], 1, tensor.shape[2]))], 1) for tensor in (k, v))
        added += 1
    attn_mask = _merged(attn_mask, key_padding_mask, added, query.shape[1], num_heads, k.shape[1])
    output, found = _attend(q, k, v, attn_mask, is_causal, dropout_p if training else 0.0, need_weights, num_heads)
    output = linear(output, out_proj_weight, out_proj_bias)
    output = output.view(*query.shape[:2], output.shape[1])
    if found is not None and average_attn_weights:
        found = found.mean(1)
    if not is_batched:
        return output.squeeze(1), None if found is None else found.squeeze(0)
    return output, found


def each_once(change: Callable[[Tensor], Tensor], query: Tensor, key: Tensor, value: Tensor) -> Tensors:
    """Change all three, such that those that are one tensor stay one: their projections then are one product."""
    changed = {id(tensor): change(tensor) for tensor in {id(t): t for t in (query, key, value)}.values()}
    return changed[id(query)], changed[id(key)], changed[id(value)]


def _check_shapes(
    query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, num_heads: int
) -> bool:
    """Return whether there is an axis of a batch."""
    ndim = query.dim()
    if ndim not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {ndim}-D query tensor")
    kind = "batched" if ndim == 3 else "unbatched"
    if key.dim() != ndim or value.dim() != ndim:
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `key` and `value` to be {ndim}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != ndim - 1:
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `key_padding_mask` to be `None` or {ndim - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.dim() not in (2, 3):
        raise AssertionError(
            f"For {kind} ({ndim}-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D "
            "tensor instead"
        )
    if ndim == 2 and attn_mask is not None and attn_mask.dim() == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if tuple(attn_mask.shape) != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return ndim == 3


def _masks(
    query: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None, is_causal: bool, need_weights: bool
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Return both masks as what is added to scores; or no mask, where `is_causal` says as much as it does."""
    key_padding_mask = canonical_mask(key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        return None, None, True
    attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
    return key_padding_mask, attn_mask, False


def _check_widths(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, separate: bool
) -> None:
    width = query.shape[-1]
    if width != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {width}")
    if width % num_heads:
        raise AssertionError(f"embed_dim {width} not divisible by num_heads {num_heads}")
    if separate:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")


def _project(tensors: Tensors, weights: Any, bias: Tensor | None, separate: bool) -> Tensors:
    """Project query, key and value by a weight each, or by parts of one weight."""
    packed, *apart = weights
    if separate:
        for name, weight in zip("qkv", apart, strict=True):
            if weight is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
        return _project_apart(tensors, apart, bias)
    if packed is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    query, key, value = tensors
    if query is key and key is value:
        q, k, v = linear(query, packed, bias).chunk(3, -1)
        return q, k, v
    parts = zip(tensors, packed.chunk(3), _thirds(bias), strict=True)
    q, k, v = (linear(tensor, weight, part) for tensor, weight, part in parts)
    return q, k, v


def _thirds(bias: Tensor | None) -> Any:
    return (None, None, None) if bias is None else bias.chunk(3)


def _project_apart(tensors: Tensors, weights: list[Tensor], bias: Tensor | None) -> Tensors:
    width = tensors[0].shape[-1]
    biases = _thirds(bias)
    for name, tensor, weight in zip(("query", "key", "value"), tensors, weights, strict=True):
        expected = (width, tensor.shape[-1])
        if tuple(weight.shape) != expected:
            raise AssertionError(f"expecting {name} weights shape of {expected}, but got {weight.shape}")
    for name, part in zip(("query", "key", "value"), biases, strict=True):
        if part is not None and tuple(part.shape) != (width,):
            raise AssertionError(f"expecting {name} bias shape of {(width,)}, but got {part.shape}")
    q, k, v = (linear(tensor, weight, part) for tensor, weight, part in zip(tensors, weights, biases, strict=True))
    return q, k, v


def _three_axes(mask: Tensor | None, query: Tensor, key: Tensor, num_heads: int) -> Tensor | None:
    """Return a mask with an axis for batches times heads."""
    if mask is None:
        return None
    lengths = (query.shape[0], key.shape[0])
    expected = lengths if mask.dim() == 2 else (query.shape[1] * num_heads, *lengths)
    if tuple(mask.shape) != expected:
        raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}.")
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _with_bias(
    k: Tensor, v: Tensor, bias_k: Tensor | None, bias_v: Tensor | None, static_k: Tensor | None, static_v: Tensor | None
) -> tuple[Tensor, Tensor, int]:
    """Append the learned key and value to the sequences, if there are any; return by how much they grew."""
    if bias_k is None and bias_v is None:
        return k, v, 0
    if bias_k is None or bias_v is None:
        present, absent = ("bias_k", "bias_v") if bias_v is None else ("bias_v", "bias_k")
        raise AssertionError(f"{present} is set but {absent} is None")
    if static_k is not None:
        raise AssertionError("bias cannot be added to static key.")
    if static_v is not None:
        raise AssertionError("bias cannot be added to static value.")
    batch = k.shape[1]
    return cat([k, bias_k.repeat(1, batch, 1)]), cat([v, bias_v.repeat(1, batch, 1)]), 1


def _split_heads(tensor: Tensor, num_heads: int) -> Tensor:
    """(L, N, E) -> (N * H, L, E / H)."""
    length, batch, width = tensor.shape
    return tensor.reshape(length, batch * num_heads, width // num_heads).transpose(0, 1)


def _static(name: str, tensor: Tensor, q: Tensor) -> Tensor:
    for axis in (0, 2):
        if tensor.shape[axis] != q.shape[axis]:
            raise AssertionError(f"expecting {name}.size({axis}) of {q.shape[axis]}, but got {tensor.shape[axis]}")
    return tensor


def _widened(mask: Tensor, added: int) -> Tensor:
    """Let a mask see what was appended to the keys."""
    return cat([mask, mask.new_zeros((*mask.shape[:-1], added))], -1) if added else mask


def _merged(
    attn_mask: Tensor | None, padding: Tensor | None, added: int, batch: int, num_heads: int, length: int
) -> Tensor | None:
    """Return one mask of both: (1 or N * H, L or 1, S)."""
    if attn_mask is not None:
        attn_mask = _widened(attn_mask, added)
    if padding is None:
        return attn_mask
    padding = _widened(padding, added)
    for axis, expected in enumerate((batch, length)):
        if padding.shape[axis] != expected:
            raise AssertionError(
                f"Expected key_padded_mask.shape[{axis}] to be {expected}, but got {padding.shape[axis]}"
            )
    padding = padding.view(batch, 1, 1, length).expand(-1, num_heads, -1, -1).reshape(batch * num_heads, 1, length)
    return padding if attn_mask is None else attn_mask + padding


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    dropout_p: float,
    need_weights: bool,
    heads: int,
) -> tuple[Tensor, Tensor | None]:
    """Return (L * N, E), and the weights (N, H, L, S) if they are needed."""
    many, length, width = q.shape
    batch = many // heads
    if not need_weights:
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.view(batch, heads, -1, k.shape[1])
        q, k, v = (tensor.reshape(batch, heads, tensor.shape[1], width) for tensor in (q, k, v))
        mixed = scaled_dot_product_attention(q, k, v, mask, dropout_p, is_causal)
        return mixed.permute(2, 0, 1, 3).reshape(length * batch, heads * width), None
    scaled, turned = q * math.sqrt(1.0 / width), k.transpose(-2, -1)
    weights = (scaled.bmm(turned) if mask is None else mask.baddbmm(scaled, turned)).softmax(-1)
    weights = dropout(weights, dropout_p) if dropout_p > 0 else weights
    mixed = weights.bmm(v).transpose(0, 1).reshape(length * batch, heads * width)
    return mixed, weights.view(batch, heads, length, k.shape[1])
