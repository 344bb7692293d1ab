"""Helpers around modules and their parameters, as in `torch.nn.utils`."""

from __future__ import annotations

from gradwire.nn.utils import parametrizations, parametrize, prune, rnn, stateless
from gradwire.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from gradwire.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from gradwire.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from gradwire.nn.utils.init import skip_init

# After the modules of the same names, which these hide, as in PyTorch.
from gradwire.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from gradwire.nn.utils.weight_norm import remove_weight_norm, weight_norm
