"""Collectives: calls that the workers of a group make together. Each names its group, its epoch and its turn in the lane.

`start` hands tensors over and returns; `finish` waits for the sums. Between them the worker computes on.
"""

from __future__ import annotations

from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import control

__all__ = ["KINDS"]

KINDS = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "barrier")


def _collective(tensors: tuple[Meta, ...], kind: str, group: str, size: int, *rest: object) -> tuple[Meta, ...]:
    if kind not in KINDS:
        raise RuntimeError(f"a collective is one of {', '.join(KINDS)}; got {kind!r}")
    return tuple(_result(kind, size, meta) for meta in tensors)


def _result(kind: str, size: int, meta: Meta) -> Meta:
    if kind not in ("reduce_scatter", "all_gather"):
        return Meta.of(meta.shape, meta.dtype)
    if not meta.ndim or (kind == "reduce_scatter" and meta.shape[0] % size):
        raise RuntimeError(
            f"{kind} over {size} workers needs tensors with a first dimension"
            f"{' that they divide' if kind == 'reduce_scatter' else ''}; got {meta}"
        )
    first = meta.shape[0] * size if kind == "all_gather" else meta.shape[0] // size
    return Meta.of((first, *meta.shape[1:]), meta.dtype)


def _start(gradients: tuple[Meta, ...], held: tuple[Meta | None, ...], *rest: object) -> tuple[()]:
    if len(gradients) != len(held) or len({meta.dtype for meta in gradients}) != 1:
        raise RuntimeError("a bucket needs gradients of one dtype, and for each what it is added to, or None")
    return ()


def _finish(like: tuple[Meta, ...], *rest: object) -> tuple[Meta, ...]:
    return tuple(Meta.of(meta.shape, meta.dtype) for meta in like)


# Meets the other members of a group under an epoch; `spec` is `gradwire_protocol.group.Spec` as text.
control("gw::form(str spec) -> ()", lambda spec: (), awaited=True)
control("gw::leave(str group) -> ()", lambda group: ())

# One collective, waited for by the worker.
control(
    "gw::collective(Tensor[] tensors, str kind, str group, int size, int root, SymInt epoch, SymInt turn) -> Tensor[]",
    _collective,
    awaited=True,
)

# Means over a group of gradients times `scale`, added to what is held already; and the means, once they are there.
control(
    "gw::mean_start(Tensor[] gradients, Tensor?[] held, str group, float scale, SymInt epoch, SymInt turn) -> ()",
    _start,
    awaited=True,
)
control("gw::mean_finish(Tensor[] like, str group, SymInt epoch, SymInt turn) -> Tensor[]", _finish, awaited=True)
