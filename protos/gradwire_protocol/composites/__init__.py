"""Methods that are written by hand: composites of ops, and names whose overloads need more than one look.

Shared by the client's Tensor and the worker's Array, so that a gradient rule may call them too. One mixin per family.
"""

from __future__ import annotations

from gradwire_protocol.composites.activation import ActivationComposites
from gradwire_protocol.composites.attention import AttentionComposites
from gradwire_protocol.composites.axis_names import AxisNameComposites
from gradwire_protocol.composites.base import Number, ints, is_operand
from gradwire_protocol.composites.batch_norm import BatchNormComposites
from gradwire_protocol.composites.convolution import ConvolutionComposites
from gradwire_protocol.composites.creation import CreationComposites
from gradwire_protocol.composites.ctc import CTCComposites
from gradwire_protocol.composites.decomposition import DecompositionComposites
from gradwire_protocol.composites.diagonal import DiagonalComposites
from gradwire_protocol.composites.distance import DistanceComposites
from gradwire_protocol.composites.embedding import EmbeddingComposites
from gradwire_protocol.composites.indexing import IndexingComposites
from gradwire_protocol.composites.linalg import LinalgComposites
from gradwire_protocol.composites.linalg_products import LinalgProductComposites
from gradwire_protocol.composites.loss import LossComposites
from gradwire_protocol.composites.margin import MarginComposites
from gradwire_protocol.composites.matmul import MatmulComposites
from gradwire_protocol.composites.padding import PaddingComposites
from gradwire_protocol.composites.pointwise import PointwiseComposites
from gradwire_protocol.composites.pooling import PoolingComposites
from gradwire_protocol.composites.recurrent import RecurrentComposites
from gradwire_protocol.composites.reduction import ReductionComposites
from gradwire_protocol.composites.resampling import ResamplingComposites
from gradwire_protocol.composites.scan import ScanComposites
from gradwire_protocol.composites.shape import ShapeComposites
from gradwire_protocol.composites.sorting import SortingComposites
from gradwire_protocol.composites.special import SpecialComposites
from gradwire_protocol.composites.splitting import SplittingComposites
from gradwire_protocol.composites.statistics import StatisticsComposites

__all__ = ["Composites", "Number", "ints", "is_operand"]


class Composites(
    BatchNormComposites,
    AxisNameComposites,
    ActivationComposites,
    AttentionComposites,
    ConvolutionComposites,
    PaddingComposites,
    PointwiseComposites,
    PoolingComposites,
    RecurrentComposites,
    ReductionComposites,
    ResamplingComposites,
    ShapeComposites,
    SortingComposites,
    SplittingComposites,
    ScanComposites,
    StatisticsComposites,
    SpecialComposites,
    IndexingComposites,
    MatmulComposites,
    LinalgComposites,
    LossComposites,
    LinalgProductComposites,
    CreationComposites,
    CTCComposites,
    DecompositionComposites,
    DiagonalComposites,
    DistanceComposites,
    EmbeddingComposites,
    MarginComposites,
):
    """All of them."""

    __slots__ = ()
