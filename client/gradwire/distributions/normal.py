"""The normal family: Normal, HalfNormal, MultivariateNormal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.parameters import broadcast_all, standard_normal
from gradwire_protocol.infer import broadcast_shapes

__all__ = ["HalfNormal", "MultivariateNormal", "Normal"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class Normal(ExponentialFamily):
    """The normal distribution of mean `loc` and standard deviation `scale`."""

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _parameters = ("loc", "scale")
    _mean_carrier_measure = 0

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.size(), validate_args=validate_args)

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (self.loc / self.scale.square(), -0.5 / self.scale.square())

    def _log_normalizer(self, slope: Any, bend: Any) -> Any:
        return 0.5 * (-math.pi / bend).log() - slope.square() / (4 * bend)

    def _mean(self) -> Any:
        return self.loc

    _mode = _mean

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return self.scale

    def _variance(self) -> Any:
        return self.scale.square()

    def _sample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        return gw.normal(self.loc.expand(shape), self.scale.expand(shape))

    def _rsample(self, sample_shape: Any) -> Any:
        return self.loc + standard_normal(self._extended_shape(sample_shape), self.loc) * self.scale

    def _log_prob(self, value: Any) -> Any:
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - _HALF_LOG_TAU

    def _cdf(self, value: Any) -> Any:
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def _icdf(self, value: Any) -> Any:
        return self.loc + self.scale * (2 * value - 1).erfinv() * math.sqrt(2)

    def _entropy(self) -> Any:
        return 0.5 + _HALF_LOG_TAU + self.scale.log()


class HalfNormal(Distribution):
    """The distribution of |x|, x normal of mean 0 and deviation `scale`."""

    arg_constraints: ClassVar[Any] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _parameters = ("scale",)

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all(scale)
        super().__init__(self.scale.size(), validate_args=validate_args)

    def _mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    def _mode(self) -> Any:
        return self.scale.zeros_like()

    def _variance(self) -> Any:
        return self.scale**2 * (1 - 2 / math.pi)

    def _rsample(self, sample_shape: Any) -> Any:
        return (standard_normal(self._extended_shape(sample_shape), self.scale) * self.scale).abs()

    def _log_prob(self, value: Any) -> Any:
        inside = math.log(2) - value**2 / (2 * self.scale**2) - self.scale.log() - _HALF_LOG_TAU
        return gw.where(value >= 0, inside, -math.inf)

    def _cdf(self, value: Any) -> Any:
        return (value / (self.scale * math.sqrt(2))).erf()

    def _icdf(self, value: Any) -> Any:
        return self.scale * value.erfinv() * math.sqrt(2)

    def _entropy(self) -> Any:
        return 0.5 + _HALF_LOG_TAU + self.scale.log() - math.log(2)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, given by one of covariance, its inverse, or its lower Cholesky factor."""

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    _parameters = ("loc", "covariance_matrix", "precision_matrix", "scale_tril", "_factor")

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1]))
        self.loc = loc.expand((*batch, -1))
        self.__dict__[name] = matrix.expand((*batch, -1, -1))
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        self._factor = _factor(name, self.__dict__[name])

    def __getattr__(self, name: str) -> Any:
        # The forms that were not given, at each question: they are cheap beside what is made of them.
        if "_factor" in self.__dict__:
            if name == "scale_tril":
                return self._factor
            if name == "covariance_matrix":
                return self._factor @ self._factor.mT
            if name == "precision_matrix":
                inverse = _solve_lower(self._factor, gw.eye(self._factor.shape[-1], dtype=self._factor.dtype))
                return inverse.mT @ inverse
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _mean(self) -> Any:
        return self.loc

    _mode = _mean

    def _variance(self) -> Any:
        return self._factor.square().sum(-1).expand(self._batch_shape + self._event_shape)

    def _rsample(self, sample_shape: Any) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + (self._factor @ noise.unsqueeze(-1)).squeeze(-1)

    def _log_prob(self, value: Any) -> Any:
        whitened = _solve_lower(self._factor, (value - self.loc).unsqueeze(-1)).squeeze(-1)
        constant = self._event_shape[0] * _HALF_LOG_TAU
        return -0.5 * whitened.square().sum(-1) - self._log_det() - constant

    def _log_det(self) -> Any:
        return self._factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _entropy(self) -> Any:
        return (self._log_det() + self._event_shape[0] * (0.5 + _HALF_LOG_TAU)).expand(self._batch_shape)


def _solve_lower(factor: Any, right: Any) -> Any:
    from gradwire import linalg  # type: ignore[attr-defined, unused-ignore]

    return linalg.solve_triangular(factor, right, upper=False)


def _factor(name: str, matrix: Any) -> Any:
    """Return the lower Cholesky factor of the covariance, of any of the three forms."""
    from gradwire import linalg  # type: ignore[attr-defined, unused-ignore]

    if name == "scale_tril":
        return matrix
    if name == "covariance_matrix":
        return linalg.cholesky(matrix)
    # P = U U' with U upper, from the Cholesky factor of P with rows and columns turned around; then L = U'^-1.
    turned = linalg.cholesky(matrix.flip((-2, -1))).flip((-2, -1)).mT
    return _solve_lower(turned, gw.eye(matrix.shape[-1], dtype=matrix.dtype).expand(matrix.shape))
