"""Optimizers, as in `torch.optim`: the parameters and their state stay on the worker."""

from gradwire.optim import lr_scheduler, swa_utils
from gradwire.optim.adadelta import Adadelta
from gradwire.optim.adafactor import Adafactor
from gradwire.optim.adagrad import Adagrad
from gradwire.optim.adam import Adam, AdamW
from gradwire.optim.adamax import Adamax
from gradwire.optim.asgd import ASGD
from gradwire.optim.lbfgs import LBFGS
from gradwire.optim.muon import Muon
from gradwire.optim.nadam import NAdam
from gradwire.optim.optimizer import Optimizer
from gradwire.optim.radam import RAdam
from gradwire.optim.rmsprop import RMSprop
from gradwire.optim.rprop import Rprop
from gradwire.optim.sgd import SGD
from gradwire.optim.swap import swap_in_optimizer_params_and_state

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop", "lr_scheduler", "swa_utils",
    "swap_in_optimizer_params_and_state",
]  # fmt: skip
