"""`torch.func`: functions of functions, on tensors and nested containers of them.

Derivatives nest, in each other and in `backward`. All are made by reverse mode; `vmap` is a loop.
"""

from __future__ import annotations

from gradwire.func.batch import vmap
from gradwire.func.forward import jacfwd, jvp, linearize
from gradwire.func.modules import functional_call, replace_all_batch_norm_modules_, stack_module_state
from gradwire.func.reverse import grad, grad_and_value, hessian, jacrev, vjp

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize",
    "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]  # fmt: skip
