"""Counts and coins: Bernoulli, Geometric, Poisson, Binomial, NegativeBinomial."""

from __future__ import annotations

from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.parameters import ProbsOrLogits, broadcast_all

__all__ = ["Bernoulli", "Binomial", "Geometric", "NegativeBinomial", "Poisson"]

_ODDS = {"probs": constraints.unit_interval, "logits": constraints.real}


def _cross_entropy(logits: Any, value: Any) -> Any:
    return gw.nn.functional.binary_cross_entropy_with_logits(logits, value, reduction="none")


class Bernoulli(ProbsOrLogits, ExponentialFamily):
    """One with probability `probs`, else zero."""

    arg_constraints: ClassVar[Any] = _ODDS
    support = constraints.boolean
    has_enumerate_support = True
    _parameters = ("probs", "logits")
    _mean_carrier_measure = 0

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        (value,) = broadcast_all(self._take(probs, logits))
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.logits,)

    def _log_normalizer(self, theta: Any) -> Any:
        return gw.nn.functional.softplus(theta)

    def _mean(self) -> Any:
        return self.probs

    def _mode(self) -> Any:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return gw.where(self.probs == 0.5, float("nan"), mode)

    def _variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def _sample(self, sample_shape: Any) -> Any:
        return gw.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Any) -> Any:
        logits, value = broadcast_all(self.logits, value)
        return -_cross_entropy(logits, value)

    def _entropy(self) -> Any:
        return _cross_entropy(self.logits, self.probs)

    def _enumerate_support(self, expand: bool) -> Any:
        return self._spread(gw.arange(2, dtype=self._param.dtype), expand)


class Geometric(ProbsOrLogits, Distribution):
    """The failures before the first success."""

    arg_constraints: ClassVar[Any] = _ODDS
    support = constraints.nonnegative_integer
    _parameters = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        (value,) = broadcast_all(self._take(probs, logits))
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)
        if self._validate_args and probs is not None and not (value > 0).all():
            raise ValueError(
                f"Expected parameter probs ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} to "
                f"be positive but found invalid values:\n{value}"
            )

    def _mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    def _mode(self) -> Any:
        return self.probs.zeros_like()

    def _variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def _sample(self, sample_shape: Any) -> Any:
        u = gw.rand(*self._extended_shape(sample_shape), dtype=self.probs.dtype)
        return (u.clamp(min=gw.finfo(u.dtype).tiny).log() / (-self.probs).log1p()).floor()

    def _log_prob(self, value: Any) -> Any:
        value, probs = broadcast_all(value, self.probs)
        failures = (-probs).log1p()
        return gw.where((probs == 1) & (value == 0), 0.0, value * failures) + self.probs.log()

    def _entropy(self) -> Any:
        return _cross_entropy(self.logits, self.probs) / self.probs


class Poisson(ExponentialFamily):
    """Counts of mean `rate`."""

    arg_constraints: ClassVar[Any] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _parameters = ("rate",)

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.size(), validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.rate.log(),)

    def _log_normalizer(self, theta: Any) -> Any:
        return theta.exp()

    def _mean(self) -> Any:
        return self.rate

    def _mode(self) -> Any:
        return self.rate.floor()

    _variance = _mean

    def _sample(self, sample_shape: Any) -> Any:
        return gw.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Any) -> Any:
        rate, value = broadcast_all(self.rate, value)
        return gw.xlogy(value, rate) - rate - (value + 1).lgamma()


class Binomial(ProbsOrLogits, Distribution):
    """Successes among `total_count` trials."""

    arg_constraints: ClassVar[Any] = {"total_count": constraints.nonnegative_integer, **_ODDS}
    has_enumerate_support = True
    _parameters = ("total_count", "probs", "logits")

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        value = self._take(probs, logits)
        value, count = broadcast_all(value, total_count)
        self.total_count = count.to(value.dtype)
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """Return the integers up to total_count."""
        return constraints.integer_interval(0, self.total_count)

    def _mean(self) -> Any:
        return self.total_count * self.probs

    def _mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    def _variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def _sample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        return gw.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def _log_prob(self, value: Any) -> Any:
        ways = (self.total_count + 1).lgamma() - (value + 1).lgamma() - (self.total_count - value + 1).lgamma()
        return ways + value * self.logits + self.total_count * gw.nn.functional.logsigmoid(-self.logits)

    def _entropy(self) -> Any:
        total = int(self.total_count.max().item())
        if self._validate_args and not self.total_count.min() == total:
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def _enumerate_support(self, expand: bool) -> Any:
        total = int(self.total_count.max().item())
        if not self.total_count.min() == total:
            raise NotImplementedError("Inhomogeneous total count not supported by `enumerate_support`.")
        return self._spread(gw.arange(1 + total, dtype=self._param.dtype), expand)


class NegativeBinomial(ProbsOrLogits, Distribution):
    """Successes, each of probability `probs`, before `total_count` failures."""

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _parameters = ("total_count", "probs", "logits")

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        value = self._take(probs, logits)
        value, count = broadcast_all(value, total_count)
        self.total_count = count.to(value.dtype)
        self._hold(value)
        super().__init__(value.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return self.total_count * self.logits.exp()

    def _mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    def _variance(self) -> Any:
        return self._mean() / (-self.logits).sigmoid()

    def _sample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        return gw.poisson(gw._standard_gamma(self.total_count.expand(shape)) * self.logits.exp())

    def _log_prob(self, value: Any) -> Any:
        likelihood = self.total_count * gw.nn.functional.logsigmoid(-self.logits)
        likelihood = likelihood + value * gw.nn.functional.logsigmoid(self.logits)
        ways = (self.total_count + value).lgamma() - (1.0 + value).lgamma() - self.total_count.lgamma()
        return likelihood + gw.where(self.total_count + value == 0.0, 0.0, ways)
