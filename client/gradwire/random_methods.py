"""Draws whose parameters or places are tensors: the random methods of Tensor, and functions of the same names.

None waits: the worker draws at the place of the stream that the client's generator gives.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gradwire.generators import Generator, default_generator
from gradwire_protocol.dtypes import DType, bool_
from gradwire_protocol.infer import broadcast_shapes
from gradwire_protocol.ops import OPS
from gradwire_protocol.registry import torch_type_name

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "RandomMethods", "_sample_dirichlet", "_standard_gamma", "bernoulli", "binomial", "dropout", "multinomial", "poisson",
]  # fmt: skip


def _drawn(name: str, numel: int, generator: Generator | None, *arguments: Any) -> Any:
    """Run an op that draws `numel` elements from a generator."""
    return OPS[name](*arguments, *(generator or default_generator).take(numel))


def _tensor(name: str, value: Any) -> Any:
    from gradwire.tensor import expect_tensor

    return expect_tensor(name, value)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """Draw one with the probability that each element holds, or `p` if given, else zero."""
    made: Tensor = _tensor("bernoulli", input).bernoulli(p, generator=generator)
    return made


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Draw indices in proportion to the weights of each row: (K,) -> (num_samples,), (N, K) -> (N, num_samples)."""
    made: Tensor = _tensor("multinomial", input).multinomial(num_samples, replacement, generator=generator)
    return made


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw counts of the rates that `input` holds, in its dtype."""
    made: Tensor = _drawn("gw::poisson", _tensor("poisson", input).numel(), generator, input)
    return made


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw successes in `count` trials of probability `prob`, which broadcast; in the dtype of both."""
    numel = math.prod(broadcast_shapes(_tensor("binomial", count).meta.shape, _tensor("binomial", prob).meta.shape))
    made: Tensor = _drawn("gw::binomial", numel, generator, count, prob)
    return made


def _standard_gamma(self: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw gamma numbers of concentration `self` and rate 1; gradients reach `self` by implicit differentiation."""
    made: Tensor = _drawn("gw::standard_gamma", _tensor("_standard_gamma", self).numel(), generator, self)
    return made


def _sample_dirichlet(self: Tensor, generator: Generator | None = None) -> Tensor:
    """Draw points of the simplex, along the last axis, as gamma numbers over their sum; gradients reach `self`."""
    gammas = _standard_gamma(self, generator)
    made: Tensor = gammas / gammas.sum(-1, keepdim=True)
    return made


def dropout(input: Tensor, p: float = 0.5, train: bool = True, *, generator: Generator | None = None) -> Tensor:
    """Zero each element with probability `p` and scale the others by 1 / (1 - p); the identity unless `train`."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0:
        return input
    result: Tensor = _drawn("gw::dropout", input.numel(), generator, input, float(p))[0]
    return result


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise RuntimeError(message)


class RandomMethods:
    """The random methods of Tensor."""

    __slots__ = ()

    def _fill(self: Any, name: str, generator: Generator | None, *numbers: Any) -> Any:
        return _drawn(name, self.meta.numel, generator, self, *numbers)

    def uniform_(self: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill from [a, b); a complex tensor's real and imaginary parts alike."""
        _require(a <= b, f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
        if self.meta.dtype.is_complex:
            self.view_as_real().uniform_(a, b, generator=generator)
            return self
        return self._fill("gw::uniform_", generator, float(a), float(b))

    def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill from the normal distribution; a complex tensor's variance is shared by both of its parts."""
        _require(std >= 0, f"normal expects std >= 0.0, but found std {std}")
        if self.meta.dtype.is_complex:
            self.view_as_real().normal_(0.0, std * math.sqrt(0.5), generator=generator)
            return self.add_(mean) if mean else self
        return self._fill("gw::normal_", generator, float(mean), float(std))

    def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Any:
        """Fill with exp of normal numbers of the given mean and deviation."""
        _require(std > 0, f"log_normal_ expects std > 0.0, but found std={std}")
        return self._fill("gw::log_normal_", generator, float(mean), float(std))

    def exponential_(self: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill with exponential numbers of rate `lambd`."""
        _require(lambd > 0, f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        return self._fill("gw::exponential_", generator, float(lambd))

    def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Any:
        """Fill with Cauchy numbers."""
        _require(sigma > 0, f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        return self._fill("gw::cauchy_", generator, float(median), float(sigma))

    def geometric_(self: Any, p: float, *, generator: Generator | None = None) -> Any:
        """Fill with the number of trials up to the first success, each of probability `p`."""
        _require(0 < p < 1, f"geometric_ expects p to be in (0, 1), but got p={p}")
        return self._fill("gw::geometric_", generator, float(p))

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
        """Fill with ones with probability `p`, a number or a tensor that broadcasts to self, zeros otherwise."""
        if hasattr(p, "meta"):
            return self._fill("gw::bernoulli_by_", generator, p)
        _require(0 <= p <= 1, f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        return self._fill("gw::bernoulli_", generator, float(p))

    def random_(self: Any, from_: int = 0, to: int | None = None, *, generator: Generator | None = None) -> Any:
        """Fill with integers: `random_(from, to)` of [from, to), `random_(to)` of [0, to), `random_()` of all that fit."""
        dtype = self.meta.dtype
        if dtype.is_complex:
            raise NotImplementedError(f"\"random_kernel_cpu\" not implemented for '{torch_type_name(dtype)}'")
        if to is None:
            from_, to = 0, from_ if isinstance(from_, int) and from_ != 0 else _exact_limit(dtype)
        _require(from_ < to, f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}")
        _check_bounds(dtype, from_, to)
        return self._fill("gw::random_", generator, from_, to)

    def bernoulli(self: Any, p: float | None = None, *, generator: Generator | None = None) -> Any:
        """Draw one with the probability that each element holds, or `p` if given, else zero."""
        if p is not None:
            return self.new_empty(self.meta.shape).bernoulli_(p, generator=generator)
        return self._fill("gw::bernoulli", generator)

    def multinomial(
        self: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
    ) -> Any:
        """Draw indices in proportion to the weights of each row: (..., K) -> int64 (..., num_samples).

        Negative weights, and rows with too few positive ones, raise RuntimeError at the next wait.
        """
        rows = math.prod(self.meta.shape[:-1])
        numel = rows * max(num_samples, 0) if replacement else self.meta.numel
        return _drawn("gw::multinomial", numel, generator, self, num_samples, bool(replacement))


def _exact_limit(dtype: DType) -> int:
    """Return the end of PyTorch's range for `random_()`: all integers that the dtype holds exactly."""
    if dtype.is_floating_point:
        return (1 << {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}[dtype.name]) + 1
    bits = dtype.itemsize * 8 - (1 if dtype.is_signed else 0)
    return 2 if dtype is bool_ else min(1 << bits, (1 << 63) - 1)


def _check_bounds(dtype: DType, low: int, high: int) -> None:
    """Refuse integers that an integral dtype cannot hold, in PyTorch's words."""
    if dtype.is_floating_point:
        return
    least = -_exact_limit(dtype) if dtype.is_signed and dtype is not bool_ else 0
    for name, value in (("from", low), ("to - 1", high - 1)):
        if not least <= value < max(_exact_limit(dtype), 1) + (dtype.itemsize == 8):
            raise RuntimeError(f"{name} is out of bounds for {_C_NAMES[dtype.name]}")


_C_NAMES = {
    "bool": "bool", "uint8": "unsigned char", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long",
}  # fmt: skip
