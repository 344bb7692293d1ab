"""Losses. `reduction` is ATen's number: 0 none, 1 mean, 2 sum.

Shapes and refusals: pytorch/aten/src/ATen/native/Loss.cpp, LossNLL.cpp and LossNLL2d.cpp.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, DType, int64, uint8
from gradwire_protocol.infer import broadcast_shapes, pointwise, result_type
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.normalization import expect_real
from gradwire_protocol.registry import op, torch_type_name

Shape = tuple[int, ...]


def _reduced(shape: Shape, dtype: DType, reduction: int) -> Meta:
    if reduction not in (0, 1, 2):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return Meta.of(() if reduction else shape, dtype)


# ---------------------------------------------------------------- negative log likelihood
def _check_target_dtype(target: Meta) -> None:
    if target.dtype not in (int64, uint8):
        raise RuntimeError(f"expected target dtype to be Long or Byte, but got {torch_type_name(target.dtype)}")


def _check_weight_dtype(self: Meta, weight: Meta | None) -> None:
    if weight is not None and weight.dtype is not self.dtype:
        raise RuntimeError(
            f"expected scalar type {torch_type_name(self.dtype)} but found {torch_type_name(weight.dtype)}"
        )


def _check_nll(self: Meta, target: Meta, weight: Meta | None) -> None:
    if self.ndim not in (1, 2):
        raise RuntimeError("input tensor should be 1D or 2D")
    if target.ndim > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if self.ndim == 1 and target.ndim == 1 and target.numel != 1:
        raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}")
    if self.ndim == 2 and target.shape != self.shape[:1]:
        raise RuntimeError(f"size mismatch (got input: {list(self.shape)}, target: {list(target.shape)})")
    classes = self.shape[-1]
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )
    _check_target_dtype(target)
    expect_real("nll_loss_out_frame", self)
    _check_weight_dtype(self, weight)


def _check_nll2d(self: Meta, target: Meta, weight: Meta | None) -> None:
    if target.ndim != 3:
        raise RuntimeError(
            f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {target.ndim}"
        )
    if self.ndim != 4:
        raise RuntimeError(
            f"only batches of spatial inputs supported (4D tensors), but got input of dimension: {self.ndim}"
        )
    if weight is not None and weight.numel != self.shape[1]:
        raise RuntimeError("weight tensor should be defined either for all or no classes")
    if target.shape != (self.shape[0], *self.shape[2:]):
        raise RuntimeError(f"size mismatch (got input: {list(self.shape)} , target: {list(target.shape)}")
    _check_target_dtype(target)
    expect_real("nll_loss2d_forward_out_frame", self)
    _check_weight_dtype(self, weight)


def _nll(self: Meta, target: Meta, weight: Meta | None, reduction: int, ignore_index: int) -> tuple[Meta, Meta]:
    _check_nll(self, target, weight)
    return _reduced(self.shape[:-1], self.dtype, reduction), Meta.of((), self.dtype)


def _nll2d(self: Meta, target: Meta, weight: Meta | None, reduction: int, ignore_index: int) -> tuple[Meta, Meta]:
    _check_nll2d(self, target, weight)
    return _reduced(target.shape, self.dtype, reduction), Meta.of((), self.dtype)


def _nll_backward(
    grad_output: Meta, self: Meta, target: Meta, weight: Meta | None, reduction: int, ignore_index: int,
    total_weight: Meta,
) -> Meta:  # fmt: skip
    (_check_nll if self.ndim <= 2 else _check_nll2d)(self, target, weight)
    expected = _reduced(target.shape if self.ndim > 1 else (), self.dtype, reduction).shape
    if grad_output.shape != expected:
        raise RuntimeError(f"grad_output must have shape {list(expected)}; got {grad_output}")
    return Meta.of(self.shape, self.dtype)


for _name, _rule, _node in (("nll_loss", _nll, "NllLoss"), ("nll_loss2d", _nll2d, "NllLoss2D")):
    op(f"{_name}_forward(Tensor self, Tensor target, Tensor? weight, int reduction, int ignore_index) -> "
       "(Tensor output, Tensor total_weight)", _rule, {"self": "self target weight result1"},
       node=f"{_node}Backward0")  # fmt: skip
    # Linear in grad_output, and constant in self, whose gradient is therefore zero.
    op(f"{_name}_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, "
       "int ignore_index, Tensor total_weight) -> Tensor", _nll_backward,
       {"grad_output": "self target weight total_weight"}, node=f"{_node}BackwardBackward0")  # fmt: skip


# ---------------------------------------------------------------- losses of a difference
def _declare_difference(name: str, kernel: str, parameter: str, default: str) -> None:
    """Declare a loss that is a function of self - target, and the op of its gradient."""

    def forward(self: Meta, target: Meta, reduction: int, *parameters: type) -> Meta:
        found = pointwise(self, target)
        expect_real(kernel, found)
        return _reduced(found.shape, found.dtype, reduction)

    def backward(grad_output: Meta, self: Meta, target: Meta, reduction: int, *parameters: type) -> Meta:
        found = pointwise(grad_output, self, target)
        expect_real(kernel, found)
        return found

    both = "grad_output self target"
    kept = {"self": "self target", "target": "self target"}
    op(f"{name}(Tensor self, Tensor target, int reduction=1{default}) -> Tensor", forward, kept)
    op(f"{name}_backward(Tensor grad_output, Tensor self, Tensor target, int reduction{parameter}) -> Tensor", backward,
       {"grad_output": "self target", "self": both, "target": both})  # fmt: skip


_declare_difference("mse_loss", "mse_cpu", "", "")
_declare_difference("smooth_l1_loss", "smooth_l1_cpu", ", float beta", ", float beta=1.")
_declare_difference("huber_loss", "huber_cpu", ", float delta", ", float delta=1.")


# ---------------------------------------------------------------- binary cross entropy
def _with_logits(self: Meta, target: Meta, weight: Meta | None, pos_weight: Meta | None, reduction: int) -> Meta:
    expect_real("log_sigmoid_cpu", self)
    present = [meta for meta in (self, target, weight, pos_weight) if meta is not None]
    shape = broadcast_shapes(*(meta.shape for meta in present))
    if shape != target.shape:
        raise RuntimeError(f"output with shape {list(target.shape)} doesn't match the broadcast shape {list(shape)}")
    return _reduced(shape, result_type(*present), reduction)


def _cross_entropy_shape(self: Meta, target: Meta, weight: Meta | None) -> Shape:
    expect_real("binary_cross_entropy", self)
    for meta in (target, weight):
        if meta is not None and meta.dtype is not self.dtype:
            raise RuntimeError(f"Found dtype {torch_type_name(meta.dtype)} but expected {torch_type_name(self.dtype)}")
    return broadcast_shapes(*(meta.shape for meta in (self, target, weight) if meta is not None))


def _cross_entropy(self: Meta, target: Meta, weight: Meta | None, reduction: int) -> Meta:
    return _reduced(_cross_entropy_shape(self, target, weight), self.dtype, reduction)


def _cross_entropy_backward(grad_output: Meta, self: Meta, target: Meta, weight: Meta | None, reduction: int) -> Meta:
    shape = _cross_entropy_shape(self, target, weight)
    if grad_output.dtype.category < Category.FLOAT:
        raise RuntimeError(f"grad_output must be floating point; got {grad_output}")
    return Meta.of(broadcast_shapes(grad_output.shape, shape), self.dtype)


op("binary_cross_entropy_with_logits(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, "
   "int reduction=1) -> Tensor", _with_logits,
   {"self": "self target weight pos_weight", "target": "self weight pos_weight"})  # fmt: skip
op("binary_cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int reduction=1) -> Tensor", _cross_entropy,
   {"self": "self target weight", "target": "self weight"})  # fmt: skip
op("binary_cross_entropy_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight=None, "
   "int reduction=1) -> Tensor", _cross_entropy_backward,
   {"grad_output": "self target weight", "self": "grad_output self target weight",
    "target": "grad_output self weight"})  # fmt: skip
