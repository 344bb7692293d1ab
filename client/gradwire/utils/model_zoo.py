"""`torch.utils.model_zoo`: the old name of `torch.hub`'s downloads."""

from __future__ import annotations

from gradwire.hub import load_state_dict_from_url as load_url
from gradwire.hub import tqdm

__all__ = ["load_url", "tqdm"]
