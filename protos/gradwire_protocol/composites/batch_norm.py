"""Composites of the normalizations: which op runs, and what becomes of the running statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import gradwire_protocol.ops  # noqa: F401  (fills OPS)
from gradwire_protocol.composites.base import Callable_, ints
from gradwire_protocol.dtypes import complex64, uint8
from gradwire_protocol.ops.batch_norm import channels_of
from gradwire_protocol.registry import OPS

__all__ = ["BatchNormComposites"]

_BY_BATCH, _UPDATING = OPS["_native_batch_norm_legit.no_stats"], OPS["_native_batch_norm_legit_functional"]
_BY_RUNNING, _STORE = OPS["_native_batch_norm_legit_no_training"], OPS["gw::store_statistics_"]
_GROUP_NORM, _LAYER_NORM, _RMS_NORM = OPS["native_group_norm"], OPS["native_layer_norm"], OPS["_fused_rms_norm"]


def _check_both(running_mean: Any, running_var: Any) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")


def _batch_norm(
    self: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    _check_both(running_mean, running_var)
    numbers = (float(momentum), float(eps))
    if running_mean is None:
        return self._call(_BY_BATCH, (self, weight, bias), (bool(training),), numbers)  # type: ignore[no-any-return]
    tensors = (self, weight, bias, running_mean, running_var)
    if not training:
        return self._call(_BY_RUNNING, tensors, (), numbers)  # type: ignore[no-any-return]
    out, mean, invstd, new_mean, new_var = self._call(_UPDATING, tensors, (True,), numbers)
    self._call(_STORE, (running_mean, running_var, new_mean, new_var), (), (), (2, 2))
    return out, mean, invstd


def _constants(found: Sequence[Any]) -> tuple[Any, ...]:
    """Return the results with all but the first cut from the graph: PyTorch has no gradient of saved moments."""
    return (found[0], *(moment.detach() for moment in found[1:]))


def _empty_batch(self: Any, weight: Any, bias: Any) -> Any:
    """Return what PyTorch makes of an input without elements: a copy, on whose graph the parameters are."""
    out = self.clone()
    out = out if weight is None else out * weight[0]
    return out if bias is None else out + bias[0]


def _tracking_instance_norm(
    self: Any, weight: Any, bias: Any, running: tuple[Any, Any], momentum: float, eps: float
) -> Any:
    """Normalize the channels of all samples as those of one; each has its own copy of the parameters."""
    _check_both(*running)
    n, c = self.meta.shape[:2]
    repeated = [None if parameter is None else parameter.repeat(n) for parameter in (weight, bias)]
    moved = [statistic.repeat(n) for statistic in running]
    out = self.reshape(1, n * c, *self.meta.shape[2:]).batch_norm(*repeated, *moved, True, momentum, eps)
    self._call(_STORE, (*running, *(copies.view(n, c).mean(0) for copies in moved)), (), (), (2, 2))
    return out.view(self.meta.shape)


def _rms_norm_complex(self: Any, normalized_shape: tuple[int, ...], weight: Any, eps: float) -> Any:
    dims = tuple(range(-len(normalized_shape), 0))
    normal = self * ((self * self).mean(dims, True) + eps).rsqrt()
    return normal if weight is None else normal * weight


class BatchNormComposites(Callable_):
    """Normalizations by the moments of a batch, a group of channels, or the last axes."""

    __slots__ = ()

    # ---------------------------------------------------------------- batch norm
    def native_batch_norm(
        self, weight: Self | None, bias: Self | None, running_mean: Self | None, running_var: Self | None,
        training: bool, momentum: float, eps: float,
    ) -> tuple[Self, Self, Self]:  # fmt: skip
        """Return (`batch_norm`, mean, 1 / sqrt(variance + eps)); the moments are empty in evaluation."""
        return _constants(_batch_norm(self, weight, bias, running_mean, running_var, training, momentum, eps))

    def _native_batch_norm_legit(self, weight: Self | None, bias: Self | None, *rest: Any) -> tuple[Self, Self, Self]:
        """Do as `native_batch_norm`; without the two running statistics, as if they were None."""
        running = rest if len(rest) == 5 else (None, None, *rest)
        return self.native_batch_norm(weight, bias, *running)

    def _batch_norm_with_update(
        self, weight: Self | None, bias: Self | None, running_mean: Self, running_var: Self, momentum: float, eps: float
    ) -> tuple[Self, Self, Self, Self]:
        """Do as `native_batch_norm` in training; the fourth result, what cuDNN keeps, is empty."""
        me: Any = self
        found = self.native_batch_norm(weight, bias, running_mean, running_var, True, momentum, eps)
        return (*found, me.new_zeros((0,), dtype=uint8))

    def batch_norm(
        self, weight: Self | None, bias: Self | None, running_mean: Self | None, running_var: Self | None,
        training: bool, momentum: float, eps: float,
    ) -> Self:  # fmt: skip
        """Normalize each channel: (N, C, *) and vectors of C, by the moments of the batch, or the running ones.

        In training the running statistics are moved by `momentum` towards the mean and the unbiased variance.
        """
        if self.meta.numel == 0:
            return _empty_batch(self, weight, bias)  # type: ignore[no-any-return]
        channels = channels_of(self.meta)
        named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
        for name, parameter in named.items():
            if parameter is not None and parameter.meta.numel != channels:
                raise RuntimeError(f"{name} should contain {channels} elements not {parameter.meta.numel}")
        return _batch_norm(self, weight, bias, running_mean, running_var, training, momentum, eps)[0]  # type: ignore[no-any-return]

    # ---------------------------------------------------------------- group and instance norm
    def group_norm(
        self, num_groups: int, weight: Self | None = None, bias: Self | None = None, eps: float = 1e-5
    ) -> Self:
        """Normalize each group of channels of each sample: (N, C, *) and vectors of C."""
        shape = self.meta.shape
        statics = (shape[0], shape[1], math.prod(shape[2:]), num_groups)
        return self._call(_GROUP_NORM, (self, weight, bias), statics, (float(eps),))[0]  # type: ignore[no-any-return]

    def instance_norm(
        self, weight: Self | None, bias: Self | None, running_mean: Self | None, running_var: Self | None,
        use_input_stats: bool, momentum: float, eps: float,
    ) -> Self:  # fmt: skip
        """Normalize each channel of each sample: (N, C, *) and vectors of C; running statistics are the samples' mean."""
        if not use_input_stats and (running_mean is None or running_var is None):
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
        if not use_input_stats:
            return self.batch_norm(weight, bias, running_mean, running_var, False, momentum, eps)
        if running_mean is None and running_var is None:
            return self.group_norm(channels_of(self.meta), weight, bias, eps)
        return _tracking_instance_norm(self, weight, bias, (running_mean, running_var), momentum, eps)  # type: ignore[no-any-return]

    # ---------------------------------------------------------------- layer and RMS norm
    def native_group_norm(
        self, weight: Self | None, bias: Self | None, N: int, C: int, HxW: int, group: int, eps: float
    ) -> tuple[Self, Self, Self]:
        """Return (`group_norm`, mean, 1 / sqrt(variance + eps)), the moments as (N, group)."""
        return self._call(_GROUP_NORM, (self, weight, bias), (N, C, HxW, group), (float(eps),))  # type: ignore[no-any-return]

    def native_layer_norm(
        self, normalized_shape: Sequence[int] | int, weight: Self | None, bias: Self | None, eps: float
    ) -> tuple[Self, Self, Self]:
        """Return (`layer_norm`, mean, 1 / sqrt(variance + eps)), the moments with size 1 in the normalized axes."""
        return _constants(self._call(_LAYER_NORM, (self, weight, bias), (ints(normalized_shape),), (float(eps),)))

    def rms_norm(
        self, normalized_shape: Sequence[int] | int, weight: Self | None = None, eps: float | None = None
    ) -> Self:
        """Compute self / sqrt(mean(self^2) + eps) * weight over the last axes; eps is by default the dtype's epsilon."""
        dtype, shape = self.meta.dtype, ints(normalized_shape) or ()
        if eps is None:
            eps = 2.0**-23 if dtype.itemsize <= 4 or dtype is complex64 else 2.0**-52
        if dtype.is_complex:
            return _rms_norm_complex(self, shape, weight, float(eps))  # type: ignore[no-any-return]
        return self._call(_RMS_NORM, (self, weight), (shape,), (float(eps),))[0]  # type: ignore[no-any-return]
