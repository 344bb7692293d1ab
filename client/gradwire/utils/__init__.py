"""Utilities around training: `gradwire.utils.data`."""

from gradwire.utils import data

__all__ = ["data"]
