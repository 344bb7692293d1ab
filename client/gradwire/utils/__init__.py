"""Utilities around training: `gradwire.utils.data`, `gradwire.utils.checkpoint`."""

from gradwire.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
