"""How a sparse tensor prints."""

from __future__ import annotations

from typing import Any

from gradwire import printing
from gradwire.conversion import dtype_suffix, shown
from gradwire.tensor import get_default_dtype

__all__ = ["text_of"]

_INDENT = 7  # of "tensor("


def text_of(self: Any) -> str:
    """Return what PyTorch prints: places and values as tensors, then the sizes and what they do not show."""
    text = f"tensor({_part('indices', self.places)},\n{' ' * _INDENT}{_part('values', self.held)}"
    line = ",\n" + " " * _INDENT
    column = printing.get_printoptions()["linewidth"]  # so that the first suffix starts a line
    for suffix in _suffixes(self):
        fits = column + len(suffix) + 2 <= printing.get_printoptions()["linewidth"]
        text += (", " if fits else line) + suffix
        column = column + len(suffix) + 2 if fits else _INDENT + len(suffix)
    return text + ")"


def _part(name: str, tensor: Any) -> str:
    start = f"{name}=tensor("
    shape = tuple(tensor.shape)
    body = printing.format_body(shown(tensor.detach()), shape, _INDENT + len(start))
    return f"{start}{body}{f', size={shape}' if 0 in shape else ''})"


def _suffixes(self: Any) -> list[str]:
    found = [] if self.session.device in ("cpu", "cpu:0") else [f"device='{self.session.device}'"]
    found += [f"size={tuple(self.shape)}", f"nnz={self._nnz()}"]
    dtype = dtype_suffix(self.dtype)
    if dtype is not None or (self._nnz() == 0 and self.dtype is not get_default_dtype()):
        found.append(f"dtype={self.dtype!r}")
    found.append(f"layout={self.layout!r}")
    if self.grad_fn is not None:
        found.append(f"grad_fn=<{self.made_by or type(self.grad_fn).__name__}>")
    elif self.requires_grad:
        found.append("requires_grad=True")
    return found
