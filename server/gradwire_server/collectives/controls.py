"""The `gw::` ops of groups. A session's memberships go with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from gradwire_protocol.errors import GroupBroken
from gradwire_protocol.group import Spec
from gradwire_protocol.signature import Signature
from gradwire_protocol.v1 import failure_pb2
from gradwire_server.collectives.interface import Collective, Work
from gradwire_server.collectives.membership import Membership, join
from gradwire_server.engine import Array

if TYPE_CHECKING:
    from gradwire_server.session import Run, Session

__all__ = ["COLLECTIVE_CONTROLS", "COLLECTIVE_ON_POISON"]

_memberships: WeakKeyDictionary[Session, dict[str, Membership]] = WeakKeyDictionary()


def _member(session: Session, group: str) -> Membership:
    found = _memberships.get(session, {}).get(group)
    if found is None:
        raise GroupBroken(f"a collective needs a group that this worker is in; it is not in {group!r}; form it first")
    return found


def form(session: Session, run: Run, signature: Signature, spec: str) -> tuple[()]:
    """Join a group under a new epoch; the one before is over."""
    decoded = Spec.decode(spec)
    held = _memberships.setdefault(session, {})
    before = held.get(decoded.group)
    if before is not None:
        if decoded.epoch <= before.spec.epoch:
            raise GroupBroken(
                f"epochs of a group never go back; {decoded.group!r} had {before.spec.epoch} here, got {decoded.epoch}"
            )
        before.breaks(f"epoch {decoded.epoch} followed")
        del held[decoded.group]
    held[decoded.group] = join(decoded)
    return ()


def leave(session: Session, run: Run, signature: Signature, group: str) -> tuple[()]:
    """Leave a group, if this session is in it."""
    held = _memberships.get(session, {}).pop(group, None)
    if held is not None:
        held.leave()
    return ()


def collective(
    session: Session, run: Run, signature: Signature, tensors: Sequence[Array], kind: str, group: str, size: int,
    root: int, epoch: int, turn: int,
) -> list[Array]:  # fmt: skip
    """Do one collective on each tensor, and wait for it."""
    member, engine, made = _member(session, group), session.engine, []
    if size != member.size or not 0 <= root < size:
        raise GroupBroken(f"group {group!r} has {member.size} members; a call counts {size}, and root {root}")
    begin = _BEGIN[kind]
    if not tensors:
        member.start(epoch, turn, lambda opened: opened.barrier(), None)
        member.finish(epoch, turn)
    for index, (array, meta) in enumerate(zip(tensors, signature.outputs, strict=True)):
        values = engine.backend.xp.ascontiguousarray(array.data)
        values = values.copy() if values is array.data or values.base is not None else values
        into = values if meta.shape == values.shape else engine.backend.xp.empty(meta.shape, values.dtype)
        member.start(epoch, turn + index, _bound(begin, values, into, root), into)
        made.append(engine.new(member.finish(epoch, turn + index), meta))
    return made


def _bound(begin: Callable[..., Work], values: Any, into: Any, root: int) -> Callable[[Collective], Work]:
    return lambda opened: begin(opened, values, into, root)


def _gathered(opened: Collective, values: Any, into: Any, root: int) -> Work:
    return opened.all_gather(values, into)


def _scattered(opened: Collective, values: Any, into: Any, root: int) -> Work:
    return opened.reduce_scatter(values, into)


_BEGIN: dict[str, Callable[..., Work]] = {
    "all_reduce": lambda opened, values, into, root: opened.all_reduce(values),
    "broadcast": lambda opened, values, into, root: opened.broadcast(values, root),
    "all_gather": _gathered,
    "reduce_scatter": _scattered,
    "barrier": lambda opened, values, into, root: opened.barrier(),
}


def mean_start(
    session: Session, run: Run, signature: Signature, gradients: Sequence[Array], held: Sequence[Array | None],
    group: str, scale: float, epoch: int, turn: int,
) -> tuple[()]:  # fmt: skip
    """Lay gradients side by side, and begin to sum them over the group."""
    xp, member = session.engine.backend.xp, _member(session, group)
    dtype = gradients[0].data.dtype
    flat = xp.empty(sum(array.meta.numel for array in gradients), dtype)
    # The mean of as many times the gradient is their sum: two passes over memory less.
    is_sum = scale == member.size and all(before is None for before in held)
    start = 0
    for array, before in zip(gradients, held, strict=True):
        part = flat[start : start + array.meta.numel].reshape(array.meta.shape)
        if is_sum:
            part[...] = array.data
        else:
            xp.multiply(array.data, dtype.type(scale), out=part)
        if before is not None:
            xp.add(part, before.data, out=part)
        start += array.meta.numel
    member.start(epoch, turn, lambda opened: opened.all_reduce(flat), (flat, is_sum))
    return ()


def mean_finish(
    session: Session, run: Run, signature: Signature, like: Sequence[Array], group: str, epoch: int, turn: int
) -> list[Array]:
    """Wait for the sums of a bucket, and hand out the means, which lie side by side still."""
    xp, member = session.engine.backend.xp, _member(session, group)
    flat, is_sum = member.finish(epoch, turn)
    if not is_sum:
        xp.divide(flat, flat.dtype.type(member.size), out=flat)
    made, start = [], 0
    for meta in signature.outputs:
        made.append(session.engine.new(flat[start : start + meta.numel].reshape(meta.shape), meta))
        start += meta.numel
    return made


def _end(session: Session, signature: Signature, scalars: tuple[Any, ...], failure: failure_pb2.Failure) -> None:
    """End the epoch of a call that did not run; one of another epoch is merely late."""
    group = signature.statics[1 if signature.op.name == "gw::collective" else 0]
    found = _memberships.get(session, {}).get(group)
    if found is not None and scalars[-2] == found.spec.epoch:
        found.breaks(f"a member could not take part: {failure.message[:200]}")


COLLECTIVE_CONTROLS: dict[str, Callable[..., Any]] = {
    "gw::form": form,
    "gw::leave": leave,
    "gw::collective": collective,
    "gw::mean_start": mean_start,
    "gw::mean_finish": mean_finish,
}
# The others wait for a member whose call did not run: its epoch ends.
COLLECTIVE_ON_POISON = dict.fromkeys(("gw::collective", "gw::mean_start", "gw::mean_finish"), _end)
