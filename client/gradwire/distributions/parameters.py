"""What distributions make of their parameters: tensors of one shape and dtype, probabilities and log-odds."""

from __future__ import annotations

from typing import Any

import gradwire as gw
from gradwire_protocol.infer import broadcast_shapes

__all__ = [
    "ProbsOrLogits", "broadcast_all", "clamp_probs", "logits_to_probs", "probs_to_logits", "standard_normal", "sum_rightmost",
]  # fmt: skip


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Return the values as tensors of one shape; numbers become tensors of the first tensor's dtype, or the default one."""
    for value in values:
        if not isinstance(value, gw.Tensor | int | float):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
            )
    given = [value for value in values if isinstance(value, gw.Tensor)]
    dtype = given[0].dtype if given else gw.get_default_dtype()
    tensors = [value if isinstance(value, gw.Tensor) else gw.scalar_tensor(value, dtype=dtype) for value in values]
    shape = broadcast_shapes(*[tuple(tensor.shape) for tensor in tensors])
    return tuple(tensor if tuple(tensor.shape) == shape else tensor.expand(shape) for tensor in tensors)


def clamp_probs(probs: Any) -> Any:
    """Return probabilities that are neither 0 nor 1."""
    eps = gw.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Return log-odds of a probability, or logarithms of the probabilities of classes."""
    inner = clamp_probs(probs)
    return inner.log() - (-inner).log1p() if is_binary else inner.log()


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Return the probabilities of log-odds, or of classes along the last axis."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def standard_normal(shape: Any, like: Any) -> Any:
    """Return normal numbers in the dtype of `like`."""
    return gw.randn(*shape, dtype=like.dtype)


def sum_rightmost(value: Any, dim: int) -> Any:
    """Sum the last `dim` axes."""
    return value if dim == 0 else value.reshape((*value.shape[:-dim], -1)).sum(-1)


class ProbsOrLogits:
    """Parameters that are given as `probs` or as `logits`; the other is computed once, when it is asked for."""

    _is_binary = True
    _given: str
    _made: Any

    def _take(self, probs: Any, logits: Any) -> Any:
        """Remember which was given, and return it."""
        if (probs is None) == (logits is None):
            raise ValueError("Either `probs` or `logits` must be specified, but not both.")
        self._given = "logits" if probs is None else "probs"
        return logits if probs is None else probs

    def _hold(self, value: Any) -> None:
        self.__dict__[self._given] = value

    def __getattr__(self, name: str) -> Any:
        if name not in ("probs", "logits") or "_given" not in self.__dict__ or self._given not in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        convert = logits_to_probs if name == "probs" else probs_to_logits
        made = convert(self.__dict__[self._given], is_binary=self._is_binary)
        self.__dict__["_other"] = name
        self.__dict__[name] = made
        return made

    @property
    def _param(self) -> Any:
        return self.__dict__[self._given]

    @property
    def param_shape(self) -> Any:
        """Return the shape of the parameter that was given."""
        return self._param.size()
