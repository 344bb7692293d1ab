"""Sequences of different lengths in one tensor: padded, or packed step by step as recurrent layers run them.

The orders of elements are computed here from the lengths, and uploaded: packing is one gather, padding one scatter.
Lengths given as a tensor are waited for, unless this client made it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from gradwire.functions import cat
from gradwire.host_ints import known_ints, make_ints
from gradwire.tensor import Tensor
from gradwire_protocol import dtypes
from gradwire_protocol.registry import torch_type_name

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip

Ints = np.ndarray[Any, np.dtype[np.int64]]


class _PackedSequence(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_PackedSequence):
    """Sequences step by step: `data` holds the first elements of all, longest first, then the second ones, ...

    `batch_sizes[t]` sequences are longer than t. `sorted_indices` is the order by length, `unsorted_indices` its inverse;
    None where the sequences were given in that order. Made by `pack_sequence` and `pack_padded_sequence`.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        """Hold the parts as they are; the inverse order is computed where it is missing."""
        if batch_sizes is None:
            if not isinstance(data, list | tuple) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of length 2")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    @property
    def is_cuda(self) -> bool:
        """Return whether the data is on a GPU."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        """Return whether the data is in pinned memory."""
        return bool(self.data.is_pinned())

    def pin_memory(self) -> Self:
        """Return this with the data pinned, as `Tensor.pin_memory` does."""
        return self._with(self.data.pin_memory())

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Return this with the data converted; itself if there is nothing to convert."""
        return self._with(self.data.to(*args, **kwargs))

    def _with(self, data: Tensor) -> Self:
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def cuda(self, *args: Any, **kwargs: Any) -> Self:
        """Return this on a GPU."""
        return self._with(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Self:
        """Return this on the CPU."""
        return self._with(self.data.cpu(*args, **kwargs))

    def double(self) -> Self:
        """Return this as float64."""
        return self.to(dtypes.float64)

    def float(self) -> Self:
        """Return this as float32."""
        return self.to(dtypes.float32)

    def half(self) -> Self:
        """Return this as float16."""
        return self.to(dtypes.float16)

    def long(self) -> Self:
        """Return this as int64."""
        return self.to(dtypes.int64)

    def int(self) -> Self:
        """Return this as int32."""
        return self.to(dtypes.int32)

    def short(self) -> Self:
        """Return this as int16."""
        return self.to(dtypes.int16)

    def char(self) -> Self:
        """Return this as int8."""
        return self.to(dtypes.int8)

    def byte(self) -> Self:
        """Return this as uint8."""
        return self.to(dtypes.uint8)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Return the order that undoes `permutation`."""
    if permutation is None:
        return None
    return make_ints(np.argsort(known_ints(permutation), kind="stable"), permutation.session)


# ---------------------------------------------------------------- packing
def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack sequences that lie padded in (steps, batch, *), or (batch, steps, *) with `batch_first`.

    `lengths` must not rise unless `enforce_sorted` is False. Waits only for lengths in a tensor.
    """
    sizes = _lengths(lengths)
    batch_dim = 0 if batch_first else 1
    order: Ints | None = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    if not input.numel():
        raise RuntimeError("Cannot pack empty tensors.")
    _check_lengths(sizes, input.size(batch_dim))
    if sizes[0] > input.size(1 - batch_dim):
        raise RuntimeError(
            f"lengths must be at most the number of steps, {input.size(1 - batch_dim)}; got {int(sizes[0])}"
        )
    rows = _rows(sizes, order, input.shape[0], input.shape[1], batch_first)
    data = input.flatten(0, 1).index_select(0, make_ints(rows, input.session))
    batch_sizes = make_ints(_batch_sizes(sizes), input.session)
    return PackedSequence(data, batch_sizes, None if order is None else make_ints(order, input.session))


def _lengths(lengths: Any) -> Ints:
    if not isinstance(lengths, Tensor):
        return np.asarray(lengths, np.int64)
    if lengths.dim() != 1:
        raise RuntimeError(
            f"'lengths' argument should be a 1D CPU int64 tensor, but got {lengths.dim()}D {lengths.device.type} "
            f"{torch_type_name(lengths.dtype)} tensor"
        )
    return np.asarray(known_ints(lengths), np.int64)


def _check_lengths(lengths: Ints, batch: int) -> None:
    if len(lengths) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(lengths)} (batch_size={batch})"
        )
    if lengths[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (lengths[1:] > lengths[:-1]).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do "
            "not need ONNX exportability."
        )


def _batch_sizes(lengths: Ints) -> Ints:
    """Return how many sequences are longer than each step, from falling lengths; and the reverse."""
    return np.searchsorted(-lengths, -np.arange(lengths[0]), side="left").astype(np.int64)


def _rows(lengths: Ints, order: Ints | None, first: int, second: int, batch_first: bool) -> Ints:
    """Return where the elements of packed data lie in padded data of (first, second, *), both axes as one."""
    sizes = _batch_sizes(lengths)
    step = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(step)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    sequence = place if order is None else order[place]
    return sequence * second + step if batch_first else step * second + sequence


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return packed sequences padded, (steps, batch, *), and their lengths, in the order that they were given in.

    `total_length` pads to so many steps. Does not wait.
    """
    sizes = np.asarray(known_ints(sequence.batch_sizes))
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    # The same count turned around: how many steps have more sequences than each place.
    lengths, order = _batch_sizes(sizes), sequence.sorted_indices
    places = None if order is None else np.asarray(known_ints(order))
    outer = (len(lengths), steps) if batch_first else (steps, len(lengths))
    data = sequence.data
    rows = make_ints(_rows(lengths, places, *outer, batch_first), data.session)
    padded = data.new_full((outer[0] * outer[1], *data.shape[1:]), padding_value).index_copy(0, rows, data)
    if places is not None:
        lengths = lengths[np.argsort(places)]
    return padded.unflatten(0, outer), make_ints(lengths, data.session)


# ---------------------------------------------------------------- padding
def pad_sequence(
    sequences: Tensor | Iterable[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Lay tensors of (length, *) side by side, (longest, batch, *), or (batch, longest, *) with `batch_first`."""
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    held = list(sequences)
    if not held:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    lengths = [sequence.size(0) for sequence in held]
    longest = max(lengths)
    starts = [longest - length if padding_side == "left" else 0 for length in lengths]
    rows = [
        _sequence_rows(number, start, length, longest, len(held), batch_first)
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    data = cat(held)
    index = make_ints(np.concatenate(rows), data.session)
    padded = data.new_full((longest * len(held), *data.shape[1:]), padding_value).index_copy(0, index, data)
    return padded.unflatten(0, (len(held), longest) if batch_first else (longest, len(held)))  # type: ignore[no-any-return]


def _sequence_rows(number: int, start: int, length: int, longest: int, count: int, batch_first: bool) -> Ints:
    steps = np.arange(start, start + length)
    return number * longest + steps if batch_first else steps * count + number


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences that lie padded in (steps, batch, *), each in memory of its own."""
    batch_dim = 0 if batch_first else 1
    return [
        padded_sequences.select(batch_dim, number).narrow(0, 0, int(length)).clone()
        for number, length in enumerate(_lengths(lengths))
    ]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack tensors of (length, *); they must come longest first unless `enforce_sorted` is False."""
    lengths = [sequence.size(0) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Return the sequences that were packed, in the order that they were given in."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
