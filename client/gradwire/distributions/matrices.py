"""Distributions of matrices, and of vectors of a covariance of low rank: LowRankMultivariateNormal, Wishart, LKJCholesky."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.gamma import Beta, Chi2
from gradwire.distributions.normal import _factor, _solve_lower
from gradwire.distributions.parameters import broadcast_all, standard_normal
from gradwire_protocol.infer import broadcast_shapes

__all__ = ["LKJCholesky", "LowRankMultivariateNormal", "Wishart"]

_LOG_TAU = math.log(2 * math.pi)


def _unit(matrix: Any) -> Any:
    return gw.eye(matrix.shape[-1], dtype=matrix.dtype)


def log_det(factor: Any) -> Any:
    """Return the logarithm of the determinant of L, (*, n, n) -> (*)."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


# ---------------------------------------------------------------- low rank
class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors (n) of covariance W W' + diag(D): `cov_factor` W (n, m), `cov_diag` D (n).

    What is factored is C = I + W' D^-1 W (m, m): Woodbury's identity and the determinant lemma give the rest.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    _parameters = ("loc", "cov_factor", "cov_diag")

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {event[0]} x m")
        if cov_diag.shape[-1:] != event:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event}")
        try:
            batch = broadcast_shapes(tuple(loc.shape[:-1]), tuple(cov_factor.shape[:-2]), tuple(cov_diag.shape[:-1]))
        except RuntimeError:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, cov_diag {cov_diag.shape}"
            ) from None
        self.loc, self.cov_diag = loc.expand((*batch, -1)), cov_diag.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, -1, -1))
        self._given_factor, self._given_diag = cov_factor, cov_diag
        scaled = self._scaled()
        self._capacitance = gw.linalg.cholesky(scaled @ cov_factor + _unit(scaled @ cov_factor))
        super().__init__(batch, event, validate_args=validate_args)

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        new._given_factor, new._given_diag, new._capacitance = self._given_factor, self._given_diag, self._capacitance

    def _scaled(self) -> Any:
        """Return W' D^-1."""
        return self._given_factor.mT / self._given_diag.unsqueeze(-2)

    def _whitened(self) -> Any:
        """Return A of the precision D^-1 - A' A."""
        return _solve_lower(self._capacitance, self._scaled())

    def _square(self) -> Any:
        return self._batch_shape + self._event_shape + self._event_shape

    def _mean(self) -> Any:
        return self.loc

    _mode = _mean

    def _variance(self) -> Any:
        variance = self._given_factor.square().sum(-1) + self._given_diag
        return variance.expand(self._batch_shape + self._event_shape)

    @property
    def scale_tril(self) -> Any:
        """Return the Cholesky factor of the covariance, through that of I + D^-1/2 W W' D^-1/2, whose condition is better."""
        root = self._given_diag.sqrt().unsqueeze(-1)
        inner = self._given_factor / root
        product = inner @ inner.mT
        return (root * gw.linalg.cholesky(product + _unit(product))).expand(self._square())

    @property
    def covariance_matrix(self) -> Any:
        """Return W W' + diag(D)."""
        return (self._given_factor @ self._given_factor.mT + self._given_diag.diag_embed()).expand(self._square())

    @property
    def precision_matrix(self) -> Any:
        """Return the inverse of the covariance."""
        white = self._whitened()
        return (self._given_diag.reciprocal().diag_embed() - white.mT @ white).expand(self._square())

    def _rsample(self, sample_shape: Any) -> Any:
        shape = self._extended_shape(sample_shape)
        along = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc)
        apart = standard_normal(shape, self.loc)
        return self.loc + (self._given_factor @ along.unsqueeze(-1)).squeeze(-1) + self._given_diag.sqrt() * apart

    def _distance(self, away: Any) -> Any:
        """Return x' (W W' + D)^-1 x."""
        inner = _solve_lower(self._capacitance, self._scaled() @ away.unsqueeze(-1))
        return (away.square() / self._given_diag).sum(-1) - inner.square().sum((-2, -1))

    def _log_det(self) -> Any:
        """Return half of the logarithm of the covariance's determinant."""
        return log_det(self._capacitance) + 0.5 * self._given_diag.log().sum(-1)

    def _log_prob(self, value: Any) -> Any:
        return -0.5 * (self._event_shape[0] * _LOG_TAU + self._distance(value - self.loc)) - self._log_det()

    def _entropy(self) -> Any:
        return (self._log_det() + 0.5 * self._event_shape[0] * (1 + _LOG_TAU)).expand(self._batch_shape)


# ---------------------------------------------------------------- covariances
def multivariate_digamma(x: Any, p: int) -> Any:
    """Return the derivative of log Gamma_p: the sum of digamma(x - i / 2) for i below p."""
    return (x.unsqueeze(-1) - gw.arange(p, dtype=x.dtype) / 2).digamma().sum(-1)


class Wishart(ExponentialFamily):
    """Sums of x x' of `df` normal vectors x (n); for any df > n - 1, whole or not. Given as MultivariateNormal is."""

    support = constraints.positive_definite
    has_rsample = True
    _parameters = ("df", "covariance_matrix", "precision_matrix", "scale_tril", "_factor")
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        number = df if isinstance(df, gw.Tensor) else gw.scalar_tensor(df, dtype=matrix.dtype)
        batch = broadcast_shapes(tuple(matrix.shape[:-2]), tuple(number.shape))
        self.df = number.expand(batch)
        if self._validate_args if validate_args is None else validate_args:
            self._check_df(df, matrix.shape[-1])
        self.__dict__[name] = matrix.expand((*batch, -1, -1))
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        self._factor = _factor(name, self.__dict__[name])

    def _check_df(self, df: Any, n: int) -> None:
        smallest = self.df.min().item()
        if not smallest > n - 1:
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        if smallest < n:
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for ndim - 1 < df < ndim.",
                stacklevel=3,
            )

    @property
    def arg_constraints(self) -> Any:
        """Return what the parameters must be; the bound of df is the size of the matrices."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def __getattr__(self, name: str) -> Any:
        # As in MultivariateNormal: the forms that were not given.
        if "_factor" in self.__dict__:
            if name == "scale_tril":
                return self._factor
            if name == "covariance_matrix":
                return self._factor @ self._factor.mT
            if name == "precision_matrix":
                return _unit(self._factor).cholesky_solve(self._factor)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        return (-self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2)

    def _log_normalizer(self, matrix: Any, power: Any) -> Any:
        n = self._event_shape[-1]
        half = power + (n + 1) / 2
        return half * (n * math.log(2) - gw.linalg.slogdet(-2 * matrix).logabsdet) + half.mvlgamma(n)

    def _times(self, number: Any) -> Any:
        return number.unsqueeze(-1).unsqueeze(-1) * self.covariance_matrix

    def _mean(self) -> Any:
        return self._times(self.df)

    def _mode(self) -> Any:
        above = self.df - self._event_shape[-1] - 1
        return self._times(above.masked_fill(above <= 0, math.nan))

    def _variance(self) -> Any:
        matrix = self.covariance_matrix
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        spread = matrix.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.unsqueeze(-1).unsqueeze(-1) * spread

    def _rsample(self, sample_shape: Any) -> Any:
        """Return L A A' L', by Bartlett: A has normal numbers below the roots of chi-squared ones."""
        n = self._event_shape[-1]
        squares = Chi2(self.df.unsqueeze(-1) - gw.arange(n, dtype=self.df.dtype), validate_args=False)
        roots = squares.rsample(sample_shape).sqrt().clamp(min=gw.finfo(self.df.dtype).eps)
        noise = standard_normal(self._extended_shape(sample_shape), self.df).tril(-1)
        factor = self._factor @ (noise + roots.diag_embed())
        return factor @ factor.mT

    def _half(self) -> Any:
        """Return half of the logarithm of the determinant of twice the covariance."""
        return self._event_shape[-1] * math.log(2) / 2 + log_det(self._factor)

    def _log_prob(self, value: Any) -> Any:
        df, n = self.df, self._event_shape[-1]
        trace = value.cholesky_solve(self._factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        density = (df - n - 1) / 2 * gw.linalg.slogdet(value).logabsdet - trace / 2
        return density - df * self._half() - (df / 2).mvlgamma(n)

    def _entropy(self) -> Any:
        df, n = self.df, self._event_shape[-1]
        shape = (df / 2).mvlgamma(n) - (df - n - 1) / 2 * multivariate_digamma(df / 2, n)
        return (n + 1) * self._half() + shape + df * n / 2


# ---------------------------------------------------------------- correlations
class LKJCholesky(Distribution):
    """Lower Cholesky factors of correlation matrices (dim, dim), of density det^(concentration - 1) of the matrix.

    D. Lewandowski, D. Kurowicka, H. Joe, "Generating random correlation matrices based on vines and extended onion
    method" (2009), section 3.
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _parameters = ("concentration",)

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.size(), (dim, dim), validate_args=validate_args)

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        new.dim = self.dim

    def _sample(self, sample_shape: Any) -> Any:
        """Return rows of length 1: the part below the diagonal has a Beta length and any direction."""
        rows = gw.arange(1, self.dim, dtype=self.concentration.dtype)
        beyond = self.concentration.unsqueeze(-1) + 0.5 * (self.dim - 1 - rows)
        squares = Beta(0.5 * rows, beyond, validate_args=False).sample(sample_shape)
        noise = standard_normal((*squares.shape, self.dim), squares).tril()
        below = squares.sqrt().unsqueeze(-1) * noise / noise.norm(dim=-1, keepdim=True)
        below = gw.nn.functional.pad(below, (0, 0, 1, 0))
        rest = (1 - below.square().sum(-1)).clamp(min=gw.finfo(below.dtype).tiny).sqrt()
        return below + rest.diag_embed()

    def _log_prob(self, value: Any) -> Any:
        below = self.dim - 1
        powers = 2 * (self.concentration - 1).unsqueeze(-1) + gw.arange(below - 1, -1, -1)
        density = (powers * value.diagonal(dim1=-1, dim2=-2)[..., 1:].log()).sum(-1)
        alpha = self.concentration + 0.5 * below
        constant = 0.5 * below * math.log(math.pi) + (alpha - 0.5).mvlgamma(below) - alpha.lgamma() * below
        return density - constant
