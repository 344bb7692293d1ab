"""Tensors made in inference mode: what tells them apart, and what they may not be used for outside of it."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.signature import Signature
from gradwire_protocol.tape import Storage

__all__ = ["InferenceStorage", "check_kept", "check_written"]


class InferenceStorage(Storage):
    """The storage of a tensor made in inference mode: never part of a graph."""

    __slots__ = ()


def check_kept(signature: Signature, tensors: tuple[Any, ...]) -> None:
    """Refuse to keep for backward what may change unnoticed: an inference tensor counts no versions."""
    for _, first, count, _ in signature.kept_inputs:
        for tensor in tensors[first : first + count]:
            if tensor is not None and type(tensor.storage) is InferenceStorage:
                raise RuntimeError(
                    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference "
                    "mode in computation tracked by autograd. To work around this, you can make a clone to get a "
                    "normal tensor and use it in autograd, or use `torch.no_grad()` instead of "
                    "`torch.inference_mode()`."
                )


def check_written(signature: Signature, tensors: tuple[Any, ...]) -> None:
    """Refuse to write to a tensor that counts no versions."""
    for index in signature.written:
        written = tensors[index]
        if written is not None and type(written.storage) is InferenceStorage:
            raise RuntimeError(
                "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
                "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
            )
