"""Activations of single elements as modules; what they compute is in functional/activation.py."""

from __future__ import annotations

import warnings
from typing import Any

from gradwire import creation
from gradwire.nn import functional as F
from gradwire.nn import init as initializers
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

__all__ = [
    "CELU", "ELU", "GELU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish",
    "PReLU", "RReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
    "Threshold",
]  # fmt: skip


# --- without arguments ---
class Tanh(Module):
    """Apply tanh to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return tanh(input)."""
        return F.tanh(input)


class Sigmoid(Module):
    """Apply 1 / (1 + exp(-x)) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return sigmoid(input)."""
        return F.sigmoid(input)


class LogSigmoid(Module):
    """Apply log(1 / (1 + exp(-x))) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return logsigmoid(input)."""
        return F.logsigmoid(input)


class Softsign(Module):
    """Apply x / (1 + |x|) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return softsign(input)."""
        return F.softsign(input)


class Tanhshrink(Module):
    """Apply x - tanh(x) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return tanhshrink(input)."""
        return F.tanhshrink(input)


# --- that can write their result over their input ---
class _WithInplace(Module):
    """An activation that can write its result over its input; its arguments are printed by name."""

    _printed: tuple[str, ...] = ()
    inplace: bool

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """Return the arguments, and whether it works in place, if so."""
        parts = [f"{name}={getattr(self, name)}" for name in self._printed]
        return ", ".join([*parts, "inplace=True"] if self.inplace else parts)


class ReLU(_WithInplace):
    """Apply max(x, 0) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return relu(input)."""
        return F.relu(input, inplace=self.inplace)


class SiLU(_WithInplace):
    """Apply x * sigmoid(x) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return silu(input)."""
        return F.silu(input, inplace=self.inplace)


class Mish(_WithInplace):
    """Apply x * tanh(softplus(x)) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return mish(input)."""
        return F.mish(input, inplace=self.inplace)


class SELU(_WithInplace):
    """Apply elu with the two constants that keep layers normalized."""

    def forward(self, input: Tensor) -> Tensor:
        """Return selu(input)."""
        return F.selu(input, self.inplace)


class Hardsigmoid(_WithInplace):
    """Apply min(max(x + 3, 0), 6) / 6 to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return hardsigmoid(input)."""
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does."""
        return ""


class Hardswish(_WithInplace):
    """Apply x * hardsigmoid(x) to each element."""

    def forward(self, input: Tensor) -> Tensor:
        """Return hardswish(input)."""
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        """Return nothing, as PyTorch does."""
        return ""


class ELU(_WithInplace):
    """Apply alpha * (exp(x) - 1) to each element that is not positive."""

    _printed = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Return elu(input)."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(_WithInplace):
    """Apply alpha * (exp(x / alpha) - 1) to each element that is not positive."""

    _printed = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        """Return celu(input)."""
        return F.celu(input, self.alpha, self.inplace)


class LeakyReLU(_WithInplace):
    """Scale each element that is not positive by `negative_slope`."""

    _printed = ("negative_slope",)

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        """Return leaky_relu(input)."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class RReLU(_WithInplace):
    """Scale each element that is not positive by a slope of [lower, upper): a random one in training, else the mean."""

    _printed = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        """Return rrelu(input)."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Threshold(_WithInplace):
    """Replace each element that is not above `threshold` by `value`."""

    _printed = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """Return threshold(input)."""
        return F.threshold(input, self.threshold, self.value, self.inplace)


class Hardtanh(_WithInplace):
    """Clamp each element to [min_val, max_val]."""

    _printed: tuple[str, ...] = ("min_val", "max_val")

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(inplace)
        for old, new, value in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if value is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and renamed to `{new}`", FutureWarning, stacklevel=2
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input: Tensor) -> Tensor:
        """Return hardtanh(input)."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """Clamp each element to [0, 6]."""

    _printed = ()

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)


# --- with arguments ---
class GELU(Module):
    """Apply x * Phi(x) to each element; `approximate="tanh"` for the cheaper formula."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Return gelu(input)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Return the formula's name."""
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """Apply log(1 + exp(beta * x)) / beta to each element; leave it where beta * x is above `threshold`."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        """Return softplus(input)."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return both arguments."""
        return f"beta={self.beta}, threshold={self.threshold}"


class _Shrinking(Module):
    """An activation that brings what is near 0 to 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """Return `lambd`."""
        return f"{self.lambd}"


class Hardshrink(_Shrinking):
    """Replace each element within `lambd` of 0 by 0."""

    def forward(self, input: Tensor) -> Tensor:
        """Return hardshrink(input)."""
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrinking):
    """Move each element towards 0 by `lambd`, and no further."""

    def forward(self, input: Tensor) -> Tensor:
        """Return softshrink(input)."""
        return F.softshrink(input, self.lambd)


class PReLU(Module):
    """Scale each element that is not positive by a learned slope: one for all, or one per channel."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        self.num_parameters = num_parameters
        super().__init__()
        self.init = init
        self.weight = Parameter(creation.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to `init`."""
        initializers.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """Return prelu(input, weight)."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return f"num_parameters={self.num_parameters}"
