"""`torch.backends`: which libraries compute, and the switches that allow them to be faster.

The switches permit something and demand nothing, so they are kept and read back. What one of them would *demand*, and a
worker cannot do, is refused where it is set.
"""

from gradwire.backends import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]
