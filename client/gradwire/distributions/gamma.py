"""The gamma family: Exponential, Gamma, Chi2, Beta, Dirichlet, FisherSnedecor."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.parameters import broadcast_all

__all__ = ["Beta", "Chi2", "Dirichlet", "Exponential", "FisherSnedecor", "Gamma"]


class Exponential(ExponentialFamily):
    """The density rate exp(-rate x) of x >= 0."""

    arg_constraints: ClassVar[Any] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _parameters = ("rate",)
    _mean_carrier_measure = 0

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.size(), validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (-self.rate,)

    def _log_normalizer(self, theta: Any) -> Any:
        return -(-theta).log()

    def _mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return self.rate.reciprocal()

    def _mode(self) -> Any:
        return self.rate.zeros_like()

    def _variance(self) -> Any:
        return self.rate.pow(-2)

    def _rsample(self, sample_shape: Any) -> Any:
        return self.rate.new_empty(self._extended_shape(sample_shape)).exponential_() / self.rate

    def _log_prob(self, value: Any) -> Any:
        return self.rate.log() - self.rate * value

    def _cdf(self, value: Any) -> Any:
        return 1 - (-self.rate * value).exp()

    def _icdf(self, value: Any) -> Any:
        return -(-value).log1p() / self.rate

    def _entropy(self) -> Any:
        return 1.0 - self.rate.log()


class Gamma(ExponentialFamily):
    """The density rate^a x^(a - 1) exp(-rate x) / gamma(a), a the concentration, of x > 0."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _parameters = ("concentration", "rate")
    _mean_carrier_measure = 0

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.size(), validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration - 1, -self.rate)

    def _log_normalizer(self, power: Any, slope: Any) -> Any:
        return (power + 1).lgamma() - (power + 1) * (-slope).log()

    def _mean(self) -> Any:
        return self.concentration / self.rate

    def _mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    def _variance(self) -> Any:
        return self.concentration / self.rate.square()

    def _rsample(self, sample_shape: Any) -> Any:
        return gw._standard_gamma(self.concentration.expand(self._extended_shape(sample_shape))) / self.rate

    def _log_prob(self, value: Any) -> Any:
        a, rate = self.concentration, self.rate
        value = value.to(rate.dtype)
        return gw.xlogy(a, rate) + gw.xlogy(a - 1, value) - rate * value - a.lgamma()

    def _cdf(self, value: Any) -> Any:
        return gw.special.gammainc(self.concentration, self.rate * value)

    def _entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Chi2(Gamma):
    """The sum of `df` squares of standard normal numbers: Gamma(df / 2, 1 / 2)."""

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (given,) = broadcast_all(df)
        super().__init__(0.5 * given, 0.5, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch."""
        return super().expand(batch_shape, self._get_checked_instance(Chi2, _instance))

    @property
    def df(self) -> Any:
        """Return the degrees of freedom."""
        return self.concentration * 2

    def __repr__(self) -> str:
        return f"Chi2({Distribution.__repr__(self).partition('(')[2]}"


class Dirichlet(ExponentialFamily):
    """Points of the simplex: density proportional to the product of x_i^(a_i - 1), a the concentration."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _parameters = ("concentration",)

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration,)

    def _log_normalizer(self, theta: Any) -> Any:
        return theta.lgamma().sum(-1) - theta.sum(-1).lgamma()

    def _mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    def _mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        corner = (self.concentration < 1).all(-1, True)
        largest = gw.arange(mode.shape[-1]) == mode.nan_to_num(0).argmax(-1, keepdim=True)
        return gw.where(corner, largest.to(mode.dtype), mode)

    def _variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def _rsample(self, sample_shape: Any) -> Any:
        return gw._sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def _log_prob(self, value: Any) -> Any:
        a = self.concentration
        return gw.xlogy(a - 1.0, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def _entropy(self) -> Any:
        a, k = self.concentration, self.concentration.size(-1)
        total = a.sum(-1)
        spread = ((a - 1.0) * a.digamma()).sum(-1)
        return a.lgamma().sum(-1) - total.lgamma() - (k - total) * total.digamma() - spread


class Beta(ExponentialFamily):
    """The density proportional to x^(a - 1) (1 - x)^(b - 1) of x in (0, 1)."""

    arg_constraints: ClassVar[Any] = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    _parameters = ("concentration1", "concentration0")

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.size(), validate_args=validate_args)

    @property
    def _both(self) -> Any:
        return gw.stack([self.concentration1, self.concentration0], -1)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.concentration1, self.concentration0)

    def _log_normalizer(self, one: Any, other: Any) -> Any:
        return one.lgamma() + other.lgamma() - (one + other).lgamma()

    def _mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    def _mode(self) -> Any:
        return Dirichlet(self._both, validate_args=False).mode[..., 0]

    def _variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def _rsample(self, sample_shape: Any) -> Any:
        return gw._sample_dirichlet(self._both.expand((*self._extended_shape(sample_shape), 2))).select(-1, 0)

    def _log_prob(self, value: Any) -> Any:
        return Dirichlet(self._both, validate_args=False).log_prob(gw.stack([value, 1.0 - value], -1))

    def _entropy(self) -> Any:
        return Dirichlet(self._both, validate_args=False).entropy()


class FisherSnedecor(Distribution):
    """The ratio of two chi-squared numbers over their degrees of freedom, `df1` and `df2`."""

    arg_constraints: ClassVar[Any] = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    _parameters = ("df1", "df2")

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None) -> None:
        self.df1, self.df2 = broadcast_all(df1, df2)
        super().__init__(self.df1.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return gw.where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    def _mode(self) -> Any:
        inside = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return gw.where(self.df1 > 2, inside, math.nan)

    def _variance(self) -> Any:
        above = self.df2 - 4
        finite = 2 * self.df2.square() * (self.df1 + self.df2 - 2) / (self.df1 * (self.df2 - 2).square() * above)
        return gw.where(above > 0, finite, math.nan)

    def _rsample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        first = gw._standard_gamma((self.df1 * 0.5).expand(shape)) / self.df1
        second = gw._standard_gamma((self.df2 * 0.5).expand(shape)) / self.df2
        return first / second.clamp(min=gw.finfo(second.dtype).tiny)

    def _log_prob(self, value: Any) -> Any:
        half1, half2, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        constant = (half1 + half2).lgamma() - half1.lgamma() - half2.lgamma()
        return constant + half1 * ratio.log() + (half1 - 1) * value.log() - (half1 + half2) * (ratio * value).log1p()
