"""Parametrizations of weights: `orthogonal`, `weight_norm`, `spectral_norm`.

T. Salimans and D. Kingma, 2016; T. Miyato et al., 2018.
"""

from __future__ import annotations

from typing import ClassVar

from gradwire.autograd.grad_mode import no_grad
from gradwire.nn import functional as F
from gradwire.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from gradwire.nn.module import Module
from gradwire.nn.utils.orthogonal import orthogonal
from gradwire.nn.utils.parametrize import register_parametrization
from gradwire.tensor import Tensor

__all__ = ["norm_except_dim", "orthogonal", "spectral_norm", "weight_norm"]


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Return the norms of the slices along `dim`, with the other axes kept as 1; of all elements for -1."""
    if dim == -1:
        return v.linalg_vector_norm(pow)
    axes = tuple(axis for axis in range(v.dim()) if axis != dim % v.dim())
    # No axes would mean all of them.
    return v.linalg_vector_norm(pow, axes, True) if axes else v.abs()


class _WeightNorm(Module):
    """g v / |v|, with the norms of the slices along `dim`."""

    old_names: ClassVar[dict[str, str]] = {"_g": "original0", "_v": "original1"}

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Return the weight."""
        made: Tensor = weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))
        return made

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return g and v of a weight."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let a weight be its direction `original1` times its norms `original0` along `dim`, all in one for None.

    States of the older `nn.utils.weight_norm` are loaded too.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    """The weight over its largest singular value, which is followed by `n_power_iterations` at each use in training."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.dim()
        if not -ndim <= dim < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            with no_grad():
                matrix = self._matrix(weight)
                for vector, size in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                    drawn = matrix.new_empty(size).normal_(0, 1)
                    self.register_buffer(vector, F.normalize(drawn, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> tuple[Tensor, Tensor]:
        """Move the singular vectors on; return them in memory of their own, since a backward may need them as they are."""
        with no_grad():
            u, v = self._u.clone(), self._v.clone()
            for _ in range(n_power_iterations):
                u = F.normalize(matrix.mv(v), dim=0, eps=self.eps)
                v = F.normalize(matrix.mH.mv(u), dim=0, eps=self.eps)
            if n_power_iterations:
                self._u.copy_(u)
                self._v.copy_(v)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight over its norm."""
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        u, v = self._power_method(matrix, self.n_power_iterations if self.training else 0)
        return weight / u.vdot(matrix.mv(v))  # type: ignore[no-any-return]

    def right_inverse(self, value: Tensor) -> Tensor:
        """Return `value`, which is assumed to be of norm 1."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Let a weight be divided by its largest singular value, as a matrix of `dim` by all other axes.

    `dim` is 0 by default, and 1 for transposed convolutions.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = default_dim(module)
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


def default_dim(module: Module) -> int:
    """Return the axis of a weight that its outputs lie along."""
    return int(isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d))
