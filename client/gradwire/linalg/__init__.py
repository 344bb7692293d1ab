"""Linear algebra, as in `torch.linalg`."""

from __future__ import annotations

from gradwire.errors import LinAlgError
from gradwire.linalg import decomposition, solving
from gradwire.linalg.decomposition import *
from gradwire.linalg.solving import *

__all__ = ["LinAlgError"]
__all__ += decomposition.__all__
__all__ += solving.__all__
