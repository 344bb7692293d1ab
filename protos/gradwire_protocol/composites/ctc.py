"""Composites of connectionist temporal classification."""

from __future__ import annotations

from typing import Any

from gradwire_protocol.composites.base import Callable_
from gradwire_protocol.composites.loss import reduced
from gradwire_protocol.ops import OPS

__all__ = ["CTCComposites"]

_CTC = OPS["gw::ctc_loss"]


class CTCComposites(Callable_):
    """The method of the loss."""

    __slots__ = ()

    def ctc_loss(
        self, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1,
        zero_infinity: bool = False,
    ) -> Any:  # fmt: skip
        """Return minus the log probability of each target: (T, N, C), (N, L) or all in one vector, (N), (N) -> (N).

        Or without the axis N. The mean is over losses that are divided by the lengths of their targets. `zero_infinity`
        makes what cannot be read 0, and so its gradient.
        """
        me: Any = self
        single = self.meta.ndim == 2
        if single:
            me = me.unsqueeze(1)
        lengths, counts = (_vector(me, given) for given in (input_lengths, target_lengths))
        loss = me._call(_CTC, (me, targets, lengths, counts), (blank, zero_infinity))
        if zero_infinity:
            loss = loss.masked_fill(loss.eq(float("inf")), 0)
        if reduction == 1:
            loss = loss / counts.clamp(min=1)._to_dtype(loss.meta.dtype)
        return reduced(loss.squeeze(0) if single else loss, reduction)


def _vector(like: Any, lengths: Any) -> Any:
    """Return lengths, given as a tensor, numbers, or one number, as a vector of a tensor."""
    if not hasattr(lengths, "meta"):
        lengths = like._tensor_from([lengths] if isinstance(lengths, int) else list(lengths))
    return lengths if lengths.meta.ndim else lengths.unsqueeze(0)
