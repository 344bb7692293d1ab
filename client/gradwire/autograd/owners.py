"""Leaves whose gradients somebody takes out of a backward while it runs: `DistributedDataParallel` sums them over workers.

`Cuts` says after which nodes of a backward a whole bucket of such gradients is there, so that its sum begins while the rest of
the backward still runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gradwire_protocol.tape import Edge, Node

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk

__all__ = ["Cuts", "Keeper", "Owner", "Pass", "align", "cuts_of", "owns", "refuse_owned", "register"]


class Pass(Protocol):
    """One backward, as an owner of leaves sees it."""

    def bucket_of(self, index: int) -> int:
        """Return the bucket of a parameter."""

    def ready(self, rank: int, bucket: int, walk: Walk) -> None:
        """Take the gradients of a bucket, which are all there, from `walk.pending`."""

    def end(self, walk: Walk) -> None:
        """Take what is left, and finish."""

    def failed(self) -> None:
        """Note that the backward broke off."""


class Keeper(Protocol):
    """Who owns leaves."""

    def align(self) -> None:
        """Bring the `grad` of replicas in line before a backward adds to them."""

    def begin(self, present: set[tuple[int, int]]) -> Pass:
        """Begin a backward that reaches these (rank, index) of its leaves."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a leaf is, and which: parameter `index` of the replica `rank`."""

    keeper: Keeper
    rank: int
    index: int


# By id of the leaf, which its owner keeps alive.
_owners: dict[int, Owner] = {}


def register(leaf: Any, owner: Owner | None) -> None:
    """Give a leaf an owner, or take it away."""
    if owner is None:
        _owners.pop(id(leaf), None)
    else:
        _owners[id(leaf)] = owner


def owns(leaves: Iterable[Any]) -> bool:
    """Return whether any of these is owned."""
    return bool(_owners) and any(id(leaf) in _owners for leaf in leaves)


def align(leaves: Iterable[Any]) -> None:
    """Let owners bring the `grad` of replicas in line before a backward adds to them."""
    if _owners:
        keepers = {id(owner.keeper): owner.keeper for leaf in leaves if (owner := _owners.get(id(leaf)))}
        for keeper in keepers.values():
            keeper.align()


def refuse_owned(leaves: Iterable[Any], create_graph: bool) -> None:
    """Raise RuntimeError for gradients that would be those of one replica only, or that could not be differentiated."""
    if owns(leaves):
        what = "backward(create_graph=True)" if create_graph else "autograd.grad"
        raise RuntimeError(
            f"{what} does not work with parameters of DistributedDataParallel, whose gradients are summed over workers during "
            "backward(); use backward(), or the module that it wraps"
        )


class Cuts:
    """Where a backward through `nodes` completes buckets."""

    def __init__(self, nodes: Sequence[Node], leaves: dict[int, Owner]) -> None:
        """Find the last node that adds to each bucket."""
        present: dict[int, set[tuple[int, int]]] = {}
        for owner in leaves.values():
            present.setdefault(id(owner.keeper), set()).add((owner.rank, owner.index))
        keepers = {id(owner.keeper): owner.keeper for owner in leaves.values()}
        passes = {key: keeper.begin(present[key]) for key, keeper in keepers.items()}
        self._passes = list(passes.values())
        last: dict[tuple[int, int, int], int] = {}
        for position, node in enumerate(nodes):
            for edge in node.edges:
                found = None if edge is None else leaves.get(id(edge.target))
                if found is not None:
                    key = id(found.keeper)
                    last[key, found.rank, passes[key].bucket_of(found.index)] = position
        self._after: dict[int, list[tuple[Pass, int, int]]] = {}
        for (key, rank, bucket), position in last.items():
            self._after.setdefault(id(nodes[position]), []).append((passes[key], rank, bucket))

    def is_after(self, node: Node) -> bool:
        """Return whether a bucket is complete once `node` ran."""
        return id(node) in self._after

    def done(self, node: Node, walk: Walk) -> None:
        """Hand over the buckets that `node` completed."""
        for begun, rank, bucket in self._after[id(node)]:
            begun.ready(rank, bucket, walk)

    def end(self, walk: Walk) -> None:
        """Finish."""
        for begun in self._passes:
            begun.end(walk)

    def failed(self) -> None:
        """Note that the backward broke off."""
        for begun in self._passes:
            begun.failed()


def cuts_of(nodes: Sequence[Node], wanted: Iterable[Edge]) -> Cuts | None:
    """Return where a backward is cut for the owners of leaves in `wanted`; None where nobody owns any."""
    if not _owners:
        return None
    found = {id(edge.target): _owners[id(edge.target)] for edge in wanted if id(edge.target) in _owners}
    return Cuts(nodes, found) if found else None
