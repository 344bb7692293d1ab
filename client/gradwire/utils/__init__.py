"""Utilities around training: `gradwire.utils.data`, `gradwire.utils.checkpoint`."""

from gradwire.utils import checkpoint, data, model_zoo

__all__ = ["checkpoint", "data", "model_zoo"]
