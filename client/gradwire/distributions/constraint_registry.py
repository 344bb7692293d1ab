"""`biject_to` and `transform_to`: a map from all real numbers onto a constraint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradwire as gw
from gradwire.distributions import constraints
from gradwire.distributions import transforms as maps

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = Callable[[Any], maps.Transform]


class ConstraintRegistry:
    """Constraint classes and the factories of the maps onto them."""

    def __init__(self) -> None:
        self._registry: dict[type, Factory] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Register a factory for a constraint's class; without one, return the decorator that does."""
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not (isinstance(kind, type) and issubclass(kind, constraints.Constraint)):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint: Any) -> maps.Transform:
        """Return the map onto a constraint; raise NotImplementedError where none is registered for its class."""
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _onto_interval(constraint: Any) -> maps.Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    if not isinstance(low, gw.Tensor) and not isinstance(high, gw.Tensor) and (low, high) == (0, 1):
        return maps.SigmoidTransform()
    return maps.ComposeTransform([maps.SigmoidTransform(), maps.AffineTransform(low, high - low)])


def _above(constraint: Any) -> maps.Transform:
    low = constraint.lower_bound
    if not isinstance(low, gw.Tensor) and low == 0:
        return maps.ExpTransform()
    return maps.ComposeTransform([maps.ExpTransform(), maps.AffineTransform(low, 1)])


def _below(constraint: Any) -> maps.Transform:
    return maps.ComposeTransform([maps.ExpTransform(), maps.AffineTransform(constraint.upper_bound, -1)])


def _independent(registry: ConstraintRegistry) -> Factory:
    return lambda constraint: maps.IndependentTransform(
        registry(constraint.base_constraint), constraint.reinterpreted_batch_ndims
    )


def _joined(registry: ConstraintRegistry) -> tuple[Factory, Factory]:
    """Return the factories for `cat` and for `stack`."""

    def cat(constraint: Any) -> maps.Transform:
        return maps.CatTransform([registry(part) for part in constraint.cseq], constraint.dim, constraint.lengths)

    def stack(constraint: Any) -> maps.Transform:
        return maps.StackTransform([registry(part) for part in constraint.cseq], constraint.dim)

    return cat, stack


for _registry in (biject_to, transform_to):
    _registry.register(constraints.cat, _joined(_registry)[0])
    _registry.register(constraints.stack, _joined(_registry)[1])
    _registry.register(constraints.real, lambda constraint: maps.identity_transform)
    _registry.register(constraints.independent, _independent(_registry))
    _registry.register(constraints.greater_than, _above)
    _registry.register(constraints.greater_than_eq, _above)
    _registry.register(constraints.less_than, _below)
    _registry.register(constraints.interval, _onto_interval)
    _registry.register(constraints.half_open_interval, _onto_interval)
    _registry.register(constraints.lower_cholesky, lambda constraint: maps.LowerCholeskyTransform())
    _registry.register(constraints.corr_cholesky, lambda constraint: maps.CorrCholeskyTransform())
biject_to.register(constraints.simplex, lambda constraint: maps.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda constraint: maps.SoftmaxTransform())
transform_to.register(constraints.positive_definite, lambda constraint: maps.PositiveDefiniteTransform())
transform_to.register(constraints.positive_semidefinite, lambda constraint: maps.PositiveDefiniteTransform())
