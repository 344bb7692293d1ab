"""Composites of the loss and normalization families. `reduction` is ATen's number: 0 none, 1 mean, 2 sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, ints
from gradwire_protocol.dtypes import DType, float16, float32, int64
from gradwire_protocol.registry import OPS, torch_type_name

__all__ = ["LossComposites", "reduced"]

_SOFTMAX, _LOG_SOFTMAX, _LAYER_NORM = OPS["_softmax"], OPS["_log_softmax"], OPS["native_layer_norm"]
_NLL, _NLL2D = OPS["nll_loss_forward"], OPS["nll_loss2d_forward"]


def reduced(loss: Any, reduction: int) -> Any:
    """Reduce the losses of elements or samples."""
    if reduction not in (0, 1, 2):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return loss.mean() if reduction == 1 else loss.sum() if reduction == 2 else loss


def _normalized(self: Any, op: Any, dim: int | None, dtype: DType | None, axis: int | None) -> Any:
    if axis is not None:
        if dim is not None:
            raise TypeError(f"{op.name[1:]}() takes dim or axis; got both ({dim} and {axis})")
        dim = axis
    widens = self.meta.dtype is float16 and dtype is float32
    if dtype is not None and dtype is not self.meta.dtype and not widens:
        self = self._to_dtype(dtype)
    return self._call(op, (self,), (dim, widens))


def _class_dim(self: Any) -> int:
    return 0 if self.meta.ndim <= 1 else 1


def _per_class(weight: Any, self: Any) -> Any:
    """View the weights of the classes such that they broadcast to `self`."""
    return weight if self.meta.ndim <= 1 else weight.view(-1, *(1,) * (self.meta.ndim - 2))


def _nll(self: Any, target: Any, weight: Any, reduction: int, ignore_index: int) -> Any:
    shape, targets = self.meta.shape, target.meta.shape
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(shape) > 1 and shape[:1] != targets[:1]:
        count = targets[0] if targets else 0
        raise ValueError(f"Expected input batch_size ({shape[0]}) to match target batch_size ({count}).")
    statics = (reduction, ignore_index)
    if len(shape) <= 2:
        return self._call(_NLL, (self, target, weight), statics)[0]
    if len(shape) == 4:
        return self._call(_NLL2D, (self, target, weight), statics)[0]
    return _nll_spatial(self, target, weight, statics)


def _nll_spatial(self: Any, target: Any, weight: Any, statics: tuple[int, int]) -> Any:
    """Lay any number of axes behind the classes out as two, which `nll_loss2d` takes."""
    expected = (self.meta.shape[0], *self.meta.shape[2:])
    if target.meta.shape != expected:
        raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.meta.shape)}")
    points = math.prod(expected[1:])
    images = self.reshape(*self.meta.shape[:2], 1, points)
    loss = self._call(_NLL2D, (images, target.reshape(expected[0], 1, points), weight), statics)[0]
    return loss if statics[0] else loss.view(expected)


def _check_probabilities(self: Any, target: Any, weight: Any, ignore_index: int) -> None:
    if not target.meta.dtype.is_floating_point:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{torch_type_name(target.meta.dtype)}"
        )
    if ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    classes = self.meta.shape[_class_dim(self)]
    if weight is not None and weight.meta.shape != (classes,):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got "
            f"weight tensor of shape: {list(weight.meta.shape)}"
        )


def _probability_entropy(self: Any, target: Any, weight: Any, reduction: int, label_smoothing: float) -> Any:
    """Return -sum(weight * target * log_softmax(self)) over the classes; the mean is over the samples."""
    dim = _class_dim(self)
    classes = self.meta.shape[dim]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    terms = self.log_softmax(dim) * target
    if weight is not None:
        terms = terms * _per_class(weight, self)
    if reduction == 1:
        return -terms.sum() / (self.meta.numel // max(classes, 1))
    return -terms.sum() if reduction == 2 else -terms.sum(dim)


def _even_entropy(logs: Any, target: Any, weight: Any, reduction: int, ignore_index: int) -> Any:
    """Return -sum(weight * logs) over the classes: what label smoothing mixes in; the mean is over the weights."""
    ignored = target.eq(ignore_index)
    terms = logs if weight is None else logs * _per_class(weight, logs)
    loss = (-terms.sum(_class_dim(logs))).masked_fill(ignored, 0)
    if reduction != 1:
        return reduced(loss, reduction)
    counted = ignored.logical_not()
    if weight is not None:
        # An ignored index need not be a class: class 0 is looked up in its place, and counts for nothing.
        looked_up = weight.index_select(0, target.masked_fill(ignored, 0).reshape(-1))
        counted = looked_up * counted.reshape(-1)
    return loss.sum() / counted.sum()


class LossComposites(Callable_):
    """Methods of the loss and normalization families that are written by hand."""

    __slots__ = ()

    # ---------------------------------------------------------------- normalization
    def softmax(self, dim: int | None = None, dtype: DType | None = None, *, axis: int | None = None) -> Self:
        """Compute exp(self) / sum(exp(self)) along `dim`, in `dtype`."""
        return _normalized(self, _SOFTMAX, dim, dtype, axis)  # type: ignore[no-any-return]

    def log_softmax(self, dim: int | None = None, dtype: DType | None = None, *, axis: int | None = None) -> Self:
        """Compute the logarithm of `softmax` without computing that on the way."""
        return _normalized(self, _LOG_SOFTMAX, dim, dtype, axis)  # type: ignore[no-any-return]

    def layer_norm(
        self, normalized_shape: Sequence[int] | int, weight: Self | None = None, bias: Self | None = None,
        eps: float = 1e-5,
    ) -> Self:  # fmt: skip
        """Compute (self - mean) / sqrt(variance + eps) * weight + bias over the last axes, of `normalized_shape`."""
        normalized = self._call(_LAYER_NORM, (self, weight, bias), (ints(normalized_shape),), (float(eps),))
        return normalized[0]  # type: ignore[no-any-return]

    # ---------------------------------------------------------------- losses
    def nll_loss(self, target: Self, weight: Self | None = None, reduction: int = 1, ignore_index: int = -100) -> Self:
        """Return minus the log probability of the target class: (C), () or (N, C, *), (N, *) -> () or target's shape.

        The mean is over the weights of the targets; a target of `ignore_index` counts for nothing. A target that is no
        class is an IndexError, raised where the value is next waited for.
        """
        return _nll(self, target, weight, reduction, ignore_index)  # type: ignore[no-any-return]

    def cross_entropy_loss(
        self, target: Self, weight: Self | None = None, reduction: int = 1, ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Self:  # fmt: skip
        """Return `nll_loss` of `log_softmax(self)`, for class indices, or probabilities of the shape of self.

        `label_smoothing` moves that share of each target evenly to all classes.
        """
        if not 0.0 <= label_smoothing <= 1.0:
            raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
        if self.meta.shape == target.meta.shape:
            _check_probabilities(self, target, weight, ignore_index)
            return _probability_entropy(self, target, weight, reduction, label_smoothing)  # type: ignore[no-any-return]
        logs: Any = self.log_softmax(_class_dim(self))
        loss = _nll(logs, target, weight, reduction, ignore_index)
        if label_smoothing == 0:
            return loss  # type: ignore[no-any-return]
        even = _even_entropy(logs, target, weight, reduction, ignore_index)
        classes = self.meta.shape[_class_dim(self)]
        return loss * (1 - label_smoothing) + even * (label_smoothing / classes)  # type: ignore[no-any-return]

    def l1_loss(self, target: Self, reduction: int = 1) -> Self:
        """Return |self - target|, reduced."""
        me: Any = self
        return reduced(me.sub(target).abs(), reduction)  # type: ignore[no-any-return]

    def kl_div(self, target: Any, reduction: int = 1, *, log_target: bool = False) -> Any:
        """Return target * (log(target) - self), reduced; with `log_target`, of a target given as its logarithm."""
        me: Any = self
        for dtype in (self.meta.dtype, target.meta.dtype):
            if dtype.is_complex:
                raise RuntimeError("kl_div: Complex inputs not supported.")
            if not dtype.is_floating_point:
                raise RuntimeError("kl_div: Integral inputs not supported.")
        if log_target:
            return reduced(target.exp() * (target - me), reduction)
        return reduced(target.xlogy(target) - target * me, reduction)

    def poisson_nll_loss(self, target: Any, log_input: bool, full: bool, eps: float, reduction: int) -> Any:
        """Return the negative log likelihood of counts `target` of rate self, or exp(self) with `log_input`, reduced.

        `full` adds Stirling's approximation of log(target!).
        """
        me: Any = self
        loss = me.exp() - target * me if log_input else me - target * (me + eps).log()
        if full:
            stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
            loss = loss + stirling.masked_fill(target.le(1), 0)
        return reduced(loss, reduction)

    def one_hot(self, num_classes: int) -> Self:
        """Return int64 (*, num_classes) with a 1 where the last index is the element of self, else 0.

        An element that is no class is a RuntimeError, raised where the value is next waited for.
        """
        me: Any = self
        if self.meta.dtype is not int64:
            raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
        if num_classes < 1:
            raise RuntimeError("Class values must be smaller than num_classes.")
        return me.new_zeros((*self.meta.shape, num_classes)).scatter(-1, me.unsqueeze(-1), 1)  # type: ignore[no-any-return]
