"""Connectionist temporal classification. Shapes and refusals: pytorch/aten/src/ATen/native/LossCTC.cpp.

PyTorch's op returns its forward variables too, whose size depends on the values of the lengths; here the gradient computes
them again. What the values of lengths and targets must be is the worker's to check.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import Category, float32, float64
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name


def _check_ctc(log_probs: Meta, targets: Meta, input_lengths: Meta, target_lengths: Meta, blank: int) -> None:
    if log_probs.ndim != 3:
        raise RuntimeError(f"log_probs must be of shape (T, N, C); got {log_probs}")
    if not log_probs.numel:
        raise RuntimeError("log_probs tensor must not be empty")
    if log_probs.dtype not in (float32, float64):
        raise NotImplementedError(f"\"ctc_loss_cpu\" not implemented for '{torch_type_name(log_probs.dtype)}'")
    if targets.ndim not in (1, 2):
        raise RuntimeError(
            f"Expected 1 to 2 dimensions, but got {targets.ndim}-dimensional tensor for argument #2 'targets' (while "
            "checking arguments for ctc_loss_allocate_outputs)"
        )
    if not 0 <= blank < log_probs.shape[2]:
        raise RuntimeError("blank must be in label range")
    for name, lengths in (("input_lengths", input_lengths), ("target_lengths", target_lengths)):
        if lengths.dtype.category is not Category.INT:
            raise RuntimeError(f"{name} must be integral")
        if lengths.shape != log_probs.shape[1:2]:
            raise RuntimeError(f"{name} must be of size batch_size")
    if targets.ndim == 2 and targets.shape[0] != log_probs.shape[1]:
        raise RuntimeError(
            f"Expected tensor to have size {log_probs.shape[1]} at dimension 0, but got size {targets.shape[0]} for "
            "argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)"
        )


def _ctc_loss(
    log_probs: Meta, targets: Meta, input_lengths: Meta, target_lengths: Meta, blank: int, zero_infinity: bool
) -> Meta:
    _check_ctc(log_probs, targets, input_lengths, target_lengths, blank)
    return Meta.of(log_probs.shape[1:2], log_probs.dtype)


def _ctc_loss_backward(
    grad: Meta, log_probs: Meta, targets: Meta, input_lengths: Meta, target_lengths: Meta, neg_log_likelihood: Meta,
    blank: int, zero_infinity: bool,
) -> Meta:  # fmt: skip
    _check_ctc(log_probs, targets, input_lengths, target_lengths, blank)
    for name, meta in (("grad", grad), ("neg_log_likelihood", neg_log_likelihood)):
        if meta.shape != log_probs.shape[1:2]:
            raise RuntimeError(f"{name} must be of size batch_size; got {meta}")
    return Meta.of(log_probs.shape, log_probs.dtype)


op("gw::ctc_loss(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, "
   "bool zero_infinity=False) -> Tensor", _ctc_loss,
   {"log_probs": "log_probs targets input_lengths target_lengths result"}, node="CtcLossBackward0")  # fmt: skip
# Differentiable in name only, so that a second backward is refused instead of wrong.
op("gw::ctc_loss_backward(Tensor grad, Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, "
   "Tensor neg_log_likelihood, int blank, bool zero_infinity=False) -> Tensor", _ctc_loss_backward,
   {"grad": "", "log_probs": ""}, node="CtcLossBackwardBackward0")  # fmt: skip
