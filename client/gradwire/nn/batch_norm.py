"""Batch and instance normalization as modules, with the running statistics that they keep."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any

from gradwire.creation import empty, ones, tensor, zeros
from gradwire.nn import functional as F
from gradwire.nn import init
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import int64

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
]


class _NormBase(Module):
    """The parameters and buffers of a normalization per channel.

    `weight` and `bias` are (num_features,) or None; `running_mean`, `running_var` and `num_batches_tracked` are buffers,
    None without `track_running_stats`.
    """

    # Since version 2 a state_dict holds num_batches_tracked.
    _version = 2
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", tensor(0, dtype=int64, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget all batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Start anew: weight 1, bias 0, no running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: MutableMapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 0) < 2 and self.track_running_stats and key not in state_dict:
            held = self.num_batches_tracked
            state_dict[key] = tensor(0, dtype=int64) if held is None else held
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Tensor:
        """Return `input` normalized: by the batch in training or where nothing was tracked, else by what was."""
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                # The average of all batches so far; waits for the worker to learn their number.
                momentum = 1.0 / float(self.num_batches_tracked.item())
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        uses_running = not self.training or self.track_running_stats
        mean, var = (self.running_mean, self.running_var) if uses_running else (None, None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalize each channel of a batch: (N, C) or (N, C, L) -> the same."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class BatchNorm2d(_BatchNorm):
    """Normalize each channel of a batch: (N, C, H, W) -> the same."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class BatchNorm3d(_BatchNorm):
    """Normalize each channel of a batch: (N, C, D, H, W) -> the same."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class _InstanceNorm(_NormBase):
    # The number of axes of a single sample.
    _sample_dims: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _check_input_dim(self, input: Tensor) -> None:
        few = self._sample_dims
        if input.dim() not in (few, few + 1):
            raise ValueError(f"expected {few}D or {few + 1}D input (got {input.dim()}D input)")

    def _check_features(self, input: Tensor) -> None:
        axis = input.dim() - self._sample_dims
        if input.size(axis) == self.num_features:
            return
        if self.affine:
            raise ValueError(
                f"expected input's size at dim={axis} to match num_features ({self.num_features}), but got: "
                f"{input.size(axis)}."
            )
        warnings.warn(
            f"input's size at dim={axis} does not match num_features. You can silence this warning by not passing in "
            "num_features, which is not used because affine=False",
            stacklevel=3,
        )

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` normalized: by each sample, or in evaluation by what was tracked, if anything."""
        self._check_input_dim(input)
        self._check_features(input)
        if input.dim() == self._sample_dims:
            return self._normalized(input.unsqueeze(0)).squeeze(0)
        return self._normalized(input)

    def _normalized(self, input: Tensor) -> Tensor:
        by_input = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        running = (self.running_mean, self.running_var)
        return F.instance_norm(input, *running, self.weight, self.bias, by_input, momentum, self.eps)

    def _load_from_state_dict(
        self, state_dict: MutableMapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        # Until version 1, PyTorch saved running statistics that were not tracked.
        if local_metadata.get("version") is None and not self.track_running_stats:
            found = [name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if found:
                rest[-1].append(self._unexpected_statistics(found))
            for name in found:
                del state_dict[prefix + name]
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def _unexpected_statistics(self, found: list[str]) -> str:
        names, klass = " and ".join(f'"{name}"' for name in found), type(self).__name__
        return (
            f"Unexpected running stats buffer(s) {names} for {klass} with track_running_stats=False. If state_dict is a "
            f"checkpoint saved before 0.4.0, this may be expected because {klass} does not track running stats by "
            "default since 0.4.0. Please remove these keys from state_dict. If the running stats are actually needed, "
            f"instead set track_running_stats=True in {klass} to enable them. See the documentation of {klass} for "
            "details."
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalize each channel of each sample: (N, C, L) or (C, L) -> the same."""

    _sample_dims = 2


class InstanceNorm2d(_InstanceNorm):
    """Normalize each channel of each sample: (N, C, H, W) or (C, H, W) -> the same."""

    _sample_dims = 3


class InstanceNorm3d(_InstanceNorm):
    """Normalize each channel of each sample: (N, C, D, H, W) or (C, D, H, W) -> the same."""

    _sample_dims = 4
