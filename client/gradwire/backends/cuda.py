"""`torch.backends.cuda`: permissions for a GPU worker's matrix products and attention."""

from __future__ import annotations

from gradwire.backends.switches import Switches

__all__ = ["flash_sdp_enabled", "is_built", "math_sdp_enabled", "matmul", "mem_efficient_sdp_enabled"]

# Whether a worker takes TF32 is set where it is started (CUPY_TF32); here it is a permission.
matmul = Switches(
    "torch.backends.cuda.matmul",
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
)


def is_built() -> bool:
    """Return whether the worker computes on an NVIDIA GPU."""
    from gradwire import cuda

    return cuda.is_available()


def flash_sdp_enabled() -> bool:
    """Return False: attention is computed by its formula."""
    return False


def mem_efficient_sdp_enabled() -> bool:
    """Return False: attention is computed by its formula."""
    return False


def math_sdp_enabled() -> bool:
    """Return True: attention is computed by its formula."""
    return True
