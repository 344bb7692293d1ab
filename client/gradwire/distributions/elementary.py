"""The elementary maps of `transforms`: affine, exp, sigmoid, tanh, powers, and those onto the simplex."""

from __future__ import annotations

import math
from typing import Any

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions.parameters import sum_rightmost
from gradwire.distributions.transform import Transform

__all__ = [
    "AbsTransform", "AffineTransform", "ExpTransform", "LowerCholeskyTransform", "PowerTransform", "SigmoidTransform",
    "SoftmaxTransform", "SoftplusTransform", "StickBreakingTransform", "TanhTransform",
]  # fmt: skip

softplus = gw.nn.functional.softplus


class _Increasing(Transform):
    """A bijection of single numbers that grows; two of a class are equal."""

    bijective = True

    @property
    def sign(self) -> Any:
        """Return 1."""
        return 1


class ExpTransform(_Increasing):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return x."""
        return x


class PowerTransform(Transform):
    """y = x^exponent of positive numbers."""

    domain = codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent if isinstance(exponent, gw.Tensor) else gw.scalar_tensor(exponent)

    @property
    def sign(self) -> Any:
        """Return the exponent's sign."""
        return self.exponent.sign()

    def with_cache(self, cache_size: int = 1) -> Transform:
        """Return the same map with or without the last pair kept."""
        return self if self._cache_size == cache_size else PowerTransform(self.exponent, cache_size)

    def _key(self) -> tuple[Any, ...]:
        return (self.exponent,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and bool(self.exponent.eq(other.exponent).all())

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log |exponent y / x|."""
        return (self.exponent * y / x).abs().log()


class SigmoidTransform(_Increasing):
    """y = 1 / (1 + exp(-x)), kept inside of (0, 1)."""

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Any:
        info = gw.finfo(x.dtype)
        return x.sigmoid().clamp(min=info.tiny, max=1.0 - info.eps)

    def _inverse(self, y: Any) -> Any:
        info = gw.finfo(y.dtype)
        inner = y.clamp(min=info.tiny, max=1.0 - info.eps)
        return inner.log() - (-inner).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log(y (1 - y)), from x."""
        return -softplus(-x) - softplus(x)


class SoftplusTransform(_Increasing):
    """y = log(1 + exp(x))."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log(sigmoid(x))."""
        return -softplus(-x)


class TanhTransform(_Increasing):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log(1 - y^2) as 2 (log 2 - x - softplus(-2 x)), which loses nothing for large x."""
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(Transform):
    """y = |x|; its inverse is y itself."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y


class AffineTransform(Transform):
    """y = loc + scale x."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim
        if event_dim:
            self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    @property
    def event_dim(self) -> int:
        """Return the axes of an event."""
        return self._event_dim

    @property
    def sign(self) -> Any:
        """Return the scale's sign."""
        if isinstance(self.scale, gw.Tensor):
            return self.scale.sign()
        return 1 if self.scale > 0 else -1 if self.scale < 0 else 0

    def with_cache(self, cache_size: int = 1) -> Transform:
        """Return the same map with or without the last pair kept."""
        return (
            self
            if self._cache_size == cache_size
            else AffineTransform(self.loc, self.scale, self._event_dim, cache_size)
        )

    def _key(self) -> tuple[Any, ...]:
        return (self.loc, self.scale)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AffineTransform):
            return False
        pairs = ((self.loc, other.loc), (self.scale, other.scale))
        return all(bool((a == b).all()) if hasattr(a == b, "all") else bool(a == b) for a, b in pairs)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return log |scale|, once for each element of an event."""
        scale = self.scale
        log_scale = scale.abs().log() if isinstance(scale, gw.Tensor) else x.new_full((), math.log(abs(scale)))
        return sum_rightmost(log_scale.expand((x + log_scale).shape), self._event_dim)


class SoftmaxTransform(Transform):
    """Onto the simplex by exp and division; the inverse is log."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        probs = (x - x.max(-1, True)[0]).exp()
        return probs / probs.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        """Return the shape, which must have an axis."""
        return _with_axis(shape)

    inverse_shape = forward_shape


def _with_axis(shape: Any) -> Any:
    if len(shape) < 1:
        raise ValueError("Too few dimensions on input")
    return shape


class StickBreakingTransform(Transform):
    """(K - 1,) onto the simplex (K,): each number breaks off a part of what is left of a stick of length 1."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _call(self, x: Any) -> Any:
        broken = SigmoidTransform()(x - _offsets(x))
        left = (1 - broken).cumprod(-1)
        return _padded(broken, 0, 1, 1.0) * _padded(left, 1, 0, 1.0)

    def _inverse(self, y: Any) -> Any:
        cut = y[..., :-1]
        # What is left after the last part is above 0 although rounding may say otherwise.
        left = (1 - cut.cumsum(-1)).clamp(min=gw.finfo(y.dtype).tiny)
        return cut.log() - left.log() + _offsets(cut)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """Return the sum of log sigmoid(-z) + log of the stick that is left before each break, z the shifted x."""
        shifted = x - _offsets(x)
        return (-shifted + gw.nn.functional.logsigmoid(shifted) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        """Return the shape with one more number."""
        return gw.Size((*_with_axis(shape)[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        """Return the shape with one number less."""
        return gw.Size((*_with_axis(shape)[:-1], shape[-1] - 1))


def _offsets(x: Any) -> Any:
    """Return log(K - 1), log(K - 2), ..., 0: with them x = 0 gives equal parts."""
    count = x.shape[-1]
    return (count - gw.arange(count, dtype=x.dtype)).log()


def _padded(x: Any, left: int, right: int, value: float) -> Any:
    return gw.nn.functional.pad(x, [left, right], value=value)


class LowerCholeskyTransform(Transform):
    """Square matrices onto lower ones with a positive diagonal, by exp of the diagonal."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().unsqueeze(-1) * gw.eye(x.shape[-1], dtype=x.dtype)

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().unsqueeze(-1) * gw.eye(y.shape[-1], dtype=y.dtype)
