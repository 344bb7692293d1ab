"""Layers and losses as functions, as in `torch.nn.functional`: a module per family.

Each is one call of an op, or a composite of ops in differentiable tensor methods. Nothing here waits for the worker but
what says so.
"""

from __future__ import annotations

from gradwire.nn.functional.activation import *
from gradwire.nn.functional.attention import *
from gradwire.nn.functional.convolution import *
from gradwire.nn.functional.distance import *
from gradwire.nn.functional.dropout import *
from gradwire.nn.functional.linear import *
from gradwire.nn.functional.linear_cross_entropy import *
from gradwire.nn.functional.loss import *
from gradwire.nn.functional.margin_loss import *
from gradwire.nn.functional.normalization import *
from gradwire.nn.functional.padding import *
from gradwire.nn.functional.pooling import *
from gradwire.nn.functional.sparse import *
from gradwire.nn.functional.vision import *
