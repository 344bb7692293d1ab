"""`Distribution`: shapes, validation and the public calls; a family fills in the hooks that begin with an underscore.

Validation looks at values, so it waits for the worker, as PyTorch's waits for a GPU; `validate_args=False`, or
`Distribution.set_default_validate_args(False)`, saves that. No draw waits.
"""

from __future__ import annotations

from typing import Any, ClassVar

import gradwire as gw
from gradwire.distributions import constraints
from gradwire_protocol.infer import broadcast_shapes

__all__ = ["Distribution"]


class Distribution:
    """The base of all distributions: a batch of `batch_shape`, each of whose events has `event_shape`.

    A family sets `arg_constraints` and `support`, names in `_parameters` the attributes that `expand` expands, and defines
    the hooks `_log_prob`, `_rsample` (or `_sample`), `_cdf`, `_icdf`, `_entropy`, `_mean`, `_variance`, `_mode`. A class of
    the user's may define the public methods instead.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _parameters: ClassVar[tuple[str, ...]] = ()
    arg_constraints: ClassVar[Any] = {}
    support: Any = None

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether distributions validate parameters and values where they are not told."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = gw.Size(batch_shape), gw.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if name in self.__dict__ and not constraints.is_dependent(constraint):
                    self._check_parameter(name, constraint)

    def _check_parameter(self, name: str, constraint: Any) -> None:
        value = getattr(self, name)
        if not constraint.check(value).all():
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
            )

    # --- shapes ---
    @property
    def batch_shape(self) -> Any:
        """Return the shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """Return the shape of one event."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        return gw.Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """Return this distribution for a larger batch, without copies."""
        new = self._get_checked_instance(type(self), _instance)
        batch_shape = gw.Size(batch_shape)
        for name in self._parameters:
            if name in self.__dict__:
                value = self.__dict__[name]
                new.__dict__[name] = value.expand((*batch_shape, *value.shape[len(self._batch_shape) :]))
        self._copy_to(new, batch_shape)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _copy_to(self, new: Any, batch_shape: Any) -> None:
        """Copy what `expand` does not expand."""
        if "_given" in self.__dict__:
            new._given = self.__dict__["_given"]

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also define "
                "a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    # --- draws ---
    def sample(self, sample_shape: Any = ()) -> Any:
        """Draw, without a graph: sample_shape + batch_shape + event_shape."""
        with gw.no_grad():
            return self._sample(gw.Size(sample_shape)).detach()

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draw so that gradients flow to the parameters; raise NotImplementedError where there is no such way."""
        return self._rsample(gw.Size(sample_shape))

    def sample_n(self, n: int) -> Any:
        """Draw n times."""
        return self.sample((n,))

    def rsample_n(self, n: int) -> Any:
        """Draw n times, with gradients."""
        return self.rsample((n,))

    def _sample(self, sample_shape: Any) -> Any:
        return self.rsample(sample_shape)

    def _rsample(self, sample_shape: Any) -> Any:
        raise NotImplementedError

    # --- functions of a value ---
    def log_prob(self, value: Any) -> Any:
        """Return the logarithm of the density or probability at `value`."""
        return self._log_prob(self._checked(value))

    def cdf(self, value: Any) -> Any:
        """Return the probability of no more than `value`."""
        return self._cdf(self._checked(value))

    def icdf(self, value: Any) -> Any:
        """Return the quantile: where `cdf` is `value`."""
        return self._icdf(value)

    def _checked(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return value

    def _log_prob(self, value: Any) -> Any:
        raise NotImplementedError

    def _cdf(self, value: Any) -> Any:
        raise NotImplementedError

    def _icdf(self, value: Any) -> Any:
        raise NotImplementedError

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, gw.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        self._check_value_shape(value)
        try:
            support = self.support
        except NotImplementedError:
            return
        if support is None or constraints.is_dependent(support):
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the support "
                f"({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _check_value_shape(self, value: Any) -> None:
        event_start = len(value.shape) - len(self._event_shape)
        if value.shape[max(event_start, 0) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.size()} vs {self._event_shape}."
            )
        try:
            broadcast_shapes(tuple(value.shape), tuple(self._extended_shape()))
        except RuntimeError:
            expected = self._extended_shape()
            raise ValueError(
                f"Value is not broadcastable with batch_shape+event_shape: {value.size()} vs {expected}."
            ) from None

    # --- moments ---
    @property
    def mean(self) -> Any:
        """Return the mean."""
        return self._mean()

    @property
    def mode(self) -> Any:
        """Return the likeliest value."""
        return self._mode()

    @property
    def variance(self) -> Any:
        """Return the variance."""
        return self._variance()

    @property
    def stddev(self) -> Any:
        """Return the standard deviation."""
        return self.variance.sqrt()

    def entropy(self) -> Any:
        """Return the entropy in nats, of batch_shape."""
        return self._entropy()

    def perplexity(self) -> Any:
        """Return exp(entropy)."""
        return self.entropy().exp()

    def _mean(self) -> Any:
        raise NotImplementedError

    def _mode(self) -> Any:
        raise NotImplementedError(f"{type(self)} does not implement mode")

    def _variance(self) -> Any:
        raise NotImplementedError

    def _entropy(self) -> Any:
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """Return all values of a discrete distribution along a new first axis; without `expand`, of batch axes of size 1."""
        return self._enumerate_support(expand)

    def _enumerate_support(self, expand: bool) -> Any:
        raise NotImplementedError

    def _spread(self, values: Any, expand: bool) -> Any:
        """Return values (N,) as (N, 1, ..., 1), or expanded over the batch."""
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values

    def __repr__(self) -> str:
        shown = [name for name in self.arg_constraints if name in self.__dict__ and name != self.__dict__.get("_other")]
        parts = []
        for name in shown:
            value = self.__dict__[name]
            parts.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{type(self).__name__}({', '.join(parts)})"
