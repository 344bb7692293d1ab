"""Spectral normalization by a hook before each forward: the older way, `parametrizations.spectral_norm` is the newer.

States saved by PyTorch before 0.4.1, which had no vector v, are not loaded.
"""

from __future__ import annotations

from typing import Any

from gradwire.autograd.grad_mode import no_grad
from gradwire.nn import functional as F
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.nn.utils.parametrizations import default_dim
from gradwire.tensor import Tensor

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


class SpectralNorm:
    """The hook: sets `module.<name>` to `<name>_orig` over its largest singular value."""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """Return the weight as a matrix of `dim` by all other axes."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """Return the weight, after moving the singular vectors on if `do_power_iteration`."""
        weight = getattr(module, f"{self.name}_orig")
        held = [getattr(module, f"{self.name}_{vector}") for vector in "uv"]
        matrix = self.reshape_weight_to_matrix(weight)
        u, v = held
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v = F.normalize(matrix.t().mv(u), dim=0, eps=self.eps)
                    u = F.normalize(matrix.mv(v), dim=0, eps=self.eps)
                # The buffers are written, but a backward needs the vectors as they are now: u and v are not the buffers.
                held[0].copy_(u)
                held[1].copy_(v)
        return weight / u.dot(matrix.mv(v))  # type: ignore[no-any-return]

    @staticmethod
    def apply(module: Module, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Replace a weight by `<name>_orig` and its singular vectors, drawn at random."""
        if _find(module, name) is not None:
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
        hook = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        with no_grad():
            sizes = hook.reshape_weight_to_matrix(weight).shape
            u, v = (F.normalize(weight.new_empty(size).normal_(0, 1), dim=0, eps=eps) for size in sizes)
        delattr(module, name)
        module.register_parameter(f"{name}_orig", weight)
        # The name must be there before the first forward too, and be no parameter.
        setattr(module, name, weight.detach())
        module.register_buffer(f"{name}_u", u)
        module.register_buffer(f"{name}_v", v)
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        """Make the weight a parameter again."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Compute the weight before a forward."""
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


def _find(module: Module, name: str) -> tuple[int, SpectralNorm] | None:
    for key, record in module._forward_pre_hooks.items():
        if isinstance(record.function, SpectralNorm) and record.function.name == name:
            return key, record.function
    return None


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Let a weight be divided by its largest singular value, as a matrix of `dim` by all other axes; return the module.

    `dim` is 0 by default, and 1 for transposed convolutions.
    """
    SpectralNorm.apply(module, name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo `spectral_norm`; return the module."""
    found = _find(module, name)
    if found is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    found[1].remove(module)
    del module._forward_pre_hooks[found[0]]
    return module
