"""Samples of the attention family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample

Array = Any
NAME = "_scaled_dot_product_flash_attention_for_cpu"
SCALE = 0.7


def _inputs(rng: np.random.Generator) -> Iterator[tuple[Array, Array, Array, bool, Array | None]]:
    def draw(*sizes: int) -> Array:
        return rng.standard_normal(sizes)

    lower = np.tril(np.ones((3, 4), bool))
    yield draw(2, 2, 3, 5), draw(2, 2, 4, 5), draw(2, 2, 4, 5), False, None
    yield draw(1, 2, 3, 5), draw(1, 2, 4, 5), draw(1, 2, 4, 5), True, None
    yield draw(1, 2, 4, 5), draw(1, 2, 3, 5), draw(1, 2, 3, 5), True, None
    yield draw(1, 2, 3, 5), draw(1, 2, 4, 5), draw(1, 2, 4, 5), False, draw(3, 4)
    yield draw(2, 2, 3, 5), draw(2, 2, 4, 5), draw(2, 2, 4, 5), False, draw(2, 1, 3, 4)
    yield draw(1, 1, 3, 2), draw(1, 1, 4, 2), draw(1, 1, 4, 2), False, lower
    yield draw(1, 1, 3, 2), draw(1, 1, 4, 2), draw(1, 1, 4, 2), False, lower & (np.arange(3) > 0)[:, None]
    single = draw(3, 1, 1, 3, 2).astype(np.float32)
    yield single[0], single[1], single[2], False, None
    yield draw(1, 2, 5, 3).transpose(0, 1, 3, 2), draw(1, 2, 4, 5), draw(1, 2, 4, 5), False, None


def _weights(query: Array, key: Array, is_causal: bool, attn_mask: Any, scale: float) -> tuple[Array, Array]:
    """Return the weights, and the log of the sums of exponentials."""
    scores = query @ np.swapaxes(key, -1, -2) * scale
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    total = np.exp(scores).sum(-1)
    total = np.log(np.where(total == 0, 1, total))
    return np.exp(scores - total[..., None]), total


def _attention(
    query: Array, key: Array, value: Array, is_causal: bool = False, *, attn_mask: Any = None, scale: Any = None
) -> Any:
    weights, total = _weights(query, key, is_causal, attn_mask, scale)
    return (weights @ value).astype(query.dtype), total.astype(query.dtype)


def _cases(rng: np.random.Generator) -> Iterator[Case]:
    for query, key, value, is_causal, attn_mask in _inputs(rng):
        yield Case((query, key, value, is_causal), {"attn_mask": attn_mask, "scale": SCALE})


def _backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    for query, key, value, is_causal, attn_mask in _inputs(rng):
        found = _attention(query, key, value, is_causal, attn_mask=attn_mask, scale=SCALE)
        g = rng.standard_normal(found[0].shape).astype(query.dtype)
        # Output and logsumexp are functions of the rest: finite differences that hold them fixed would mean nothing.
        yield Case(
            (g, query, key, value, *found, is_causal), {"attn_mask": attn_mask, "scale": SCALE}, differentiable=False
        )


def _backward(
    grad_out: Array, query: Array, key: Array, value: Array, out: Array, logsumexp: Array, is_causal: bool, *,
    attn_mask: Any = None, scale: Any = None,
) -> Any:  # fmt: skip
    weights, _ = _weights(query, key, is_causal, attn_mask, scale)
    slope = grad_out @ np.swapaxes(value, -1, -2)
    slope = weights * (slope - (grad_out * out).sum(-1, keepdims=True)) * scale
    found = slope @ key, np.swapaxes(slope, -1, -2) @ query, np.swapaxes(weights, -1, -2) @ grad_out
    return tuple(np.ascontiguousarray(array.astype(query.dtype)) for array in found)


def _torch_mask(attn_mask: Any, query: Any) -> Any:
    """Return the only kind of mask that PyTorch's op takes, which its callers make."""
    import torch

    if attn_mask is None or attn_mask.dtype is not torch.bool:
        return attn_mask
    return torch.zeros(attn_mask.shape, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)


def _torch(query: Any, key: Any, value: Any, is_causal: Any, *, attn_mask: Any, scale: Any) -> Any:
    import torch

    mask, query = _torch_mask(attn_mask, query), query.contiguous()  # it takes elements of a row for neighbours
    return getattr(torch.ops.aten, NAME)(query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale)


def _torch_backward(
    grad: Any, query: Any, key: Any, value: Any, out: Any, total: Any, is_causal: Any, *, attn_mask: Any, scale: Any
) -> Any:
    import torch

    mask = _torch_mask(attn_mask, query)
    op = getattr(torch.ops.aten, f"{NAME}_backward")
    return op(grad, query.contiguous(), key, value, out, total, 0.0, is_causal, attn_mask=mask, scale=scale)


_Q, _K = np.ones((1, 2, 3, 4)), np.ones((1, 2, 5, 4))


def _refusal(words: str, *args: Any, mask: Any = None) -> Refusal:
    return Refusal(args, RuntimeError, words, {"attn_mask": mask, "scale": SCALE}, in_torch=False)


_REFUSALS = (
    _refusal("to have the same dtype", _Q, _K.astype(np.float32), _K, False),
    _refusal("at least 2 dimensional", np.ones(3), np.ones(3), np.ones(3), False),
    _refusal("expected scalar type Float but found Long", *(array.astype(int) for array in (_Q, _K, _K)), False),
    _refusal("Expected attn_mask dtype to be bool or float", _Q, _K, _K, False, mask=np.ones((3, 5), int)),
    _refusal("Explicit attn_mask should not be set when is_causal=True", _Q, _K, _K, True, mask=np.ones((3, 5))),
    _refusal("of one batch", _Q, _K[0], _K, False),
    _refusal(r"query.shape\[-1\] == key.shape\[-1\]", _Q, _K[..., :3], _K, False),
    _refusal(r"key.shape\[-2\] == value.shape\[-2\]", _Q, _K, _K[..., :4, :], False),
    _refusal("doesn't match the broadcast shape", _Q, _K, _K, False, mask=np.ones((2, 1, 3, 5))),
)

SAMPLES: list[Sample] = [
    Sample(NAME, _attention, _cases, _REFUSALS, differentiable_outputs=1, torch=_torch),
    Sample(
        f"{NAME}_backward",
        _backward,
        _backward_cases,
        (_refusal("attention's backward needs grad_out", _Q, _Q, _K, _K, _Q[..., :3], np.ones((1, 2, 3)), False),),
        torch=_torch_backward,
        gradients_by_values=False,
    ),
]
