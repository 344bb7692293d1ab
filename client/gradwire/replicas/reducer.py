"""`Reducer`: averages the gradients of replicas over their workers, bucket by bucket, while backward still runs.

Buckets are filled in the reverse order of parameters, which is about the order in which gradients come. The calls that begin a
bucket's sum go out as soon as it is full; those that wait for it, when the whole backward has gone out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from gradwire.autograd.grad_mode import no_grad
from gradwire.autograd.node_hooks import hooks_of_leaf
from gradwire.autograd.owners import Owner, register
from gradwire.replicas.mirrors import mirrors_of
from gradwire.transfer import moved
from gradwire_protocol.errors import GradwireError
from gradwire_protocol.ops import OPS

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk
    from gradwire.collectives import Group
    from gradwire.tensor import Tensor

__all__ = ["Reducer"]

_START, _FINISH, _FULL = OPS["gw::mean_start"], OPS["gw::mean_finish"], OPS["full"]


class Reducer:
    """Owns the parameters of all replicas: `leaves[rank][index]`."""

    def __init__(self, group: Group, leaves: Sequence[Sequence[Tensor]], bucket_bytes: int) -> None:
        """Sort parameters into buckets."""
        self.group, self.leaves = group, [list(row) for row in leaves]
        self.buckets = _buckets(self.leaves[0], bucket_bytes)
        self.bucket_of = {index: number for number, bucket in enumerate(self.buckets) for index in bucket}
        self.is_sync = True
        self.is_local = False  # whether replicas hold gradients of their own, which no backward has averaged yet
        self.must_form = False
        for rank, row in enumerate(self.leaves):
            for index, leaf in enumerate(row):
                register(leaf, Owner(self, rank, index))

    def close(self) -> None:
        """Own nothing any more."""
        for row in self.leaves:
            for leaf in row:
                register(leaf, None)

    def align(self) -> None:
        """Give the replicas the gradients that the first has: none after `zero_grad`, another where the user set one."""
        for index, leaf in enumerate(self.leaves[0]):
            gradient, found = leaf._grad, mirrors_of(leaf)
            equal = found.gradient if found is not None else None
            is_ours = gradient is not None and equal is not None and equal[0]() is gradient
            for row in self.leaves[1:]:
                if gradient is None:
                    row[index]._grad = None
                elif not self.is_local and not (is_ours and equal is not None and equal[1] == gradient.storage.version):
                    with no_grad():
                        row[index]._grad = moved(gradient.detach(), row[index].session)

    def begin(self, present: set[tuple[int, int]]) -> _Pass:
        """Begin a backward that reaches these parameters."""
        if self.must_form:
            self.group.form(self.group.sessions)
            self.must_form = False
        return _Pass(self, present)


def _buckets(leaves: Sequence[Tensor], cap_bytes: int) -> list[list[int]]:
    """Return the indices of parameters, the last first, in buckets of one dtype and about `cap_bytes` each."""
    made: list[list[int]] = []
    filling: dict[Any, tuple[list[int], int]] = {}
    for index in reversed(range(len(leaves))):
        meta = leaves[index].meta
        bucket, size = filling.get(meta.dtype, ([], 0))
        if not bucket or size + meta.nbytes > cap_bytes:
            bucket, size = [], 0
            made.append(bucket)
        bucket.append(index)
        filling[meta.dtype] = (bucket, size + meta.nbytes)
    return made


class _Pass:
    """One backward. Each rank begins its buckets in the same order, whatever order they fill in."""

    def __init__(self, reducer: Reducer, present: set[tuple[int, int]]) -> None:
        self._reducer = reducer
        used = {index for _, index in present}
        self._buckets = [[index for index in bucket if index in used] for bucket in reducer.buckets]
        self._ready: list[set[int]] = [set() for _ in reducer.leaves]
        self._next = [0] * len(reducer.leaves)
        self._turns: dict[int, int] = {}
        self._begun: list[tuple[int, int, list[Any]]] = []  # (bucket, rank, gradients)

    def bucket_of(self, index: int) -> int:
        """Return the bucket of a parameter."""
        return self._reducer.bucket_of[index]

    def ready(self, rank: int, bucket: int, walk: Walk) -> None:
        """Begin the sum of a full bucket, if those before it have begun."""
        if self._reducer.is_sync:
            self._ready[rank].add(bucket)
            while self._next[rank] in self._ready[rank] or self._is_empty(self._next[rank]):
                self._begin(rank, self._next[rank], walk)
                self._next[rank] += 1

    def _is_empty(self, bucket: int) -> bool:
        return bucket < len(self._buckets) and not self._buckets[bucket]

    def _begin(self, rank: int, bucket: int, walk: Walk) -> None:
        indices, reducer = self._buckets[bucket], self._reducer
        if not indices:
            return
        gradients = [self._taken(rank, index, walk) for index in indices]
        leaves = [reducer.leaves[rank][index] for index in indices]
        if bucket not in self._turns:
            self._turns[bucket] = reducer.group.next_turn()
        self._call(_START, rank, gradients, [leaf._grad for leaf in leaves], reducer.group.name,
                   float(len(reducer.leaves)), reducer.group.epoch, self._turns[bucket])  # fmt: skip
        leaves[0].session.flush()
        self._begun.append((bucket, rank, gradients))

    def _taken(self, rank: int, index: int, walk: Walk) -> Any:
        """Return the gradient of a parameter, zeros where this replica did not use it."""
        leaf = self._reducer.leaves[rank][index]
        found = walk.pending.pop((id(leaf), 0), None)
        if found is None:
            return self._call(_FULL, rank, leaf.meta.shape, 0, leaf.meta.dtype)
        hooks = hooks_of_leaf(self._reducer.leaves[0][index])
        return found[1] if hooks is None else hooks.on_gradient(found[1])

    def end(self, walk: Walk) -> None:
        """Begin what is left, and set `grad` of all replicas to the means."""
        if not self._reducer.is_sync:
            self._keep_local(walk)
            return
        for rank in range(len(self._next)):
            for bucket in range(self._next[rank], len(self._buckets)):
                self._begin(rank, bucket, walk)
        for bucket, rank, gradients in self._begun:
            made = self._call(
                _FINISH, rank, gradients, self._reducer.group.name, self._reducer.group.epoch, self._turns[bucket]
            )
            for index, mean in zip(self._buckets[bucket], made, strict=True):
                self._reducer.leaves[rank][index]._grad = mean
        for indices in self._buckets:
            for index in indices:
                leaf = self._reducer.leaves[0][index]
                found = mirrors_of(leaf)
                if found is not None and leaf._grad is not None:
                    found.gradient = (ref(leaf._grad), leaf._grad.storage.version)
        self._reducer.is_local = False

    def _keep_local(self, walk: Walk) -> None:
        """Let each replica add up its own gradients, as large as they would be if each had a loss of its own."""
        scale = len(self._reducer.leaves)
        for row in self._reducer.leaves:
            for leaf in row:
                held = walk.pending.get((id(leaf), 0))
                if held is not None:
                    walk.pending[id(leaf), 0] = (held[0], held[1] * scale)
        self._reducer.is_local = True

    def failed(self) -> None:
        """Some workers may have begun what others did not: the next backward needs a new epoch."""
        self._reducer.must_form = bool(self._begun)
        with suppress(GradwireError):
            for session in self._reducer.group.sessions:
                session.flush()

    def _call(self, op: Any, rank: int, *arguments: Any) -> Any:
        from gradwire.tensor import call

        return call(op, *arguments, session=self._reducer.leaves[rank][0].session)
