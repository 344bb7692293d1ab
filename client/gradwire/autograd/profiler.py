"""`torch.autograd.profiler`: the older place of `record_function`. Profiles are made by `torch.profiler`."""

from gradwire.profiling.ranges import record_function

__all__ = ["record_function"]
