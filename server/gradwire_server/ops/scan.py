"""Kernels and gradients of `gradwire_protocol.ops.scan`, in log2(n) steps each: CuPy scans no more than sum and product."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server.ops.reduction import in_dtype, widened
from gradwire_server.ops.sorting import running
from gradwire_server.rules import gradient, kernel

Array = Any
_LOWEST = {2: -65504.0, 4: -3.4028234663852886e38, 8: -1.7976931348623157e308}  # by the bytes of a float


def _extreme(name: str, beats: str) -> None:
    """Register a running extreme: of equals the last place counts; a NaN stays, and each later one takes its place."""

    def scan(xp: Any, self: Array, dim: int) -> tuple[Array, Array]:
        rows = xp.moveaxis(self, dim, -1) if self.ndim else self.reshape((1,))

        def better(earlier: Array, later: Array) -> Array:
            a, b = (xp.take_along_axis(rows, places, -1) for places in (earlier, later))
            wins = (b != b) | ((a == a) & getattr(xp, beats)(b, a))
            return xp.where(wins, later, earlier)

        indices = running(xp, xp.broadcast_to(xp.arange(rows.shape[-1]), rows.shape), better)
        values = xp.take_along_axis(rows, indices, -1)
        if not self.ndim:
            return values.reshape(()), xp.asarray(indices).reshape(())
        return xp.moveaxis(values, -1, dim), xp.moveaxis(indices, -1, dim)

    kernel(name)(scan)


_extreme("cummax", "greater_equal")
_extreme("cummin", "less_equal")


@kernel("logcumsumexp")
def logcumsumexp(xp: Any, self: Array, dim: int, result: Meta) -> Array:
    """Compute log(sum of exp) up to each element, by pairs, so that neither a large nor a small part is lost."""
    if not self.ndim:
        return self.copy()
    rows = xp.moveaxis(widened(self), dim, -1)

    def complex_sum(a: Array, b: Array) -> Array:
        """Compute log(exp(a) + exp(b)) as the larger plus log(1 + exp(smaller - larger)): numpy's is of real numbers.

        Nothing overflows, and the angle stays near the larger's, as PyTorch's does, wherever that is.
        """
        behind = a.real >= b.real
        large, small = xp.where(behind, a, b), xp.where(behind, b, a)
        return xp.where(xp.isinf(large.real), large, xp.log(1 + xp.exp(small - large)) + large)

    add = complex_sum if self.dtype.kind == "c" else xp.logaddexp
    return in_dtype(xp.moveaxis(running(xp, rows, add), -1, dim), result)


# ---------------------------------------------------------------- gradients
def _scattered(g: Array, call: Any) -> Array:
    """Add each gradient where the running extreme was found."""
    return g.new_zeros(g.meta.shape).scatter_add(call.dim, call.result1, g) if g.meta.ndim else g


def _reverse(g: Array, call: Any) -> Array:
    return g.flip(call.dim).logcumsumexp(call.dim).flip(call.dim)


def _logcumsumexp_gradient(g: Array, call: Any) -> Array:
    """Return exp(self) * sum_{j >= i} g_j exp(-result_j), its positive and its negative part in logarithms.

    The logarithm of no gradient is the lowest number, not -inf, whose differences are NaN in the second gradient.
    Formula: logcumsumexp_backward in pytorch/torch/csrc/autograd/FunctionsManual.cpp.
    """
    if not g.meta.ndim:
        return g
    if g.meta.dtype.is_complex:  # a logarithm of complex numbers knows no sign
        return (_reverse(g.log() - call.result, call) + call.self).exp()
    size = g.abs().log()
    nothing = g.new_full((), _LOWEST[g.meta.dtype.itemsize])
    where = OPS["where.self"]
    positive = _reverse(where(g.gt(0), size, nothing) - call.result, call) + call.self
    negative = _reverse(where(g.lt(0), size, nothing) - call.result, call) + call.self
    return positive.exp() - negative.exp()


for _name in ("cummax", "cummin"):
    gradient(_name, self=_scattered)
gradient("logcumsumexp", self=_logcumsumexp_gradient)
