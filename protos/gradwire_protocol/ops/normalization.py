"""Softmax and layer normalization, with the ops that their gradients are made of.

Shapes and refusals: pytorch/aten/src/ATen/native/SoftMax.cpp and layer_norm.cpp.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, DType, float16, float32
from gradwire_protocol.infer import normalize_dim
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["check_normalized", "expect_real", "parameter_dtype"]

Shape = tuple[int, ...]


def expect_real(kernel: str, self: Meta) -> None:
    """Refuse all but real floating point, in the words of a PyTorch kernel that lacks a dtype."""
    if self.dtype.category is not Category.FLOAT:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{torch_type_name(self.dtype)}'")


# ---------------------------------------------------------------- softmax
def _declare_softmax(name: str) -> None:
    def forward(self: Meta, dim: int, half_to_float: bool) -> Meta:
        last = normalize_dim(dim, self.ndim) == max(self.ndim - 1, 0)
        expect_real(f"{name}_lastdim_kernel_impl" if last else f"{name}_kernel_impl", self)
        if half_to_float and self.dtype is not float16:
            raise RuntimeError(f"conversion is supported for Half type only; got {torch_type_name(self.dtype)}")
        return Meta.of(self.shape, float32 if half_to_float else self.dtype)

    def backward(grad_output: Meta, output: Meta, dim: int, input_dtype: DType) -> Meta:
        if grad_output.shape != output.shape:
            raise RuntimeError(
                "Expected tensor for argument #1 'grad' to have same size as tensor for argument #2 'output'; but "
                f"{list(grad_output.shape)} does not equal {list(output.shape)} (while checking arguments for "
                f"{name}_backward)"
            )
        normalize_dim(dim, output.ndim)
        return Meta.of(output.shape, input_dtype)

    op(f"_{name}(Tensor self, int dim, bool half_to_float) -> Tensor", forward, {"self": "result"})
    op(f"_{name}_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor", backward,
       {"grad_output": "output", "output": "grad_output output"})  # fmt: skip


_declare_softmax("softmax")
_declare_softmax("log_softmax")


# ---------------------------------------------------------------- layer norm
def check_normalized(input: Meta, normalized_shape: Shape) -> None:
    """Refuse a `normalized_shape` that is empty or not that of the input's last axes."""
    if not normalized_shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    if input.shape[-len(normalized_shape) :] != normalized_shape:
        wanted = ", ".join(map(str, ("*", *normalized_shape)))
        raise RuntimeError(
            f"Given normalized_shape={list(normalized_shape)}, expected input with shape [{wanted}], but got input of "
            f"size{list(input.shape)}"
        )


def parameter_dtype(input: Meta, *parameters: Meta | None) -> DType:
    """Return the dtype of parameters and statistics: the input's, or float32 beside an input of two bytes."""
    given = [parameter for parameter in parameters if parameter is not None]
    if not given or all(parameter.dtype is input.dtype for parameter in given):
        return input.dtype
    if given[0].dtype is input.dtype:
        odd = next(parameter for parameter in given if parameter.dtype is not input.dtype)
        raise RuntimeError(
            f"expected scalar type {torch_type_name(input.dtype)} but found {torch_type_name(odd.dtype)}"
        )
    if any(parameter.dtype is not float32 for parameter in given):
        raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
    if not (input.dtype.is_floating_point and input.dtype.itemsize == 2):
        raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
    return float32


def _check_parameter(name: str, parameter: Meta | None, input: Meta, normalized_shape: Shape) -> None:
    if parameter is None:
        return
    if parameter.shape != normalized_shape:
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(parameter.shape)} "
            f"and normalized_shape = {list(normalized_shape)}"
        )


def _layer_norm(
    input: Meta, normalized_shape: Shape, weight: Meta | None, bias: Meta | None, eps: type
) -> tuple[Meta, Meta, Meta]:
    check_normalized(input, normalized_shape)
    _check_parameter("weight", weight, input, normalized_shape)
    _check_parameter("bias", bias, input, normalized_shape)
    expect_real("LayerNormKernelImpl", input)
    kept = input.ndim - len(normalized_shape)
    moment = Meta.of((*input.shape[:kept], *(1,) * len(normalized_shape)), parameter_dtype(input, weight, bias))
    return Meta.of(input.shape, input.dtype), moment, moment


def _layer_norm_backward(
    grad_out: Meta, input: Meta, normalized_shape: Shape, mean: Meta, rstd: Meta, weight: Meta | None,
    output_mask: tuple[bool, ...],
) -> tuple[Meta, ...]:  # fmt: skip
    check_normalized(input, normalized_shape)
    _check_parameter("weight", weight, input, normalized_shape)
    if len(output_mask) != 3:
        raise RuntimeError(f"output_mask must have 3 elements; got {len(output_mask)}")
    # The moments have the parameters' dtype, also where there are no parameters.
    like = (input, Meta.of(normalized_shape, mean.dtype), Meta.of(normalized_shape, mean.dtype))
    # PyTorch leaves a result that is not in the mask undefined; here it is an empty vector.
    return tuple(
        Meta.of(meta.shape if wanted else (0,), meta.dtype) for meta, wanted in zip(like, output_mask, strict=True)
    )


_KEPT = "input weight result1 result2"
op("native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> "
   "(Tensor, Tensor, Tensor)", _layer_norm, {"input": _KEPT, "weight": _KEPT, "bias": _KEPT})  # fmt: skip
_KEPT = "grad_out input mean rstd weight"
op("native_layer_norm_backward(Tensor grad_out, Tensor input, int[] normalized_shape, Tensor mean, Tensor rstd, "
   "Tensor? weight, bool[3] output_mask) -> (Tensor, Tensor, Tensor)", _layer_norm_backward,
   {"grad_out": _KEPT, "input": _KEPT, "weight": _KEPT})  # fmt: skip
