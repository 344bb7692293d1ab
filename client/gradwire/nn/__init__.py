"""Modules, layers and losses, as in `torch.nn`."""

from __future__ import annotations

from gradwire.nn import functional, init, parallel
from gradwire.nn.activation import *
from gradwire.nn.adaptive import *
from gradwire.nn.attention import *
from gradwire.nn.batch_norm import *
from gradwire.nn.container import ModuleDict, ModuleList, Sequential
from gradwire.nn.distance import *
from gradwire.nn.convolution import *
from gradwire.nn.dropout import *
from gradwire.nn.flatten import *
from gradwire.nn.lazy import UninitializedBuffer, UninitializedParameter
from gradwire.nn.lazy_layers import *
from gradwire.nn.linear import *
from gradwire.nn.linear_cross_entropy_options import *
from gradwire.nn.loss import *
from gradwire.nn.margin_loss import *
from gradwire.nn.module import Module
from gradwire.nn.normalization import *
from gradwire.nn.padding import *
from gradwire.nn.parameter import Buffer, Parameter
from gradwire.nn.parameter_container import ParameterDict, ParameterList
from gradwire.nn.pixel_shuffle import *
from gradwire.nn.recurrent import *
from gradwire.nn.recurrent_cell import *
from gradwire.nn.softmax import *
from gradwire.nn.pooling import *
from gradwire.nn.sparse import *
from gradwire.nn.transformer import *
from gradwire.nn.upsampling import *
from gradwire.nn import utils
from gradwire.nn.parallel import DataParallel
