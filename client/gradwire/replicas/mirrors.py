"""Mirrors: tensors on other workers that equal one here, and what keeps them so.

An optimizer's update of a mirrored parameter is made on its mirrors too, with mirrors of what it keeps; the same numbers give the
same bits. Whatever else writes to the tensor shows in its version, and it is copied anew before the mirror is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import ref

from gradwire.autograd.grad_mode import no_grad
from gradwire.transfer import moved

if TYPE_CHECKING:
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["Mirrors", "mirror", "mirrored_lists", "mirrors_of", "primaries", "unmirror"]

_NAME = "_mirrors"
# Every tensor that has mirrors, weakly, by id.
_primaries: dict[int, Any] = {}


class Mirrors:
    """The mirrors of one tensor, in the order of ranks from 1 on, and the versions at which they were equal."""

    def __init__(self, tensors: list[Tensor]) -> None:
        """Take tensors that are not equal yet."""
        self.tensors = tensors
        self.seen: list[tuple[Any, int, int] | None] = [None] * len(tensors)
        self.keeper = 0  # id of who made them for a module; 0 for what an optimizer keeps
        self.gradient: tuple[Any, int] | None = None  # of the tensor: equal to the mirrors' own, at this version

    def __deepcopy__(self, memo: dict[int, Any]) -> Mirrors:
        """A copy of the tensor has none."""
        return Mirrors([])

    def sync(self, primary: Tensor, rank: int, *, exactly: bool = False) -> Tensor:
        """Return a mirror, made equal if it may not be.

        Where both were written to equally often, the same was written, unless that must hold `exactly` no more.
        """
        made, seen = self.tensors[rank], self.seen[rank]
        versions = (primary.storage.version, made.storage.version)
        if seen is not None and seen[0] is primary.storage:
            steps = (versions[0] - seen[1], versions[1] - seen[2])
            if steps == (0, 0) or (steps[0] == steps[1] and not exactly):
                return made
        with no_grad():
            if made.meta == primary.meta:
                made.copy_(primary)
            else:
                made.data = moved(primary.detach(), made.session)
        self.mark(primary, rank)
        return made

    def mark(self, primary: Tensor, rank: int) -> None:
        """Note that a mirror is equal now."""
        self.seen[rank] = (primary.storage, primary.storage.version, self.tensors[rank].storage.version)


def mirror(tensor: Any, tensors: list[Any], keeper: int = 0) -> Mirrors:
    """Give a tensor mirrors."""
    made = tensor.__dict__[_NAME] = Mirrors(tensors)
    made.keeper = keeper
    number = id(tensor)
    _primaries[number] = ref(tensor, lambda _: _primaries.pop(number, None))
    return made


def mirrors_of(tensor: Any) -> Mirrors | None:
    """Return the mirrors of a tensor, None where it has none."""
    found: Mirrors | None = tensor.__dict__.get(_NAME)
    return found if found is not None and found.tensors else None


def unmirror(tensor: Any) -> None:
    """Let the mirrors of a tensor go."""
    tensor.__dict__.pop(_NAME, None)
    _primaries.pop(id(tensor), None)


def primaries() -> list[Any]:
    """Return all tensors that have mirrors."""
    return [tensor for held in list(_primaries.values()) if (tensor := held()) is not None]


def mirrored_lists(lists: Sequence[Sequence[Tensor]]) -> Iterator[list[list[Tensor]]]:
    """Yield, for each further worker, the lists of an update there: parameters, gradients, and what the optimizer keeps.

    To be made before the update here, whose writes what is copied must not show.
    """
    if not _primaries:
        return
    chosen = [(index, found) for index, tensor in enumerate(lists[0]) if (found := mirrors_of(tensor)) is not None]
    if not chosen:
        return
    for rank in range(len(chosen[0][1].tensors)):
        made = [[found.sync(lists[0][index], rank) for index, found in chosen]]
        for number, values in enumerate(lists[1:]):
            if number == 0:
                made.append([_gradient(found, lists[0][index], values[index], rank) for index, found in chosen])
            else:
                made.append([_kept(found, values[index], rank) for index, found in chosen] if values else [])
        yield made


def _gradient(found: Mirrors, parameter: Tensor, gradient: Tensor, rank: int) -> Tensor:
    """Return the mirror's own gradient, if it is this one; else a copy of this one."""
    made, equal = found.tensors[rank], found.gradient
    if (
        equal is not None
        and equal[0]() is gradient
        and equal[1] == gradient.storage.version
        and made._grad is not None
        and made._grad.storage.version == 0
    ):
        return made._grad
    with no_grad():
        copied: Tensor = moved(gradient.detach(), made.session)
    return copied


def _kept(found: Mirrors, value: Tensor, rank: int) -> Tensor:
    """Return the mirror of what an optimizer keeps for a parameter, made at its first use."""
    wanted: list[Session] = [tensor.session for tensor in found.tensors]
    held = mirrors_of(value)
    if held is None or [tensor.session for tensor in held.tensors] != wanted:
        with no_grad():
            held = mirror(value, [moved(value.detach(), session) for session in wanted])
        for number in range(len(wanted)):
            held.mark(value, number)
    return held.sync(value, rank)
