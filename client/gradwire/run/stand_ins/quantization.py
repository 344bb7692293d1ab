"""`torch.ao.quantization`: the places where a model would be quantized pass tensors on, as in PyTorch until it is prepared."""

from __future__ import annotations

from typing import Any, NoReturn

from gradwire.nn.module import Module

__all__ = [
    "DeQuantStub", "QConfig", "QuantStub", "convert", "fuse_modules", "fuse_modules_qat", "get_default_qat_qconfig",
    "get_default_qconfig", "prepare", "prepare_qat", "quantize_dynamic",
]  # fmt: skip


def prepare(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.ao.quantization needs quantized tensors, which gradwire does not have; use float16"
    )


convert = fuse_modules = fuse_modules_qat = get_default_qat_qconfig = get_default_qconfig = prepare
prepare_qat = quantize_dynamic = QConfig = prepare


class QuantStub(Module):
    """Where a prepared model quantizes: passes its input on."""

    def __init__(self, qconfig: None = None) -> None:
        """Take no configuration: with one, it would have to quantize."""
        super().__init__()
        if qconfig is not None:
            prepare()

    def forward(self, x: Any) -> Any:
        """Return x."""
        return x


class DeQuantStub(QuantStub):
    """Where a prepared model goes back to floating point: passes its input on."""
