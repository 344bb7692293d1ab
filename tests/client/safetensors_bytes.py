"""Safetensors files as bytes: one that the safetensors package wrote, and any header that a test wants."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

__all__ = ["RECORDED", "RECORDED_ARRAYS", "entry", "file_of"]

# What safetensors 0.8.0 wrote for the same arrays and metadata.
RECORDED = (
    b'\xc0\x00\x00\x00\x00\x00\x00\x00{"__metadata__":{"k":"v"},'
    b'"w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},'
    b'"s":{"dtype":"I16","shape":[],"data_offsets":[8,10]},'
    b'"f":{"dtype":"BOOL","shape":[3],"data_offsets":[10,13]}}  '
    b"\x00\x00\x80?\x00\x00\x00\xc0\x02\x01\x01\x00\x01"
)
RECORDED_ARRAYS = {
    "w": np.array([[1], [-2]], np.float32),
    "s": np.array(258, np.int16),
    "f": np.array([True, False, True]),
}


def file_of(header: Any, data: bytes = b"") -> bytes:
    """Make a file of a header, given as text, bytes or what JSON is to be made of, and data."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    return len(header).to_bytes(8, "little") + header + data


def entry(dtype: Any = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}
