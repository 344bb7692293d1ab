"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from gradwire.functions import cat
from gradwire.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all elements of all parameters, one after another; the result is in their graph."""
    held = list(parameters)
    _check_one_device(held)
    return cat([parameter.view(-1) for parameter in held])  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make views of `vec` the data of the parameters, in the order of `parameters_to_vector`."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    held = list(parameters)
    _check_one_device(held)
    start = 0
    for parameter in held:
        end = start + parameter.numel()
        parameter.data = vec[start:end].view_as(parameter).data
        start = end


def _check_one_device(parameters: list[Tensor]) -> None:
    if len({parameter.session for parameter in parameters}) > 1:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
