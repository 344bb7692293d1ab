"""Fold a batch normalization, in evaluation mode, into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _copied(layer: Any, bn: Any) -> Any:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return copy.deepcopy(layer)


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Any:
    """Return a convolution that does what `conv` and then `bn` do; `transpose` for transposed ones."""
    fused: Any = _copied(conv, bn)
    fuse: Any = fuse_conv_bn_weights
    fused.weight, fused.bias = fuse(fused.weight, fused.bias, *_statistics(bn), transpose)
    return fused


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Any:
    """Return a linear layer that does what `linear` and then `bn` do."""
    fused, features = _copied(linear, bn), getattr(bn, "num_features", None)
    if features not in (fused.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
            f"got linear.out_features={fused.out_features} and bn.num_features={features}"
        )
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, *_statistics(bn))
    return fused


def _statistics(bn: Any) -> tuple[Any, ...]:
    return bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the fused convolution."""
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the fused linear layer."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fused(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, scale: Tensor | None,
    shift: Tensor | None, dim: int,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Return weight * f along `dim` and (bias - mean) * f + shift, with f = scale / sqrt(var + eps)."""
    factor = (var + eps).rsqrt() if scale is None else (var + eps).rsqrt() * scale
    centred = -mean if bias is None else bias - mean
    moved = centred * factor if shift is None else centred * factor + shift
    shape = [1] * weight.dim()
    shape[dim] = -1
    made = (weight * factor.reshape(shape)).to(weight.dtype)
    needs = bias.requires_grad if bias is not None else False
    return (
        Parameter(made.detach(), weight.requires_grad),
        Parameter(moved.to(weight.dtype if bias is None else bias.dtype).detach(), needs),
    )
