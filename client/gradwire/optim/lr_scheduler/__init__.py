"""Schedules of learning rates, as in `torch.optim.lr_scheduler`: plain numbers, changed between the steps of an optimizer.

The arithmetic is PyTorch's, operation by operation, so that a schedule is the same to the last bit. Nothing here waits for
the worker; a learning rate that is a tensor is changed there.
"""

from gradwire.optim.lr_scheduler.base import LRScheduler, _LRScheduler
from gradwire.optim.lr_scheduler.chain import ChainedScheduler, SequentialLR
from gradwire.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from gradwire.optim.lr_scheduler.cyclic import CyclicLR
from gradwire.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from gradwire.optim.lr_scheduler.function import LambdaLR, MultiplicativeLR
from gradwire.optim.lr_scheduler.one_cycle import OneCycleLR
from gradwire.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR", "_LRScheduler",
]  # fmt: skip
