"""How a call's arrays and numbers come into the order of its schema: worked out once per signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from gradwire_protocol.signature import Signature

__all__ = ["Arrange", "arranger"]

# (arrays, numbers) -> the arguments in schema order, tensor lists as tuples: `Op.arrange` with all that does not vary known.
Arrange = Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]]


def arranger(signature: Signature) -> Arrange:
    """Return what puts the arrays and the numbers of one call in order, with the signature's statics between them."""
    op, statics, lengths = signature.op, signature.statics, signature.lengths
    if not statics and not signature.kinds and not lengths:
        return lambda data, scalars: data
    tensors, fixed = len(signature.metas), len(signature.statics)
    order = op.arrange(
        range(tensors), range(tensors, tensors + fixed),
        range(tensors + fixed, tensors + fixed + len(signature.kinds)), lengths,
    )  # fmt: skip
    if lengths:
        takers = [_several(place) if isinstance(place, tuple) else itemgetter(place) for place in order]
        return lambda data, scalars: [take((*data, *statics, *scalars)) for take in takers]
    if len(order) == 1:
        return lambda data, scalars: (*data, *statics, *scalars)
    take_all = itemgetter(*order)
    return lambda data, scalars: take_all((*data, *statics, *scalars))


def _several(places: tuple[int, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what takes the tensors of a list, which lie beside each other."""
    first, end = (places[0], places[-1] + 1) if places else (0, 0)
    return lambda values: tuple(values[first:end])
