"""`torch.distributions`: parameters in tensors, draws on the worker, densities with gradients."""

from __future__ import annotations

from gradwire.distributions import constraints, distribution, transforms
from gradwire.distributions.bounded import *
from gradwire.distributions.categorical import *
from gradwire.distributions.composed import *
from gradwire.distributions.constraint_registry import biject_to, transform_to
from gradwire.distributions.discrete import *
from gradwire.distributions.distribution import Distribution
from gradwire.distributions.exponential_family import ExponentialFamily
from gradwire.distributions.gamma import *
from gradwire.distributions.kl import kl_divergence, register_kl
from gradwire.distributions.location_scale import *
from gradwire.distributions.matrices import *
from gradwire.distributions.normal import *
from gradwire.distributions.tails import *
from gradwire.distributions.transformed import *
from gradwire.distributions.transforms import *
