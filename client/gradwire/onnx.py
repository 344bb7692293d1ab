"""`torch.onnx`: named so that scripts which may export can be imported; exporting needs a captured graph, which is not here."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["export", "is_in_onnx_export"]


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError."""
    raise NotImplementedError(
        "torch.onnx.export needs a captured graph, which gradwire does not make; save the state_dict, and export it with PyTorch"
    )


def is_in_onnx_export() -> bool:
    """Return False."""
    return False
