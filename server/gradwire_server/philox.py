"""Random numbers as pure functions of (seed, offset): Philox4x64-10, written over `xp`.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11. There is
no state here: the client chooses the seed (the key, modulo 2**64) and the offset (the counter of
the first block), so a call that is sent again, or replayed on another worker, draws the same bits.
The client then moves its offset on by `blocks_for(numel)`; no draw below reaches further.

Words, and what is made of them by shifts and products, are the same on every backend. `normal` also
depends on the backend's log, cos and sin in its last bits. Words are cut into halves in
little-endian order, the low half first.

Rules for this file: only functions that CuPy has too, no conversion to host arrays, no loop over
elements. Nothing here may keep a generator from one call to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import Category, DType, bfloat16, float16, float32, float64
from gradwire_protocol.random import OFFSET_LIMIT, WORDS_PER_BLOCK, blocks_for

__all__ = [
    "bernoulli",
    "integers",
    "normal",
    "open_uniform",
    "permutation",
    "philox4x64",
    "philox_raw",
    "raw",
    "uniform",
]

Shape = tuple[int, ...]

_WORD = 1 << 64
_LOW_HALF = 0xFFFFFFFF
_ROUNDS = 10
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
# What each round adds to the key: the golden ratio, and sqrt(3) - 1.
_WEYL_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

# Bits of a float's significand, which are the random bits in a uniform number of that type.
_SIGNIFICAND_BITS = {float64: 53, float32: 24, float16: 11, bfloat16: 8}

# Blocks that the common path mixes at a time. Measured on numpy: 0.2 KiB of temporaries a block, so
# 0.1 GiB here; without a bound, a large draw would need six times its own memory.
_CHUNK_BLOCKS = 1 << 19


def raw(xp: Any, count: int, seed: int, offset: int) -> Any:
    """Return the first `count` words of blocks offset, offset + 1, ...: uint64 (count,).

    The key is (seed mod 2**64, 0) and block i has the counter (i, 0, 0, 0). Raises ValueError if
    the blocks do not fit in 0 .. 2**64.
    """
    if not 0 <= offset <= OFFSET_LIMIT - blocks_for(count):
        raise ValueError(
            f"a random call needs 0 <= offset and offset + blocks <= 2**64; got offset {offset} "
            f"and {blocks_for(count)} blocks; call manual_seed to start again at offset 0"
        )
    if xp is np:
        return philox_raw(count, seed, offset)
    return _common_raw(xp, count, seed, offset)


def philox_raw(count: int, seed: int, offset: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return what `raw` does, by numpy's C generator: 20 times as fast as the common path."""
    # numpy adds one to its 256-bit counter before it makes a block, so it starts one block early.
    generator = np.random.Philox(key=seed % _WORD, counter=(offset - 1) % (1 << 256))
    return generator.random_raw(count)


def _common_raw(xp: Any, count: int, seed: int, offset: int) -> Any:
    total = blocks_for(count)
    words = xp.empty((total, WORDS_PER_BLOCK), dtype=xp.uint64)
    for start in range(0, total, _CHUNK_BLOCKS):
        chunk = words[start : start + _CHUNK_BLOCKS]
        counter = xp.zeros((WORDS_PER_BLOCK, chunk.shape[0]), dtype=xp.uint64)
        first = xp.asarray([offset + start], dtype=xp.uint64)
        counter[0] = xp.arange(chunk.shape[0], dtype=xp.uint64) + first
        chunk[...] = philox4x64(xp, counter, (seed % _WORD, 0)).T
    return words.reshape(-1)[:count]


def philox4x64(xp: Any, counter: Any, key: tuple[int, int]) -> Any:
    """Return Philox4x64-10 of each column of `counter` under `key`: uint64 (4, N) -> uint64 (4, N).

    A round of the paper treats words 0 and 2 alike, and 1 and 3 alike; so each pair is one array
    here, which halves the number of calls (kernel launches, on a GPU).
    """
    multipliers = xp.asarray(_MULTIPLIERS, dtype=xp.uint64).reshape(2, 1)
    round_keys = xp.asarray(list(_round_keys(key)), dtype=xp.uint64).reshape(_ROUNDS, 2, 1)
    even, odd = counter[0::2], counter[1::2]
    for index in range(_ROUNDS):
        high, low = _multiply(even, multipliers)
        even, odd = high[::-1] ^ odd ^ round_keys[index], low[::-1]
    return xp.stack([even[0], odd[0], even[1], odd[1]])


def _round_keys(key: tuple[int, int]) -> Iterator[list[int]]:
    for index in range(_ROUNDS):
        yield [(word + index * step) % _WORD for word, step in zip(key, _WEYL_STEPS, strict=True)]


def _multiply(x: Any, y: Any) -> tuple[Any, Any]:
    """Return the high and low words of the 128-bit products of two uint64 arrays."""
    x_low, x_high, y_low, y_high = x & _LOW_HALF, x >> 32, y & _LOW_HALF, y >> 32
    cross = x_low * y_high
    # Cannot overflow: (2**32 - 1)**2 + 2 * (2**32 - 1) == 2**64 - 1.
    middle = x_high * y_low + (cross & _LOW_HALF) + ((x_low * y_low) >> 32)
    return x_high * y_high + (cross >> 32) + (middle >> 32), x * y


def uniform(xp: Any, shape: Shape, dtype: DType, seed: int, offset: int) -> Any:
    """Return evenly spaced numbers of [0, 1): multiples of 2**-53, 2**-24, 2**-11 or 2**-8.

    The 53 highest bits of a word make a float64, the 24, 11 or 8 highest bits of half a
    word a float32, float16 or bfloat16. Raises NotImplementedError for any other dtype.
    """
    bits = _significand_bits("uniform", dtype)
    words, width = _words(xp, math.prod(shape), dtype, seed, offset)
    numbers = (words >> (width - bits)).astype(_computed_in(dtype))
    numbers *= 2.0**-bits
    return numbers.astype(dtype.numpy, copy=False).reshape(shape)


def open_uniform(xp: Any, shape: Shape, seed: int, offset: int) -> Any:
    """Return float64 numbers of (0, 1), never an end: odd multiples of 2**-53, for inverting distribution functions."""
    numbers = (raw(xp, math.prod(shape), seed, offset) >> 12).astype(float64.numpy)
    numbers += 0.5
    numbers *= 2.0**-52
    return numbers.reshape(shape)


def normal(xp: Any, shape: Shape, dtype: DType, seed: int, offset: int) -> Any:
    """Return normal numbers: `sqrt(-2 ln u)` times `cos(2 pi v)` and times `sin(2 pi v)`.

    Box and Muller, "A note on the generation of random normal deviates", 1958. The cosines are the
    first half of the result. u and v are `(word + 1/2) / 2**width` in (0, 1], as in cuRAND: never
    0, so the log is finite; and from all bits of the word or half word, so the tail reaches 6.7
    (float32) or 9.4 (float64) standard deviations. Raises NotImplementedError for a dtype that is
    no real float.
    """
    _significand_bits("normal", dtype)
    numel = math.prod(shape)
    pairs = (numel + 1) // 2
    words, width = _words(xp, 2 * pairs, dtype, seed, offset)
    fraction = words.astype(_computed_in(dtype))
    fraction *= 2.0**-width
    fraction += 2.0 ** -(width + 1)
    radius, angle = xp.sqrt(xp.log(fraction[:pairs]) * -2.0), fraction[pairs:] * math.tau
    numbers = xp.empty(numel, dtype=_computed_in(dtype))
    sines = numel - pairs
    xp.multiply(radius, xp.cos(angle), out=numbers[:pairs])
    xp.multiply(radius[:sines], xp.sin(angle[:sines]), out=numbers[pairs:])
    return numbers.astype(dtype.numpy, copy=False).reshape(shape)


def integers(xp: Any, shape: Shape, dtype: DType, low: int, high: int, seed: int, offset: int) -> Any:
    """Return integers of [low, high) as `dtype`: low + (a 64-bit word modulo high - low).

    The modulo is PyTorch's own choice. It makes small results likelier than large ones by a part of
    (high - low) / 2**64 at most. Raises RuntimeError for an empty range, and for one that dtype
    does not hold exactly.
    """
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    _require_exact(low, high - 1, dtype)
    words = raw(xp, math.prod(shape), seed, offset)
    if high - low < _WORD:
        words = words % np.uint64(high - low)
    # Unsigned arithmetic wraps, so this is right for a negative `low` and for ranges past 2**63.
    words = words + np.uint64(low % _WORD)
    return words.view(xp.int64).astype(dtype.numpy, copy=False).reshape(shape)


def permutation(xp: Any, n: int, dtype: DType, seed: int, offset: int) -> Any:
    """Return 0 .. n - 1 in random order: dtype (n,).

    Each index replaces the low bits of a word of its own, and the words are sorted. No two are
    equal, so every sort algorithm gives the same order; and a plain sort is six times as fast as
    the stable argsort that would be needed otherwise. Where the remaining random bits of two words
    are equal (at n = 2**20: in one call of 32, for one pair) the smaller index comes first. Raises
    RuntimeError if dtype does not hold n - 1.
    """
    index_bits = max(n - 1, 0).bit_length()
    _require_exact(0, max(n - 1, 0), dtype)
    words = raw(xp, n, seed, offset) >> index_bits << index_bits
    order = xp.sort(words | xp.arange(n, dtype=xp.uint64)) & ((1 << index_bits) - 1)
    return order.astype(dtype.numpy)


def bernoulli(xp: Any, shape: Shape, p: float, seed: int, offset: int) -> Any:
    """Return True with probability `p`, else False: bool of `shape`.

    Half a word is compared with p * 2**32, rounded up: p is right to 2**-32, 0 is never, 1 is
    always, and no float is made on the way. Raises RuntimeError for a p outside [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    if p == 0.0:
        return xp.zeros(shape, dtype=xp.bool_)
    largest = np.uint32(math.ceil(p * 2.0**32) - 1)
    return (_halves(xp, math.prod(shape), seed, offset) <= largest).reshape(shape)


def _words(xp: Any, count: int, dtype: DType, seed: int, offset: int) -> tuple[Any, int]:
    """Return `count` unsigned integers and their width in bits: words for float64, else halves."""
    if dtype is float64:
        return raw(xp, count, seed, offset), 64
    return _halves(xp, count, seed, offset), 32


def _halves(xp: Any, count: int, seed: int, offset: int) -> Any:
    return raw(xp, (count + 1) // 2, seed, offset).view(xp.uint32)[:count]


def _computed_in(dtype: DType) -> np.dtype[np.generic]:
    """Return the type to compute in: the narrower types are made from float32 at the end, as PyTorch does."""
    return (float64 if dtype is float64 else float32).numpy


def _significand_bits(kind: str, dtype: DType) -> int:
    bits = _SIGNIFICAND_BITS.get(dtype)
    if bits is None:
        known = ", ".join(repr(d) for d in _SIGNIFICAND_BITS)
        # PyTorch raises this class here ('"check_uniform_bounds" not implemented for Long').
        raise NotImplementedError(f"{kind} needs a dtype of {known}; got {dtype!r}; draw one of these and convert")
    return bits


def _require_exact(low: int, high: int, dtype: DType) -> None:
    """Refuse integers low .. high that dtype does not hold exactly (PyTorch may only warn)."""
    smallest, largest = _exact_range(dtype)
    if low < smallest or high > largest:
        raise RuntimeError(
            f"random integers must fit in {dtype!r} exactly, so lie in [{smallest}, {largest}]; "
            f"got results from {low} to {high}; choose a wider dtype"
        )


def _exact_range(dtype: DType) -> tuple[int, int]:
    if dtype.category is Category.COMPLEX:
        raise RuntimeError(f"random integers need a real dtype; got {dtype!r}; use its real dtype")
    if dtype.category is Category.BOOL:
        return 0, 1
    if dtype.category is Category.FLOAT:
        limit = 1 << _SIGNIFICAND_BITS[dtype]
        return -limit, limit
    bounds = np.iinfo(dtype.name)
    return int(bounds.min), int(bounds.max)
