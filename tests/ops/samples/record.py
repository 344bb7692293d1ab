"""The record that feeds every suite: one per op."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Case", "Refusal", "Sample"]


@dataclass(frozen=True, slots=True)
class Case:
    """Arguments of one call, in schema order: numpy arrays for tensors (lists of them for lists), plain values else."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    differentiable: bool = True  # False where the values sit on a kink, so that finite differences mean nothing
    torch_gradient: bool = True  # False where PyTorch's own gradient raises or is wrong; the reason stands beside it


@dataclass(frozen=True, slots=True)
class Refusal:
    """Arguments that must be refused by the shape rule, with PyTorch's class and words (a regular expression)."""

    args: tuple[Any, ...]
    error: type[Exception]
    match: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    in_torch: bool = True  # False where PyTorch has other words or does not refuse


@dataclass(frozen=True, slots=True)
class Sample:
    """What all suites need to know of an op.

    `reference` computes the expected result with numpy (a tuple for several), independently of the kernel; an in-place op
    returns what `self` must hold. `cases` makes inputs from a seeded generator: several ranks, broadcasts, 0-dim, empty,
    non-contiguous, dtypes. Gradients are tested for float64 inputs. `torch` stands in for `torch.ops.aten.<op>` in the
    parity suite where ATen has no such op.
    """

    op: str
    reference: Callable[..., Any]
    cases: Callable[[np.random.Generator], Iterable[Case]]
    refusals: tuple[Refusal, ...] = ()
    rtol: float = 1e-5
    atol: float = 1e-6
    gradient_rtol: float = 1e-4
    torch: Callable[..., Any] | None = None
    second_order: bool = True
    differentiable_outputs: int | None = None  # the first so many outputs; None: all floating ones
    gradients_by_values: bool = True  # False where finite differences cannot reach the gradient; parity covers it
