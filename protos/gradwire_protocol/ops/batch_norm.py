"""Batch, group and RMS normalization, with the ops that their gradients are made of.

No op of ours both writes to arguments and returns results, so running statistics come out of the functional form, and
`gw::store_statistics_` puts them where they belong. Shapes and refusals: pytorch/aten/src/ATen/native/Normalization.cpp,
group_norm.cpp, layer_norm.cpp, mixed_data_type.h.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import DType, float32
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.normalization import check_normalized, expect_real, parameter_dtype
from gradwire_protocol.registry import check_no_overlap, op

__all__ = ["channels_of"]

Shape = tuple[int, ...]


def channels_of(input: Meta) -> int:
    """Return the size of axis 1; raise IndexError where there is none."""
    if input.ndim < 2:
        low, high = -max(input.ndim, 1), max(input.ndim, 1) - 1
        raise IndexError(f"Dimension out of range (expected to be in range of [{low}, {high}], but got 1)")
    return input.shape[1]


def _masked(shapes: tuple[Shape, ...], dtypes: tuple[DType, ...], output_mask: tuple[bool, ...]) -> tuple[Meta, ...]:
    """Return the gradients that the mask asks for; PyTorch leaves the others undefined, here they are empty vectors."""
    if len(output_mask) != len(shapes):
        raise RuntimeError(f"output_mask must have {len(shapes)} elements; got {len(output_mask)}")
    return tuple(
        Meta.of(shape if wanted else (0,), dtype)
        for shape, dtype, wanted in zip(shapes, dtypes, output_mask, strict=True)
    )


# ---------------------------------------------------------------- batch norm
def _check_batch(input: Meta, **parameters: Meta | None) -> DType:
    channels = channels_of(input)
    for name, parameter in parameters.items():
        if parameter is not None and parameter.numel != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {parameter.numel}")
    expect_real("batch_norm", input)
    if input.numel == 0:
        raise RuntimeError(f"input tensor must have at least one element, but got input_sizes = {list(input.shape)}")
    return parameter_dtype(input, *parameters.values())


def _by_batch(input: Meta, weight: Meta | None, bias: Meta | None, training: bool, momentum: type, eps: type) -> object:
    if not training:
        raise RuntimeError("running_mean must be defined in evaluation mode")
    moment = Meta.of((channels_of(input),), _check_batch(input, weight=weight, bias=bias))
    return Meta.of(input.shape, input.dtype), moment, moment


def _by_running(
    input: Meta,
    weight: Meta | None,
    bias: Meta | None,
    running_mean: Meta,
    running_var: Meta,
    momentum: type,
    eps: type,
) -> object:
    dtype = _check_batch(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    return Meta.of(input.shape, input.dtype), Meta.of((0,), dtype), Meta.of((0,), dtype)


def _updating(
    input: Meta, weight: Meta | None, bias: Meta | None, running_mean: Meta, running_var: Meta, training: bool,
    momentum: type, eps: type,
) -> object:  # fmt: skip
    if not training:
        raise RuntimeError("running statistics change in training only; see _native_batch_norm_legit_no_training")
    dtype = _check_batch(input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    moment = Meta.of((channels_of(input),), dtype)
    return Meta.of(input.shape, input.dtype), moment, moment, moment, moment


def _batch_backward(
    grad_out: Meta, input: Meta, weight: Meta | None, running_mean: Meta | None, running_var: Meta | None,
    save_mean: Meta | None, save_invstd: Meta | None, train: bool, eps: type, output_mask: tuple[bool, ...],
) -> object:  # fmt: skip
    dtype = _check_batch(input, weight=weight)
    if (save_mean is None or save_invstd is None) if train else (running_mean is None or running_var is None):
        needed = "save_mean and save_invstd in training" if train else "running_mean and running_var in evaluation"
        raise RuntimeError(f"native_batch_norm_backward needs {needed}")
    if grad_out.shape != input.shape:
        raise RuntimeError(f"grad_out must have the shape of input; got {grad_out} and {input}")
    shape = (channels_of(input),)
    return _masked((input.shape, shape, shape), (input.dtype, dtype, dtype), output_mask)


_PARAMETERS = "Tensor input, Tensor? weight, Tensor? bias"
_THREE = "(Tensor, Tensor, Tensor)"
_KEPT = dict.fromkeys(("input", "weight", "bias"), "input weight result1 result2")
op(f"_native_batch_norm_legit.no_stats({_PARAMETERS}, bool training, float momentum, float eps) -> {_THREE}",
   _by_batch, _KEPT, node="NativeBatchNormBackward0")  # fmt: skip
op(f"_native_batch_norm_legit_functional({_PARAMETERS}, Tensor running_mean, Tensor running_var, bool training, "
   "float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor running_mean_out, Tensor running_var_out)",
   _updating, _KEPT, node="NativeBatchNormBackward0")  # fmt: skip
op(f"_native_batch_norm_legit_no_training({_PARAMETERS}, Tensor running_mean, Tensor running_var, float momentum, "
   f"float eps) -> {_THREE}", _by_running,
   dict.fromkeys(("input", "weight", "bias"), "input weight running_mean running_var"),
   node="NativeBatchNormBackward0")  # fmt: skip
_KEPT = dict.fromkeys(
    ("grad_out", "input", "weight"), "grad_out input weight running_mean running_var save_mean save_invstd"
)
op("native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, Tensor? running_var, "
   "Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
   _batch_backward, _KEPT)  # fmt: skip


def _store(self: tuple[Meta, ...], source: tuple[Meta, ...]) -> tuple[()]:
    if len(self) != len(source):
        raise RuntimeError(f"store_statistics_ needs a source for each tensor; got {len(source)} for {len(self)}")
    for into, given in zip(self, source, strict=True):
        if given.numel != into.numel:
            raise RuntimeError(f"store_statistics_ needs as many elements as it writes; got {given} for {into}")
        check_no_overlap(into)
    return ()


op("gw::store_statistics_(Tensor(a!)[] self, Tensor[] source) -> ()", _store)


# ---------------------------------------------------------------- group norm
def _check_groups(input: Meta, weight: Meta | None, bias: Meta | None, N: int, C: int, HxW: int, group: int) -> DType:
    if group <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {group}")
    if C % group:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={group}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != (C,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of "
                f"shape {list(parameter.shape)} and input of shape {list(input.shape)}"
            )
    if input.numel != N * C * HxW:
        raise RuntimeError(f"native_group_norm needs N * C * HxW elements; got {input} for {N} * {C} * {HxW}")
    expect_real("GroupNormKernelImpl", input)
    return parameter_dtype(input, weight, bias)


def _group_norm(
    input: Meta, weight: Meta | None, bias: Meta | None, N: int, C: int, HxW: int, group: int, eps: type
) -> object:
    moment = Meta.of((N, group), _check_groups(input, weight, bias, N, C, HxW, group))
    return Meta.of(input.shape, input.dtype), moment, moment


def _group_backward(
    grad_out: Meta, input: Meta, mean: Meta, rstd: Meta, weight: Meta | None, N: int, C: int, HxW: int, group: int,
    output_mask: tuple[bool, ...],
) -> object:  # fmt: skip
    dtype = _check_groups(input, weight, None, N, C, HxW, group)
    if grad_out.shape != input.shape:
        raise RuntimeError(f"grad_out must have the shape of input; got {grad_out} and {input}")
    return _masked((input.shape, (C,), (C,)), (input.dtype, dtype, dtype), output_mask)


_GROUPS = "int N, int C, int HxW, int group"
op(f"native_group_norm({_PARAMETERS}, {_GROUPS}, float eps) -> {_THREE}", _group_norm,
   dict.fromkeys(("input", "weight", "bias"), "input weight result1 result2"))  # fmt: skip
op(f"native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, {_GROUPS}, "
   f"bool[3] output_mask) -> {_THREE}", _group_backward,
   dict.fromkeys(("grad_out", "input", "weight"), "grad_out input mean rstd weight"))  # fmt: skip


# ---------------------------------------------------------------- RMS norm
def _check_rms(input: Meta, normalized_shape: Shape, weight: Meta | None) -> None:
    check_normalized(input, normalized_shape)
    if weight is not None and weight.shape != normalized_shape:
        raise RuntimeError(
            f"Expected weight to be of same shape as normalized_shape, but got weight of shape {list(weight.shape)} and "
            f"normalized_shape = {list(normalized_shape)}"
        )
    expect_real("rms_norm", input)


def _rms_norm(input: Meta, normalized_shape: Shape, weight: Meta | None, eps: type) -> object:
    _check_rms(input, normalized_shape, weight)
    kept = input.ndim - len(normalized_shape)
    # The statistics of two-byte inputs are float32, as those of PyTorch's fused kernel.
    dtype = float32 if input.dtype.itemsize == 2 else input.dtype
    return Meta.of(input.shape, input.dtype), Meta.of((*input.shape[:kept], *(1,) * len(normalized_shape)), dtype)


def _rms_backward(
    grad_out: Meta, input: Meta, normalized_shape: Shape, rstd: Meta, weight: Meta | None, output_mask: tuple[bool, ...]
) -> object:
    _check_rms(input, normalized_shape, weight)
    by_weight = input.dtype if weight is None else weight.dtype
    return _masked((input.shape, normalized_shape), (input.dtype, by_weight), output_mask)


op("_fused_rms_norm(Tensor input, int[] normalized_shape, Tensor? weight, float? eps) -> (Tensor, Tensor)", _rms_norm,
   dict.fromkeys(("input", "weight"), "input weight result1"))  # fmt: skip
op("_fused_rms_norm_backward(Tensor grad_out, Tensor input, int[] normalized_shape, Tensor rstd, Tensor? weight, "
   "bool[2] output_mask) -> (Tensor, Tensor)", _rms_backward,
   dict.fromkeys(("grad_out", "input", "weight"), "grad_out input rstd weight"))  # fmt: skip
