"""`as_strided` of a detached part of a memory, which reaches all of it, as in PyTorch.

A detached view is a tensor of its own to autograd, and its array on the worker is a window that reads nothing outside. It
keeps the tensor whose window it is, and through that one the rest is read.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.inplace import NO_GRAD
from gradwire_protocol.ops.shape import span

__all__ = ["DetachedViewMethods", "keep_whole"]


def keep_whole(detached: Any, viewed: Any) -> None:
    """Let a tensor that was just detached from `viewed` find the tensor whose memory it lies in.

    Not one with a graph, which would live as long as the part; and not inside of a function that is compiled, whose
    intermediate tensors must not outlive it.
    """
    base = viewed if viewed.base is None else viewed.base
    whole = _whole_of(base)
    if whole is None and base is not viewed:
        whole = base
    if whole is not None and whole.node is None and viewed.session.recorder is None:
        detached.within = whole, viewed.storage.memory


def _whole_of(tensor: Any) -> Any:
    """Return the tensor whose memory a detached view lies in; None for others, and where `data` was set since."""
    whole, memory = getattr(tensor, "within", (None, None))
    return whole if memory is tensor.storage.memory else None


class DetachedViewMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def as_strided(self: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
        """Return a view of the storage; `storage_offset` counts from the storage's start, by default self's own."""
        size, stride = tuple(size), tuple(stride)
        offset = self.offset if storage_offset is None else storage_offset
        base = self if self.base is None else self.base
        whole = None if _reaches(base, size, stride, offset) else _whole_of(base)
        if whole is None:
            _check_start(base, offset)
            return super().as_strided(size, stride, offset)  # type: ignore[misc]
        whole = whole.detach()
        if not self.requires_grad:
            return _at(whole, size, stride, offset)
        view = _window().apply(self, whole, size, stride, offset)
        # A view made unrecorded: a write to it, whose gradient would have to go to places outside of `self`, is refused.
        view.base, view.base_version, view.view_kind = base, view.storage.version, NO_GRAD
        return view


def _reaches(tensor: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> bool:
    """Return whether a view lies inside of what the tensor's own array spans."""
    own = tensor.meta
    end = tensor.offset + span(own.shape, own.strides)
    return bool(len(size) == len(stride) and tensor.offset <= offset and offset + span(size, stride) <= end)


def _check_start(tensor: Any, offset: int) -> None:
    if 0 <= offset < tensor.offset:
        raise RuntimeError(
            "as_strided from before the start of a detached part needs the tensor that it was detached from, which is not "
            f"kept if it has a graph, nor inside of a compiled function; got storage_offset={offset} and a part that starts "
            f"at {tensor.offset}; call as_strided before detach"
        )


def _at(whole: Any, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> Any:
    return super(DetachedViewMethods, whole).as_strided(size, stride, offset)


_made: list[Any] = []


def _window() -> Any:
    """Return the function whose gradient is that of the elements that lie in both parts; made late, since it needs Tensor."""
    if not _made:
        from gradwire.autograd.function import Function

        class AsStrided(Function):
            @staticmethod
            def forward(ctx: Any, part: Any, whole: Any, size: Any, stride: Any, offset: int) -> Any:
                ctx.places = part.meta.shape, part.meta.strides, part.offset, size, stride, offset
                return _at(whole, size, stride, offset)

            @staticmethod
            def backward(ctx: Any, *grad_outputs: Any) -> Any:
                return grad_outputs[0].as_strided_backward(*ctx.places), None, None, None, None

        _made.append(AsStrided)
    return _made[0]
