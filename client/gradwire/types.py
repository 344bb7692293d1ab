"""`torch.types`: names for annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, TypeAlias

from gradwire.device import Device as _Device
from gradwire.memory import layout
from gradwire.properties import Size as _Size
from gradwire.tensor import Tensor as _Tensor
from gradwire_protocol.dtypes import DType

__all__ = ["Device", "FileLike", "Number", "Size", "Tensor"]

Tensor: TypeAlias = _Tensor
Number: TypeAlias = int | float | bool
Device: TypeAlias = _Device | str | int | None
Size: TypeAlias = _Size | list[int] | tuple[int, ...]
FileLike: TypeAlias = "str | os.PathLike[str] | IO[bytes]"

# PyTorch's own spellings of them, which annotated scripts import.
_size: TypeAlias = Size
_device, _dtype, _layout = _Device, DType, layout
_bool, _int, _float, _complex, _str, _bytes = bool, int, float, complex, str, bytes
_TensorOrTensors: TypeAlias = _Tensor | Sequence[_Tensor]
