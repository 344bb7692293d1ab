"""Linear algebra, as in `torch.linalg`."""

from __future__ import annotations

from gradwire.errors import LinAlgError

__all__ = ["LinAlgError"]
