"""Distributions over classes: Categorical, OneHotCategorical, its straight-through form, Multinomial."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.discrete import Binomial
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.parameters import ProbsOrLogits, clamp_probs

__all__ = ["Categorical", "Multinomial", "OneHotCategorical", "OneHotCategoricalStraightThrough"]

_WEIGHTS = {"probs": constraints.simplex, "logits": constraints.real_vector}


class _Classes(ProbsOrLogits, Distribution):
    """Probabilities along the last axis of what is given, scaled to sum 1."""

    arg_constraints: ClassVar[Any] = _WEIGHTS
    has_enumerate_support = True
    _is_binary = False
    _parameters = ("probs", "logits")

    def _set(self, probs: Any, logits: Any) -> Any:
        """Hold the parameter, scaled, and return the shape of the batch."""
        value = self._take(probs, logits)
        if value.dim() < 1:
            raise ValueError(f"`{self._given}` parameter must be at least one-dimensional.")
        scaled = value / value.sum(-1, True) if probs is not None else value - value.logsumexp(-1, True)
        self._hold(scaled)
        return scaled.shape[:-1]

    @property
    def _num_events(self) -> int:
        return int(self._param.shape[-1])

    def _class_entropy(self) -> Any:
        logs = self.logits.clamp(min=gw.finfo(self.logits.dtype).min)
        return -(logs * self.probs).sum(-1)

    def _draw(self, sample_shape: Any) -> Any:
        """Draw class numbers: sample_shape + batch_shape."""
        rows = self.probs.reshape(-1, self._num_events)
        drawn = gw.multinomial(rows, math.prod(sample_shape), True).t()
        return drawn.reshape((*sample_shape, *self._batch_shape))


class Categorical(_Classes):
    """Class numbers 0 .. K - 1 by weights or logits of the last axis."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        super().__init__(self._set(probs, logits), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """Return the class numbers."""
        return constraints.integer_interval(0, self._num_events - 1)

    def _mean(self) -> Any:
        return gw.full(self._batch_shape, math.nan, dtype=self.probs.dtype)

    _variance = _mean

    def _mode(self) -> Any:
        return self.probs.argmax(-1)

    def _sample(self, sample_shape: Any) -> Any:
        return self._draw(sample_shape)

    def _log_prob(self, value: Any) -> Any:
        value = value.long().unsqueeze(-1)
        shape = tuple((value[..., 0] + self.logits[..., 0] * 0).shape)
        return self.logits.expand((*shape, -1)).gather(-1, value.expand((*shape, 1))).squeeze(-1)

    def _entropy(self) -> Any:
        return self._class_entropy()

    def _enumerate_support(self, expand: bool) -> Any:
        return self._spread(gw.arange(self._num_events), expand)


class OneHotCategorical(_Classes):
    """Classes as vectors of zeros and a one."""

    support = constraints.one_hot

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        batch_shape = self._set(probs, logits)
        super().__init__(batch_shape, self._param.shape[-1:], validate_args=validate_args)

    def _mean(self) -> Any:
        return self.probs

    def _mode(self) -> Any:
        return gw.nn.functional.one_hot(self.probs.argmax(-1), self._num_events).to(self.probs.dtype)

    def _variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def _sample(self, sample_shape: Any) -> Any:
        return gw.nn.functional.one_hot(self._draw(sample_shape), self._num_events).to(self.probs.dtype)

    def _log_prob(self, value: Any) -> Any:
        return Categorical(logits=self.logits, validate_args=False).log_prob(value.argmax(-1))

    def _entropy(self) -> Any:
        return self._class_entropy()

    def _enumerate_support(self, expand: bool) -> Any:
        n = self._num_events
        values = gw.eye(n, dtype=self._param.dtype).view(n, *[1] * len(self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot draws whose gradient is that of the probabilities: Bengio, Leonard and Courville, 2013."""

    has_rsample = True

    def _rsample(self, sample_shape: Any) -> Any:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class Multinomial(_Classes):
    """How often each class comes in `total_count` draws."""

    has_enumerate_support = False
    total_count: int

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        batch_shape = self._set(probs, logits)
        super().__init__(batch_shape, self._param.shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Return counts of at most total_count."""
        return constraints.multinomial(self.total_count)

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        super()._copy_to(new, batch_shape)
        new.total_count = self.total_count

    def _mean(self) -> Any:
        return self.probs * self.total_count

    def _variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def _sample(self, sample_shape: Any) -> Any:
        drawn = self._draw((self.total_count, *sample_shape))
        return gw.nn.functional.one_hot(drawn, self._num_events).to(self.probs.dtype).sum(0)

    def _log_prob(self, value: Any) -> Any:
        logits = gw.where((value == 0) & (self.logits == -math.inf), 0.0, self.logits)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (logits * value).sum(-1)

    def _entropy(self) -> Any:
        n = gw.scalar_tensor(float(self.total_count), dtype=self.probs.dtype)
        each = Binomial(self.total_count, probs=clamp_probs(self.probs), validate_args=False)
        weights = each.log_prob(each.enumerate_support(False))[1:].exp()
        counts = each.enumerate_support(False)[1:]
        return (
            self.total_count * self._class_entropy() - (n + 1).lgamma() + (weights * (counts + 1).lgamma()).sum((0, -1))
        )

    def __repr__(self) -> str:
        return "Multinomial()"
