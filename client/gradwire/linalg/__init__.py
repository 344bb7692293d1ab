"""Linear algebra, as in `torch.linalg`."""

from __future__ import annotations

from gradwire.errors import LinAlgError
from gradwire.linalg import decomposition, norms, products, solving
from gradwire.linalg.decomposition import *
from gradwire.linalg.norms import *
from gradwire.linalg.products import *
from gradwire.linalg.solving import *

__all__ = ["LinAlgError"]
__all__ += decomposition.__all__
__all__ += norms.__all__
__all__ += products.__all__
__all__ += solving.__all__
