"""`torch.serialization`: saving, loading, and the classes that a load with weights_only takes."""

from __future__ import annotations

from gradwire.pt_file.modules import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from gradwire.saving import load, save

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]
