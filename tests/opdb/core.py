"""Which ops of PyTorch's Core ATen set gradwire has, by ATen name."""

from __future__ import annotations

from typing import Any

import torch

import gradwire as gw
from gradwire_protocol.methods import OpMethods
from gradwire_protocol.ops import OPS

__all__ = ["core_ops"]

# About sizes that are symbols of a traced graph, of which an eager system has none; and a check of the tracer's.
_SYMBOLIC = frozenset(("sym_size", "sym_numel", "sym_stride", "sym_storage_offset", "sym_is_contiguous"))

# ATen's names, below the dispatcher, of what users call otherwise.
_USERS_NAMES = {"_local_scalar_dense": "item", "_to_copy": "to", "copy": "copy_"}


def _core_overloads() -> set[str]:
    found = set()
    for schema in torch._C._jit_get_all_schemas():
        if not schema.name.startswith("aten::"):
            continue
        name, overload = schema.name[6:], schema.overload_name or "default"
        packet: Any = getattr(torch.ops.aten, name, None)
        op = getattr(packet, overload, None)
        if op is not None and torch.Tag.core in op.tags:
            found.add(name if overload == "default" else f"{name}.{overload}")
    return found


def _is_there(name: str) -> bool:
    name = _USERS_NAMES.get(name, name)
    return hasattr(OpMethods, name) or hasattr(gw.Tensor, name) or hasattr(gw, name)


def core_ops() -> dict[str, str]:
    """Return for each Core ATen overload: "op", "composite" (a method made of ops), or "" where it is missing."""
    mine = {name.partition(".")[0] for name in OPS}
    rows = {}
    for full in sorted(_core_overloads()):
        name = full.partition(".")[0]
        if name in _SYMBOLIC:
            continue
        rows[full] = "op" if name in mine else "composite" if _is_there(name) else ""
    return rows
