"""`torch.onnx`: named so that scripts which may export can be imported; exporting needs a captured graph, which is not here."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["export", "is_in_onnx_export", "register_custom_op_symbolic"]


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.onnx.export needs a captured graph, which gradwire does not make; save the state_dict, and export it with PyTorch"
    )


def is_in_onnx_export() -> bool:
    """Return False."""
    return False


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Do nothing: it says how an exporter writes an op, and nothing is exported."""
