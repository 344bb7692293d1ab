"""Kernels and gradients of `gradwire_protocol.ops.attention`. float16 is computed in float32.

Both kernels go through the scores block by block, as many queries and batches at a time as a block of scores allows; the
backward computes them again. T. Dao et al., "FlashAttention", 2022, without its blocks of keys: a block holds whole rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.ops.row_sums import row_dots, row_sums
from gradwire_server.products import matmul
from gradwire_server.rules import joint_gradient, kernel

Array = Any
Block = tuple[slice, slice, slice]

# Scores held at once: on a CPU 1 MiB of float32, which a core's second-level cache holds with what is made of them. Fewer
# rows make matmul slow, and more rows of a causal block have more scores that do not count.
_CPU_BLOCK, _GPU_BLOCK, _FEWEST_ROWS, _CAUSAL_ROWS = 1 << 18, 1 << 20, 16, 256
# Scores between -20 and 20 have exponentials that neither overflow nor vanish, whatever is subtracted from them before.
_SMALL = 20.0

_NAME = "_scaled_dot_product_flash_attention_for_cpu"


class _Scores:
    """The masked scores of flattened batches: (B, L, E), (B, S, E) -> (B, L, S), a block at a time."""

    def __init__(
        self, xp: Any, query: Array, key: Array, is_causal: bool, attn_mask: Array | None, scale: float
    ) -> None:
        self.xp = xp
        self.query, self.key = flat(query), flat(key)
        self.is_causal = is_causal
        self.scale = self.query.dtype.type(scale)
        self.scaled = self.query * self.scale
        self.most = _GPU_BLOCK if getattr(xp, "__name__", "") == "cupy" else _CPU_BLOCK
        self.are_small = attn_mask is None and self._are_small()
        self.mask = None
        if attn_mask is not None:
            batch = query.shape[:-2]
            wide = attn_mask.reshape((1,) * (query.ndim - attn_mask.ndim) + attn_mask.shape)
            self.mask = wide.reshape((-1, *wide.shape[-2:]))
            # Which of the mask's batches each batch has: a mask is not copied to be broadcast.
            of_mask = xp.arange(self.mask.shape[0]).reshape(wide.shape[:-2])
            self.mask_of = xp.broadcast_to(of_mask, batch).reshape(-1)

    def _are_small(self) -> bool:
        """Return whether no score can be large, by the lengths of queries and keys; on a GPU to ask costs more than it saves."""
        if not self.scaled.size or not self.key.size or self.most == _GPU_BLOCK:
            return False
        lengths = [self.xp.matmul(a[..., None, :], a[..., None]).max().item() for a in (self.scaled, self.key)]
        return bool(lengths[0] * lengths[1] <= _SMALL**2)

    def blocks(self) -> Iterator[Block]:
        """Yield which batches, queries and keys go together; a causal block needs no keys behind its last query."""
        batches, rows, width = self.query.shape[0], self.query.shape[1], self.key.shape[1]
        step = min(rows, max(_FEWEST_ROWS, self.most // max(width, 1)), _CAUSAL_ROWS if self.is_causal else rows)
        many = max(1, self.most // max(step * width, 1))
        for first in range(0, batches, many):
            for row in range(0, rows, step):
                end = min(row + step, rows)
                yield slice(first, first + many), slice(row, end), slice(min(width, end) if self.is_causal else width)

    def exponentials(self, block: Block, shift: Array | None) -> tuple[Array, Any]:
        """Return exp(scores - shift), 0 where masked out, and the shift; None asks for one that prevents overflow."""
        xp = self.xp
        if not self.are_small:
            scores = self._masked(block)
            if shift is None:
                highest = scores.max(axis=-1, keepdims=True)
                shift = xp.where(xp.isneginf(highest), highest.dtype.type(0), highest)
            return xp.exp(xp.subtract(scores, shift, out=scores), out=scores), shift
        scores = self._products(block)
        if shift is not None:
            xp.subtract(scores, shift, out=scores)
        xp.exp(scores, out=scores)
        if self.is_causal:
            xp.multiply(scores, self._seen(block).astype(scores.dtype), out=scores)
        return scores, 0 if shift is None else shift

    def _products(self, block: Block) -> Array:
        batch, rows, keys = block
        return matmul(self.xp, self.scaled[batch, rows], self.key[batch, keys].swapaxes(-1, -2))

    def _seen(self, block: Block) -> Array:
        _, rows, keys = block
        return self.xp.arange(keys.stop) <= self.xp.arange(rows.start, rows.stop).reshape(-1, 1)

    def _masked(self, block: Block) -> Array:
        """Compute a block; what is masked out is -inf."""
        xp, (batch, rows, _) = self.xp, block
        scores = self._products(block)
        hidden = -xp.inf
        if self.is_causal:
            scores = xp.where(self._seen(block), scores, scores.dtype.type(hidden))
        if self.mask is not None:
            mask = self.mask if self.mask.shape[0] == 1 else self.mask[self.mask_of[batch]]
            mask = mask if mask.shape[1] == 1 else mask[:, rows]
            if mask.dtype.kind == "b":
                return xp.where(mask, scores, scores.dtype.type(hidden))
            scores = scores + mask.astype(scores.dtype, copy=False)
        return scores


def flat(array: Array) -> Array:
    """View all batch axes as one; float16 as float32."""
    return widened(array).reshape((math.prod(array.shape[:-2]), *array.shape[-2:]))


def _rows(array: Array) -> Array:
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


@kernel(_NAME)
def attention(
    xp: Any, query: Array, key: Array, value: Array, is_causal: bool, attn_mask: Array | None, scale: float,
    result: tuple[Meta, Meta],
) -> tuple[Array, Array]:  # fmt: skip
    """Compute softmax(q k.T scale + mask) v, and the log of the sum of each row's exponentials.

    A row that is masked out everywhere gives zeros for both, as in PyTorch.
    """
    scores, values = _Scores(xp, query, key, is_causal, attn_mask, scale), flat(value)
    out = xp.zeros((values.shape[0], query.shape[-2], values.shape[-1]), values.dtype)
    logsumexp = xp.zeros(out.shape[:2], out.dtype)
    if not key.shape[-2] or not out.shape[1]:
        return in_dtype(out.reshape(result[0].shape), result[0]), logsumexp.reshape(result[1].shape)
    for block in scores.blocks():
        batch, rows, keys = block
        weights, shift = scores.exponentials(block, None)
        total = row_sums(xp, _rows(weights)).reshape(*weights.shape[:-1], 1)
        total = xp.where(total == 0, total.dtype.type(1), total)
        out[batch, rows] = matmul(xp, weights, values[batch, keys]) / total
        logsumexp[batch, rows] = (shift + xp.log(total))[..., 0]
    return in_dtype(out.reshape(result[0].shape), result[0]), logsumexp.reshape(result[1].shape)


def _add_product(xp: Any, total: Array, transposed: Array, factor: Array, block: Block) -> None:
    """Add transposed.T @ factor to what a block's keys have so far."""
    batch, rows, keys = block
    if rows.start == 0:  # nothing is there yet
        matmul(xp, transposed.swapaxes(-1, -2), factor, out=total[batch, keys])
    else:
        total[batch, keys] += matmul(xp, transposed.swapaxes(-1, -2), factor)


@kernel(f"{_NAME}_backward")
def attention_backward(
    xp: Any, grad_out: Array, query: Array, key: Array, value: Array, out: Array, logsumexp: Array, is_causal: bool,
    attn_mask: Array | None, scale: float, result: tuple[Meta, ...],
) -> tuple[Array, ...]:  # fmt: skip
    """With weights P: dV = P.T g; dS = P (g V.T - sum(g o)); dQ = dS K scale; dK = dS.T Q scale."""
    scores, values = _Scores(xp, query, key, is_causal, attn_mask, scale), flat(value)
    g, norm = flat(grad_out), logsumexp.reshape((*scores.query.shape[:2], 1))
    dot = row_dots(xp, _rows(g), _rows(flat(out))).reshape(norm.shape)
    by_query, by_key, by_value = (xp.zeros(array.shape, g.dtype) for array in (scores.query, scores.key, values))
    if key.shape[-2] and query.shape[-2]:
        for block in scores.blocks():
            batch, rows, keys = block
            weights, _ = scores.exponentials(block, norm[batch, rows])
            _add_product(xp, by_value, weights, g[batch, rows], block)
            slope = matmul(xp, g[batch, rows], values[batch, keys].swapaxes(-1, -2))
            slope -= dot[batch, rows]
            slope *= weights
            matmul(xp, slope, scores.key[batch, keys], out=by_query[batch, rows])
            _add_product(xp, by_key, slope, scores.scaled[batch, rows], block)
        by_query *= scores.scale
    found = zip((by_query, by_key, by_value), result, strict=True)
    return tuple(in_dtype(array.reshape(meta.shape), meta) for array, meta in found)


@joint_gradient(_NAME)
def attention_gradient(g: Array, call: Any) -> dict[str, Array]:
    """See the kernel of the backward; the log of the sums is no differentiable output, as in PyTorch."""
    found = g._scaled_dot_product_flash_attention_for_cpu_backward(
        call.query, call.key, call.value, call.result, call.result1, call.is_causal, attn_mask=call.attn_mask,
        scale=call.scale,
    )  # fmt: skip
    return dict(zip(("query", "key", "value"), found, strict=True))


def _turned(array: Array) -> Array:
    return array.transpose(-2, -1)


@joint_gradient(f"{_NAME}_backward")
def attention_backward_gradient(g: Array, call: Any) -> dict[str, Array]:
    """Differentiate a . dQ + b . dK + c . dV, where a, b, c are the gradients that come in, with all scores at once.

    With Z = scale (a K.T + Q b.T), the gradient of dS, and D = g V.T: that of D is W = P (Z - sum(P Z)), that of P is
    g c.T + Z (D - sum(P D)) - D sum(P Z), and that of the scores follows by the derivative of softmax.
    """
    q, k, v, scale = call.query, call.key, call.value, call.scale
    grad = call.grad_out
    a, b, c = (
        g.new_zeros(like.shape) if part is None else part for part, like in zip(call.grads, (q, k, v), strict=True)
    )
    weights = q._attention_weights(k, call.attn_mask, call.is_causal, scale)
    slope = grad.matmul(_turned(v))
    by_slope = (a.matmul(_turned(k)) + q.matmul(_turned(b))) * scale

    def along(array: Array) -> Array:
        return (weights * array).sum(-1, True)

    through = weights * (by_slope - along(by_slope))
    score_slope = weights * (slope - along(slope)) * scale
    by_weights = grad.matmul(_turned(c)) + by_slope * (slope - along(slope)) - slope * along(by_slope)
    by_scores = weights * (by_weights - along(by_weights)) * scale
    return {
        "grad_out": weights.matmul(c) + through.matmul(v),
        "query": score_slope.matmul(b) + by_scores.matmul(k),
        "key": _turned(score_slope).matmul(a) + _turned(by_scores).matmul(q),
        "value": _turned(through).matmul(grad),
    }
