"""`gradwire.signal`: window functions."""

from __future__ import annotations

from gradwire.signal import windows

__all__ = ["windows"]
