"""What autograd and shared memory forbid of in-place ops, in PyTorch's words. Checks only: no graph is changed here.

The kinds of view that must not be written to are PyTorch's `CreationMeta` (torch/csrc/autograd/variable.h).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gradwire_protocol.meta import Meta

if TYPE_CHECKING:
    from gradwire_protocol.tape import Variable

__all__ = [
    "INFERENCE",
    "MULTIPLE",
    "NO_GRAD",
    "check_inplace",
    "check_overlap",
    "forbidden_view",
    "message_name",
    "requires_grad",
]

MULTIPLE = "multiple outputs"  # one of several views that one call returned, such as unbind's
NO_GRAD = "no_grad"  # made while nothing was recorded
INFERENCE = "inference"  # made in inference mode, of a tensor that was not

_CLARIFY = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the "
    "view and the inplace either both inside the {0} block (if you don't want the inplace to be tracked) or both outside "
    "(if you want the inplace to be tracked)."
)
_REASONS = {
    MULTIPLE: " This view is the output of a function that returns multiple views. Such functions do not allow the output "
    "views to be modified inplace. You should replace the inplace operation by an out-of-place one.",
    NO_GRAD: _CLARIFY.format("no_grad"),
    INFERENCE: _CLARIFY.format("inference_mode"),
}  # fmt: skip


def message_name(node_name: str) -> str:
    """Return a node's name as PyTorch's messages give it: `Mul` for `MulBackward0`, `Sum1` for `SumBackward1`."""
    generated = re.fullmatch(r"(.*)Backward(\d+)", node_name)
    return generated[1] + generated[2].replace("0", "") if generated else f"torch::autograd::{node_name}"


def requires_grad(variable: Variable) -> bool:
    """Return PyTorch's flag. A view has its base's, even if it was made under no_grad and so leads no gradient there."""
    if variable.node is not None or variable.leaf_requires_grad:
        return True
    return variable.base is not None and requires_grad(variable.base)


def forbidden_view(view: Variable, changed: str) -> str:
    """Return why a view, or its base (`changed` says which, as the start of "modified inplace"), may not be written to."""
    name = "" if view.node is None else f"Output {view.output_nr} of {message_name(view.node.name)} is a view"
    if name and view.view_kind == MULTIPLE:
        start = f"{name} and {changed} modified inplace."
    else:
        mode, now = (
            ("inference", "in normal mode") if view.view_kind == INFERENCE else ("no_grad", "with grad mode enabled")
        )
        made = f"{name} of a view which was" if name else "A view was"
        start = f"{made} created in {mode} mode and {changed} modified inplace {now}."
    return start + _REASONS[view.view_kind]


def check_inplace(self: Variable) -> None:
    """Refuse an in-place op, with recording on and an input that requires grad, that autograd cannot express."""
    if self.base is not None:
        if self.view_kind:
            raise RuntimeError(forbidden_view(self, "is being"))
        if self.base.node is None and requires_grad(self):
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    elif self.node is None and self.leaf_requires_grad:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def check_overlap(self: Variable, others: Iterable[Variable | None]) -> None:
    """Refuse to write to `self` while reading memory of which it is a part: the result would depend on the loop's order."""
    for other in others:
        if other is None or other is self or other.storage.memory is not self.storage.memory:
            continue
        if _overlap_in_part(self, other):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                "memory location. Please clone() the tensor before performing the operation."
            )


def _overlap_in_part(self: Variable, other: Variable) -> bool:
    """Return whether two blocks of memory overlap and are not seen alike; views with gaps are let pass, as in PyTorch."""
    first, last = self.offset, self.offset + self.meta.numel
    start, end = other.offset, other.offset + other.meta.numel
    if not (first < end and start < last) or (
        (first, last) == (start, end) and self.meta.strides == other.meta.strides
    ):
        return False
    return _is_dense(self.meta) and _is_dense(other.meta)


def _is_dense(meta: Meta) -> bool:
    """Return whether the elements fill their memory, each place once, in any order of the axes."""
    reached = 1
    for stride, size in sorted(
        (stride, size) for stride, size in zip(meta.strides, meta.shape, strict=True) if size != 1
    ):
        if stride != reached:
            return False
        reached *= size
    return True
