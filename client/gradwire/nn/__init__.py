"""Modules, layers and losses, as in `torch.nn`."""

from gradwire.nn import functional, init
from gradwire.nn.activation import GELU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
from gradwire.nn.container import ModuleDict, ModuleList, Sequential
from gradwire.nn.dropout import Dropout
from gradwire.nn.flatten import Flatten, Unflatten
from gradwire.nn.linear import Identity, Linear
from gradwire.nn.loss import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from gradwire.nn.module import Module
from gradwire.nn.parameter import Buffer, Parameter
from gradwire.nn.parameter_container import ParameterDict, ParameterList

__all__ = [
    "GELU",
    "BCEWithLogitsLoss",
    "Buffer",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "L1Loss",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Unflatten",
    "functional",
    "init",
]
