"""Distributions of a place and a width: Uniform, Laplace, Cauchy, HalfCauchy, Gumbel, StudentT."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.parameters import broadcast_all, standard_normal

__all__ = ["Cauchy", "Gumbel", "HalfCauchy", "Laplace", "StudentT", "Uniform"]

_EULER = 0.57721566490153286060


def _open_uniform(shape: Any, like: Any) -> Any:
    """Return numbers of (0, 1) in the dtype of `like`, as far from 0 as from 1."""
    info = gw.finfo(like.dtype)
    return gw.rand(*shape, dtype=like.dtype).clamp(min=info.tiny, max=1 - info.eps)


class _LocScale(Distribution):
    """Two parameters, `loc` and `scale`."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parameters = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return self.loc

    def _mode(self) -> Any:
        return self.loc


class Laplace(_LocScale):
    """The density exp(-|x - loc| / scale) / (2 scale)."""

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return math.sqrt(2) * self.scale

    def _variance(self) -> Any:
        return 2 * self.scale**2

    def _rsample(self, sample_shape: Any) -> Any:
        u = _open_uniform(self._extended_shape(sample_shape), self.loc) - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def _log_prob(self, value: Any) -> Any:
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def _cdf(self, value: Any) -> Any:
        z = value - self.loc
        return 0.5 - 0.5 * z.sign() * (-z.abs() / self.scale).expm1()

    def _icdf(self, value: Any) -> Any:
        z = value - 0.5
        return self.loc - self.scale * z.sign() * (-2 * z.abs()).log1p()

    def _entropy(self) -> Any:
        return 1 + (2 * self.scale).log()


class Cauchy(_LocScale):
    """The density 1 / (pi scale (1 + ((x - loc) / scale)^2))."""

    def _mean(self) -> Any:
        return gw.full_like(self.loc, math.nan)

    def _variance(self) -> Any:
        return gw.full_like(self.loc, math.inf)

    def _rsample(self, sample_shape: Any) -> Any:
        return self.loc + self.loc.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale

    def _log_prob(self, value: Any) -> Any:
        return -math.log(math.pi) - self.scale.log() - (((value - self.loc) / self.scale) ** 2).log1p()

    def _cdf(self, value: Any) -> Any:
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def _icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def _entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()


class HalfCauchy(Distribution):
    """The distribution of |x|, x Cauchy about 0."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _parameters = ("scale",)

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        super().__init__(self.scale.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return gw.full_like(self.scale, math.inf)

    _variance = _mean

    def _mode(self) -> Any:
        return self.scale.zeros_like()

    def _rsample(self, sample_shape: Any) -> Any:
        return (self.scale.new_empty(self._extended_shape(sample_shape)).cauchy_() * self.scale).abs()

    def _log_prob(self, value: Any) -> Any:
        inside = math.log(2 / math.pi) - self.scale.log() - ((value / self.scale) ** 2).log1p()
        return gw.where(value >= 0, inside, -math.inf)

    def _cdf(self, value: Any) -> Any:
        return (value / self.scale).atan() * (2 / math.pi)

    def _icdf(self, value: Any) -> Any:
        return (value * (math.pi / 2)).tan() * self.scale

    def _entropy(self) -> Any:
        return math.log(2 * math.pi) + self.scale.log()


class Gumbel(_LocScale):
    """The distribution of the largest of many: cdf exp(-exp(-(x - loc) / scale))."""

    def _mean(self) -> Any:
        return self.loc + self.scale * _EULER

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return (math.pi / math.sqrt(6)) * self.scale

    def _variance(self) -> Any:
        return self.stddev.square()

    def _rsample(self, sample_shape: Any) -> Any:
        return self.loc - self.scale * (-_open_uniform(self._extended_shape(sample_shape), self.loc).log()).log()

    def _log_prob(self, value: Any) -> Any:
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def _cdf(self, value: Any) -> Any:
        return (-(-(value - self.loc) / self.scale).exp()).exp()

    def _icdf(self, value: Any) -> Any:
        return self.loc - self.scale * (-value.log()).log()

    def _entropy(self) -> Any:
        return self.scale.log() + (1 + _EULER)


class StudentT(Distribution):
    """Student's t distribution of `df` degrees of freedom, moved and widened."""

    arg_constraints: ClassVar[Any] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    _parameters = ("df", "loc", "scale")

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return gw.where(self.df > 1, self.loc, math.nan)

    def _mode(self) -> Any:
        return self.loc

    def _variance(self) -> Any:
        finite = self.scale**2 * self.df / (self.df - 2)
        return gw.where(self.df > 2, finite, gw.where(self.df > 1, math.inf, gw.full_like(self.df, math.nan)))

    def _rsample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        chi_squared = 2 * gw._standard_gamma((0.5 * self.df).expand(shape))
        return self.loc + self.scale * standard_normal(shape, self.df) * (chi_squared / self.df).rsqrt()

    def _log_prob(self, value: Any) -> Any:
        y = (value - self.loc) / self.scale
        return -0.5 * (self.df + 1) * (y**2 / self.df).log1p() - self._log_normalizer()

    def _log_normalizer(self) -> Any:
        half = 0.5 * self.df
        constant = 0.5 * math.log(math.pi) + self.scale.log() + 0.5 * self.df.log()
        return constant + half.lgamma() - (half + 0.5).lgamma()

    def _entropy(self) -> Any:
        half = 0.5 * self.df
        return self._log_normalizer() + 0.5 * (self.df + 1) * ((half + 0.5).digamma() - half.digamma())


class Uniform(Distribution):
    """The uniform distribution of [low, high)."""

    has_rsample = True
    _parameters = ("low", "high")

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.size(), validate_args=validate_args)

    @property
    def arg_constraints(self) -> Any:
        """Return that low must be below high."""
        return {"low": constraints.less_than(self.high), "high": constraints.greater_than(self.low)}

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """Return [low, high]."""
        return constraints.interval(self.low, self.high)

    def _mean(self) -> Any:
        return (self.high + self.low) / 2

    def _mode(self) -> Any:
        return self.high * math.nan

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return (self.high - self.low) / 12**0.5

    def _variance(self) -> Any:
        return (self.high - self.low) ** 2 / 12

    def _rsample(self, sample_shape: Any) -> Any:
        drawn = gw.rand(*self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + drawn * (self.high - self.low)

    def _log_prob(self, value: Any) -> Any:
        inside = (self.low <= value) & (self.high > value)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def _cdf(self, value: Any) -> Any:
        return ((value - self.low) / (self.high - self.low)).clamp(min=0, max=1)

    def _icdf(self, value: Any) -> Any:
        return value * (self.high - self.low) + self.low

    def _entropy(self) -> Any:
        return (self.high - self.low).log()
