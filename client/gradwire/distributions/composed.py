"""Distributions of distributions: Independent, TransformedDistribution, MixtureSameFamily."""

from __future__ import annotations

import math
from typing import Any

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.categorical import Categorical
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.parameters import sum_rightmost
from gradwire.distributions.transforms import ComposeTransform, Transform

__all__ = ["Independent", "MixtureSameFamily", "TransformedDistribution"]


class Independent(Distribution):
    """A distribution whose rightmost batch axes belong to the event."""

    def __init__(
        self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch = base_distribution.batch_shape
        if reinterpreted_batch_ndims > len(batch):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual "
                f"{reinterpreted_batch_ndims} vs {len(batch)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        cut = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:cut], batch[cut:] + base_distribution.event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        new = self._get_checked_instance(Independent, _instance)
        batch_shape = gw.Size(batch_shape)
        inner = self._event_shape[: self.reinterpreted_batch_ndims]
        new.base_dist, new.reinterpreted_batch_ndims = self.base_dist.expand(batch_shape + inner), len(inner)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Return what the distribution below says."""
        return bool(self.base_dist.has_rsample)

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Return what the distribution below says; never for what has moved axes."""
        return bool(self.base_dist.has_enumerate_support) and self.reinterpreted_batch_ndims == 0

    @constraints.dependent_property
    def support(self) -> Any:
        """Return the support below, with the moved axes in the event."""
        below, moved = self.base_dist.support, self.reinterpreted_batch_ndims
        return constraints.independent(below, moved) if moved else below

    def _mean(self) -> Any:
        return self.base_dist.mean

    def _mode(self) -> Any:
        return self.base_dist.mode

    def _variance(self) -> Any:
        return self.base_dist.variance

    def _sample(self, sample_shape: Any) -> Any:
        return self.base_dist.sample(sample_shape)

    def _rsample(self, sample_shape: Any) -> Any:
        return self.base_dist.rsample(sample_shape)

    def _checked(self, value: Any) -> Any:
        return value

    def _log_prob(self, value: Any) -> Any:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def _entropy(self) -> Any:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def _enumerate_support(self, expand: bool) -> Any:
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Enumeration over cartesian product is not implemented")
        return self.base_dist.enumerate_support(expand=expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """The distribution of what maps make of draws."""

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: bool | None = None) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(transform, Transform) for transform in self.transforms):
            raise ValueError(f"transforms must be a Transform or a list of Transforms, but was {transforms}")
        whole = ComposeTransform(self.transforms)
        base_shape = base_distribution.batch_shape + base_distribution.event_shape
        needed = whole.domain.event_dim if self.transforms else 0
        if len(base_shape) < needed:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {needed}, but got {base_shape}."
            )
        shape = gw.Size(whole.forward_shape(base_shape))
        expanded = gw.Size(whole.inverse_shape(shape))
        if base_shape != expanded:
            batch = expanded[: len(expanded) - len(base_distribution.event_shape)]
            base_distribution = base_distribution.expand(batch)
        moved = needed - len(base_distribution.event_shape)
        self.base_dist: Any = Independent(base_distribution, moved) if moved > 0 else base_distribution
        added = whole.codomain.event_dim - whole.domain.event_dim if self.transforms else 0
        event_dim = max(whole.codomain.event_dim if self.transforms else 0, len(self.base_dist.event_shape) + added)
        cut = len(shape) - event_dim
        super().__init__(shape[:cut], shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        new = self._get_checked_instance(TransformedDistribution, _instance)
        batch_shape = gw.Size(batch_shape)
        new.transforms = self.transforms
        shape = batch_shape + self._event_shape
        for transform in reversed(self.transforms):
            shape = gw.Size(transform.inverse_shape(shape))
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Return what the distribution below says."""
        return bool(self.base_dist.has_rsample)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """Return where the last map leads."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self._event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    def _through(self, drawn: Any) -> Any:
        for transform in self.transforms:
            drawn = transform(drawn)
        return drawn

    def _sample(self, sample_shape: Any) -> Any:
        return self._through(self.base_dist.sample(sample_shape))

    def _rsample(self, sample_shape: Any) -> Any:
        return self._through(self.base_dist.rsample(sample_shape))

    def _log_prob(self, value: Any) -> Any:
        event_dim = len(self._event_shape)
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform._inv_call(value)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            jacobian = transform.log_abs_det_jacobian(x, value)
            total = total - sum_rightmost(jacobian, event_dim - transform.domain.event_dim)
            value = x
        return total + sum_rightmost(self.base_dist.log_prob(value), event_dim - len(self.base_dist.event_shape))

    def _sign(self) -> Any:
        return math.prod(transform.sign for transform in self.transforms) if self.transforms else 1

    def _turned(self, value: Any) -> Any:
        """Return 1 - value where the maps fall."""
        sign = self._sign()
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def _cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform._inv_call(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def _icdf(self, value: Any) -> Any:
        return self._through(self.base_dist.icdf(self._turned(value)))

    def __repr__(self) -> str:
        if type(self) is TransformedDistribution:
            return "TransformedDistribution()"
        shown = []
        for name in self.arg_constraints:
            value = getattr(self, name)
            shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(shown)})"


class MixtureSameFamily(Distribution):
    """A mixture of the distributions along the last batch axis of `component_distribution`, with weights."""

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: bool | None = None
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        count, batch = mixture_distribution._num_events, component_distribution.batch_shape
        for size_1, size_2 in zip(reversed(mixture_distribution.batch_shape), reversed(batch[:-1]), strict=False):
            if size_1 != 1 and size_2 != 1 and size_1 != size_2:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_distribution.batch_shape}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch[:-1]})"
                )
        if batch[-1] != count:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({batch[-1]})"
            )
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args=validate_args)

    @property
    def mixture_distribution(self) -> Any:
        """Return the weights."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """Return the components."""
        return self._component_distribution

    @constraints.dependent_property
    def support(self) -> Any:
        """Return the components' support."""
        return self._component_distribution.support

    def _at_components(self, value: Any) -> Any:
        """Add the axis of components before the event's."""
        return value.unsqueeze(-1 - len(self._event_shape))

    def _weights(self) -> Any:
        probs = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *[1] * len(self._event_shape)))

    def _mean(self) -> Any:
        return (self._weights() * self._component_distribution.mean).sum(-1 - len(self._event_shape))

    def _variance(self) -> Any:
        axis = -1 - len(self._event_shape)
        within = (self._weights() * self._component_distribution.variance).sum(axis)
        away = self._component_distribution.mean - self._at_components(self.mean)
        return within + (self._weights() * away**2).sum(axis)

    def _checked(self, value: Any) -> Any:
        return value

    def _log_prob(self, value: Any) -> Any:
        logs = self._component_distribution.log_prob(self._at_components(value))
        return (logs + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def _cdf(self, value: Any) -> Any:
        return (self._component_distribution.cdf(self._at_components(value)) * self._mixture_distribution.probs).sum(-1)

    def _sample(self, sample_shape: Any) -> Any:
        axis = len(sample_shape) + len(self._batch_shape)
        chosen = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
        drawn = self._component_distribution.sample(sample_shape)
        index = chosen.reshape((*chosen.shape, 1, *[1] * len(self._event_shape)))
        index = index.expand((*drawn.shape[:axis], 1, *drawn.shape[axis + 1 :]))
        return drawn.gather(axis, index).squeeze(axis)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        batch_shape = gw.Size(batch_shape)
        count = self._mixture_distribution._num_events
        new._component_distribution = self._component_distribution.expand((*batch_shape, count))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution!r},\n  {self._component_distribution!r})"
