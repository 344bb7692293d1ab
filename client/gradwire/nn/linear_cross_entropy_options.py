"""`torch.nn.LinearCrossEntropyOptions`: into which parts `linear_cross_entropy` cuts its batch."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from gradwire_protocol.dtypes import DType, bfloat16, float16, float32, float64

__all__ = ["LinearCrossEntropyOptions"]

_HALVES = (float16, bfloat16)


@dataclasses.dataclass(frozen=True, slots=True)
class LinearCrossEntropyOptions:
    """Ask `linear_cross_entropy` to compute its scores part by part, so that no array of all of them ever exists.

    `batch_chunk_size` is the rows of a part, by default what `chunking_method` finds: "aspect_ratio:k" makes the scores of
    a part as large as the whole input, divided by k. `acc_dtype` is what scores and losses of halves are computed in;
    `acc_policy` "auto" makes that float32, and the other policies, which choose among PyTorch's buffers, leave it as it
    is. Scores are computed again in the backward instead of gradients being made ahead: it may run as often as
    `retain_graph` says whether `allow_retain_graph` is set or not.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DType | None = None

    policies: ClassVar[frozenset[str]] = frozenset(("auto", "accurate", "balanced", "compact"))

    def __post_init__(self) -> None:
        if self.acc_policy not in self.policies:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto") and not _factor(str(self.chunking_method)):
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if not (size is None or (isinstance(size, int) and size > 0)):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in (None, *_HALVES, float32, float64):
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, torch.float64}, got "
                f"{self.acc_dtype!r}. Pass acc_dtype=None to let the op pick automatically."
            )

    def chunk_rows(self, rows: int, in_features: int, num_classes: int, dtype: DType, device_type: str) -> int:
        """Return the rows of a part, at least one. Raises ValueError where the method finds another number than is given."""
        method, given = self.chunking_method, self.batch_chunk_size
        if method == "auto":
            # The picks of PyTorch's measurements: smaller parts, but for halves on a CPU.
            whole = device_type == "cpu" and dtype in _HALVES
            method = None if given is not None else "aspect_ratio" if whole else "aspect_ratio:2"
        size = rows if given is None else min(given, rows)
        if method is not None:
            target = -(-rows // -(-num_classes // in_features))
            size = min((1 << (target - 1).bit_length()) // _factor(method), rows)
            if given is not None and given != size:
                raise ValueError(
                    f"batch_chunk_size (={given}) and chunking_method ('{method}') give different chunk sizes ({given} vs "
                    f"{size}); pass only one."
                )
        return max(1, size)

    def computed_in(self, dtype: DType) -> DType:
        """Return what scores of inputs of `dtype` are computed in. Raises RuntimeError for what PyTorch cannot either."""
        widened = float32 if self.acc_policy == "auto" and dtype in _HALVES else dtype
        found = self.acc_dtype or widened
        if found is not dtype and not (dtype in _HALVES and found is float32):
            raise RuntimeError(
                f"linear_cross_entropy supports float32 acc_dtype with float16/bfloat16 inputs, but got {found!r} acc_dtype "
                f"and {dtype!r} inputs."
            )
        return found


def _factor(method: str) -> int:
    """Return k of "aspect_ratio:k", 1 where it is left out, 0 for another word."""
    name, colon, factor = method.partition(":")
    factor = factor if colon else "1"
    return int(factor) if name == "aspect_ratio" and factor.isdigit() else 0
