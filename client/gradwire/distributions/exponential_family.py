"""`ExponentialFamily`: densities exp(<t(x), theta> - F(theta) + k(x)), whose entropy and divergences F alone gives.

F. Nielsen, R. Nock, "Entropies and cross-entropies of exponential families" (2010).
"""

from __future__ import annotations

from typing import Any

from gradwire.autograd import grad
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.parameters import sum_rightmost

__all__ = ["ExponentialFamily", "bregman_divergence"]


class ExponentialFamily(Distribution):
    """The base of such families. One defines its natural parameters theta, F of them, and the mean of k under itself."""

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        """Return theta: tensors whose first axes are the batch's."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        """Return F(theta), of batch_shape."""
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        """Return the mean of k(x), which the entropy needs and no divergence does."""
        raise NotImplementedError

    def _entropy(self) -> Any:
        """Return F(theta) - <theta, dF/dtheta> - mean of k."""
        carrier = self._mean_carrier_measure
        params, normalizer, slopes = _tangent(self)
        found = normalizer - carrier
        for param, slope in zip(params, slopes, strict=True):
            found = found - (param * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return found


def _tangent(p: ExponentialFamily) -> tuple[list[Any], Any, Any]:
    """Return theta apart from the graph it came from, F there, and F's slopes."""
    params = [param.detach().requires_grad_() for param in p._natural_params]
    normalizer = p._log_normalizer(*params)
    return params, normalizer, grad(normalizer.sum(), params, create_graph=True)


def bregman_divergence(p: ExponentialFamily, q: ExponentialFamily) -> Any:
    """Return the mean under p of log p - log q, both of one class: F(q) - F(p) - <q - p, dF/dp>."""
    if type(p) is not type(q):
        raise NotImplementedError(
            f"a divergence without a formula needs one exponential family; got {type(p).__name__} and {type(q).__name__}; "
            "register one with register_kl"
        )
    params, normalizer, slopes = _tangent(p)
    others = q._natural_params
    found = q._log_normalizer(*others) - normalizer
    for param, other, slope in zip(params, others, slopes, strict=True):
        # A parameter may have fewer axes than an event, as Wishart's df: summing the event's would sum batches too.
        found = found - sum_rightmost((other - param) * slope, param.dim() - len(p.batch_shape))
    return found
