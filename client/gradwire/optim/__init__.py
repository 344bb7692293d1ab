"""Optimizers, as in `torch.optim`: the parameters and their state stay on the worker."""

from gradwire.optim.adam import Adam, AdamW
from gradwire.optim.optimizer import Optimizer
from gradwire.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]
