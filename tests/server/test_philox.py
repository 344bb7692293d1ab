"""Philox against its published answers, numpy's generator, and the laws of its distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradwire_protocol.dtypes import DTYPES, DType, bool_, float16, float32, float64, int8, int32, int64, uint8
from gradwire_protocol.random import OFFSET_LIMIT, blocks_for
from gradwire_server import philox
from gradwire_server.strict import StrictArray, open_strict

Draw = Callable[[Any, tuple[int, ...], int, int], Any]
FLOATS = (float16, float32, float64)
MANY = 200_000


class _Common:
    """numpy under another name, so that `xp is numpy` is false and the common path runs."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


COMMON = _Common()


def _draws(dtype: DType) -> list[Draw]:
    return [
        lambda xp, shape, seed, offset: philox.uniform(xp, shape, dtype, seed, offset),
        lambda xp, shape, seed, offset: philox.normal(xp, shape, dtype, seed, offset),
        lambda xp, shape, seed, offset: philox.integers(xp, shape, dtype, -9, 90, seed, offset),
        lambda xp, shape, seed, offset: philox.bernoulli(xp, shape, 0.3, seed, offset),
    ]


DRAWS = [(dtype, index) for dtype in FLOATS for index in range(4)]
NAMES = [f"{('uniform', 'normal', 'integers', 'bernoulli')[i]}-{dtype.name}" for dtype, i in DRAWS]


def _constant(word: int) -> Callable[..., Any]:
    """Return a stand-in for `raw` whose words are all the same."""
    return lambda xp, count, seed, offset: np.full(count, word, dtype=np.uint64)


def _ks_distance(numbers: np.ndarray[Any, Any], cdf: Callable[[Any], Any]) -> float:
    """Return the greatest distance of the sample from `cdf` (Kolmogorov, Smirnov)."""
    expected = cdf(np.sort(numbers.astype(np.float64).ravel()))
    steps = np.arange(numbers.size + 1) / numbers.size
    return float(max(np.max(steps[1:] - expected), np.max(expected - steps[:-1])))


def _normal_cdf(x: Any) -> Any:
    return np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2.0)))(x)


# ---- the bijection


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0,) * 4,
            (0,) * 2,
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (2**64 - 1,) * 4,
            (2**64 - 1,) * 2,
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
        (  # the digits of pi
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers_of_random123(counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]) -> None:
    """The three lines `philox4x64 10` of the file kat_vectors in the Random123 distribution."""
    columns = np.array([[word, word] for word in counter], dtype=np.uint64)
    assert philox.philox4x64(np, columns, key).T.tolist() == [list(expected)] * 2


def test_raw_starts_with_the_known_answer() -> None:
    assert [f"{word:x}" for word in philox.raw(np, 2, seed=0, offset=0)] == ["16554d9eca36314c", "db20fe9d672d0fdc"]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 1000])
@pytest.mark.parametrize("seed", [0, 1, -1, 2**63, 2**64 + 5])
@pytest.mark.parametrize("offset", [0, 1, 2**32 - 1, 2**63 - 1, OFFSET_LIMIT - 250])
def test_numpy_path_equals_common_path(count: int, seed: int, offset: int) -> None:
    fast, common = philox.raw(np, count, seed, offset), philox.raw(COMMON, count, seed, offset)
    assert fast.shape == common.shape == (count,)
    assert fast.dtype == common.dtype == np.uint64
    assert fast.tobytes() == common.tobytes()


def test_common_path_is_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = philox.raw(COMMON, 101, 3, 4)
    monkeypatch.setattr(philox, "_CHUNK_BLOCKS", 7)
    assert philox.raw(COMMON, 101, 3, 4).tobytes() == whole.tobytes()


@pytest.mark.parametrize("xp", [np, COMMON], ids=["fast", "common"])
def test_offsets_are_blocks_of_one_stream(xp: Any) -> None:
    """Draws that follow each other are one long draw, so disjoint offsets never overlap."""
    whole = philox.raw(xp, 400, seed=7, offset=10)
    assert np.array_equal(philox.raw(xp, 100, 7, 10), whole[:100])
    assert np.array_equal(philox.raw(xp, 300, 7, 10 + blocks_for(100)), whole[100:])
    assert np.unique(whole).size == 400
    assert not np.isin(philox.raw(xp, 400, seed=8, offset=10), whole).any()


@pytest.mark.parametrize("offset", [-1, OFFSET_LIMIT, OFFSET_LIMIT - 1])
def test_offsets_outside_the_counter_are_refused(offset: int) -> None:
    with pytest.raises(ValueError, match=f"got offset {offset} and 2 blocks"):
        philox.raw(np, 5, 0, offset)


@pytest.mark.parametrize("numel", [0, 1, 2, 3, 4, 5, 7, 8, 9, 1001])
def test_no_draw_reaches_past_its_blocks(numel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client moves its offset on by blocks_for(numel); what follows is the next call's."""
    asked: list[int] = []
    original = philox.raw

    def recorded(xp: Any, count: int, seed: int, offset: int) -> Any:
        asked.append(count)
        return original(xp, count, seed, offset)

    monkeypatch.setattr(philox, "raw", recorded)
    for dtype, index in DRAWS:
        _draws(dtype)[index](np, (numel,), 0, 0)
    philox.permutation(np, numel, int64, 0, 0)
    assert len(asked) == len(DRAWS) + 1
    assert all(blocks_for(count) <= blocks_for(numel) for count in asked)


@pytest.mark.parametrize(("numel", "blocks"), [(0, 0), (1, 1), (4, 1), (5, 2), (2**56, 2**54)])
def test_blocks_for(numel: int, blocks: int) -> None:
    assert blocks_for(numel) == blocks


# ---- what every draw obeys


@pytest.mark.parametrize(("dtype", "index"), DRAWS, ids=NAMES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (7,), (3, 5, 2)])
def test_shape_dtype_and_layout(dtype: DType, index: int, shape: tuple[int, ...]) -> None:
    drawn = _draws(dtype)[index](np, shape, 1, 2)
    assert drawn.shape == shape
    assert drawn.dtype == (np.bool_ if index == 3 else dtype.numpy)
    assert drawn.flags.carray  # C-contiguous, aligned, writable: so an array, not a scalar


@pytest.mark.parametrize(("dtype", "index"), DRAWS, ids=NAMES)
def test_common_path_draws_the_same(dtype: DType, index: int) -> None:
    draw = _draws(dtype)[index]
    assert draw(np, (33, 7), 5, 6).tobytes() == draw(COMMON, (33, 7), 5, 6).tobytes()


@pytest.mark.parametrize(("dtype", "index"), DRAWS, ids=NAMES)
@pytest.mark.parametrize("shape", [(), (0, 3), (33, 7)])
def test_strict_namespace_draws_the_same(dtype: DType, index: int, shape: tuple[int, ...]) -> None:
    draw, strict = _draws(dtype)[index], open_strict()
    drawn = draw(strict.xp, shape, -5, 2**63)
    assert isinstance(drawn, StrictArray)
    host, expected = strict.to_host(drawn), draw(np, shape, -5, 2**63)
    assert (host.shape, host.dtype) == (expected.shape, expected.dtype)
    assert host.tobytes() == expected.tobytes()


@pytest.mark.parametrize("n", [0, 1, 100])
def test_strict_namespace_permutes_the_same(n: int) -> None:
    strict = open_strict()
    order = strict.to_host(philox.permutation(strict.xp, n, int64, 5, 6))
    assert np.array_equal(order, philox.permutation(np, n, int64, 5, 6))


@pytest.mark.parametrize("p", [0.0, 1e-300, 1.0])
def test_strict_namespace_bernoulli_at_the_ends(p: float) -> None:
    strict = open_strict()
    drawn = strict.to_host(philox.bernoulli(strict.xp, (9,), p, 5, 6))
    assert np.array_equal(drawn, philox.bernoulli(np, (9,), p, 5, 6))


@pytest.mark.parametrize(("dtype", "index"), DRAWS, ids=NAMES)
def test_draws_are_functions_of_seed_and_offset(dtype: DType, index: int) -> None:
    draw = _draws(dtype)[index]
    first = draw(np, (1000,), 5, 6)
    assert draw(np, (1000,), 5, 6).tobytes() == first.tobytes()
    assert draw(np, (1000,), 6, 6).tobytes() != first.tobytes()
    assert draw(np, (1000,), 5, 6 + blocks_for(1000)).tobytes() != first.tobytes()


@pytest.mark.parametrize(("dtype", "index"), DRAWS, ids=NAMES)
def test_consecutive_draws_are_uncorrelated(dtype: DType, index: int) -> None:
    draw = _draws(dtype)[index]
    a, b = (draw(np, (MANY,), 5, i * blocks_for(MANY)).astype(np.float64) for i in range(2))
    bound = 4.0 / math.sqrt(MANY)
    assert abs(np.corrcoef(a, b)[0, 1]) < bound
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < bound
    assert abs(np.corrcoef(a[: MANY // 2], a[MANY // 2 :])[0, 1]) < bound * math.sqrt(2.0)


# ---- uniform and normal


@pytest.mark.parametrize(
    ("dtype", "bits", "largest"),
    [(float16, 11, 1 - 2.0**-11), (float32, 24, 1 - 2.0**-24), (float64, 53, 1 - 2.0**-53)],
)
def test_uniform_is_a_multiple_of_its_step(
    dtype: DType, bits: int, largest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = philox.uniform(np, (MANY,), dtype, 1, 0).astype(np.float64)
    assert numbers.min() >= 0.0
    assert numbers.max() < 1.0
    steps = numbers * 2.0**bits
    assert np.array_equal(steps, np.floor(steps))
    assert (steps % 2 == 1).any()
    # The greatest word gives the greatest step below 1, never 1 itself.
    for word, expected in ((0, 0.0), (2**64 - 1, largest)):
        monkeypatch.setattr(philox, "raw", _constant(word))
        assert philox.uniform(np, (3,), dtype, 0, 0).tolist() == [expected] * 3


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_is_finite_at_the_extremes(dtype: DType, monkeypatch: pytest.MonkeyPatch) -> None:
    for word in (0, 1, 2**32 - 1, 2**64 - 1):
        monkeypatch.setattr(philox, "raw", _constant(word))
        numbers = philox.normal(np, (9,), dtype, 0, 0)
        assert np.isfinite(numbers).all()
        assert np.abs(numbers).max() < 9.6


def test_uniform_uses_the_low_half_first() -> None:
    word = int(philox.raw(np, 1, 3, 0)[0])
    low, high = word & 0xFFFFFFFF, word >> 32
    expected = [(low >> 8) * 2.0**-24, (high >> 8) * 2.0**-24]
    assert philox.uniform(np, (2,), float32, 3, 0).tolist() == expected


def test_normal_is_box_muller() -> None:
    """By the formula of the docstring, in Python floats, for an odd number of elements."""
    u = [(int(w) + 0.5) * 2.0**-64 for w in philox.raw(np, 6, 3, 0)]
    radii = [math.sqrt(-2.0 * math.log(x)) for x in u[:3]]
    expected = [r * math.cos(math.tau * v) for r, v in zip(radii, u[3:], strict=True)]
    expected += [r * math.sin(math.tau * v) for r, v in zip(radii[:2], u[3:5], strict=True)]
    np.testing.assert_allclose(philox.normal(np, (5,), float64, 3, 0), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_moments_and_distribution(dtype: DType) -> None:
    numbers = philox.uniform(np, (MANY,), dtype, 12, 34).astype(np.float64)
    step = 2.0**-11 if dtype is float16 else 0.0
    # Four standard errors, and half a step, since a number stands for the interval above it.
    assert abs(numbers.mean() - 0.5) < 4 * math.sqrt(1 / 12 / MANY) + step
    assert abs(numbers.var() - 1 / 12) < 4 * math.sqrt(1 / 180 / MANY) + step
    # The distance exceeds 1.95 / sqrt(n) once in a thousand samples; the seed is fixed.
    assert _ks_distance(numbers, lambda x: x) < 1.95 / math.sqrt(MANY) + step


@pytest.mark.parametrize("dtype", FLOATS)
def test_normal_moments_and_distribution(dtype: DType) -> None:
    numbers = philox.normal(np, (MANY,), dtype, 12, 34).astype(np.float64)
    assert np.isfinite(numbers).all()
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        error = math.sqrt((math.prod(range(1, 4 * power, 2)[:power]) - moment**2) / MANY)
        assert abs((numbers**power).mean() - moment) < 4 * error, f"moment {power}"
    # float16 rounds to steps of up to 2**-9 within two standard deviations, where the density is.
    step = 2.0**-10 if dtype is float16 else 0.0
    assert _ks_distance(numbers, _normal_cdf) < 1.95 / math.sqrt(MANY) + step


@pytest.mark.parametrize("draw", [philox.uniform, philox.normal])
@pytest.mark.parametrize("dtype", [d for d in DTYPES if not d.is_floating_point], ids=lambda d: d.name)
def test_other_dtypes_are_refused(draw: Callable[..., Any], dtype: DType) -> None:
    with pytest.raises(NotImplementedError, match=f"{draw.__name__} needs .* got {dtype!r}"):
        draw(np, (3,), dtype, 0, 0)


# ---- integers, permutation, bernoulli


@pytest.mark.parametrize("dtype", [d for d in DTYPES if not d.is_complex], ids=lambda d: d.name)
def test_integers_are_even_over_their_range(dtype: DType) -> None:
    low, high = (0, 2) if dtype is bool_ else (3, 13)
    numbers = philox.integers(np, (MANY,), dtype, low, high, 1, 2)
    assert numbers.dtype == dtype.numpy
    counts = np.bincount(numbers.astype(np.int64), minlength=high)[low:]
    assert counts.size == high - low
    expected = MANY / (high - low)
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < 27.9  # passed once in a thousand samples of nine degrees of freedom


@pytest.mark.parametrize(
    ("low", "high"),
    [(-(2**63), 2**63), (-(2**63), 2**63 - 1), (0, 2**63), (-5, -4), (-(2**40), 2**40)],
)
def test_integers_of_wide_and_negative_ranges(low: int, high: int) -> None:
    numbers = philox.integers(np, (1000,), int64, low, high, 1, 2).tolist()
    words = philox.raw(np, 1000, 1, 2).tolist()
    # At low = -2**63 and a range of 2**64 the words themselves are the numbers, less 2**63.
    assert numbers == [low + word % (high - low) for word in words]


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (uint8, 0, 257),
        (uint8, -1, 4),
        (int8, -129, 0),
        (int32, 0, 2**31 + 1),
        (bool_, 0, 3),
        (float16, 0, 2050),
        (float32, -(2**24) - 1, 0),
        (int64, 0, 2**63 + 1),
    ],
)
def test_integers_that_do_not_fit_are_refused(dtype: DType, low: int, high: int) -> None:
    with pytest.raises(RuntimeError, match=f"must fit in {dtype!r} exactly"):
        philox.integers(np, (2,), dtype, low, high, 0, 0)


def test_integers_refuse_an_empty_range() -> None:
    with pytest.raises(RuntimeError, match="got from=5 >= to=5"):
        philox.integers(np, (2,), int64, 5, 5, 0, 0)


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d.is_complex], ids=lambda d: d.name)
def test_integers_refuse_complex_dtypes(dtype: DType) -> None:
    with pytest.raises(RuntimeError, match=f"real dtype; got {dtype!r}"):
        philox.integers(np, (2,), dtype, 0, 5, 0, 0)


@pytest.mark.parametrize("xp", [np, COMMON], ids=["fast", "common"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 64, 65, 1000])
def test_permutation_has_each_index_once(xp: Any, n: int) -> None:
    order = philox.permutation(xp, n, int64, 1, 2)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, philox.permutation(np, n, int64, 1, 2))


def test_permutation_is_the_order_of_the_words() -> None:
    words = philox.raw(np, 1000, 1, 2)
    assert np.array_equal(philox.permutation(np, 1000, int32, 1, 2), np.argsort(words))


def test_permutation_reaches_every_order_evenly() -> None:
    orders = [tuple(philox.permutation(np, 4, int64, 9, i).tolist()) for i in range(4800)]
    counts = np.array([orders.count(order) for order in sorted(set(orders))])
    assert counts.size == 24
    assert float(((counts - 200) ** 2 / 200).sum()) < 49.7  # once in a thousand, 23 degrees


def test_permutation_needs_a_dtype_that_holds_it() -> None:
    assert philox.permutation(np, 256, uint8, 0, 0).max() == 255
    with pytest.raises(RuntimeError, match=r"must fit in gradwire\.uint8 exactly"):
        philox.permutation(np, 257, uint8, 0, 0)


@pytest.mark.parametrize("p", [1e-4, 0.1, 0.5, 0.9])
def test_bernoulli_frequency(p: float) -> None:
    drawn = philox.bernoulli(np, (MANY,), p, 4, 5)
    assert abs(drawn.mean() - p) < 4 * math.sqrt(p * (1 - p) / MANY)


def test_bernoulli_ends_are_certain() -> None:
    assert not philox.bernoulli(np, (MANY,), 0.0, 4, 5).any()
    assert philox.bernoulli(np, (MANY,), 1.0, 4, 5).all()


def test_bernoulli_compares_at_full_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.array([0, 2**32 - 1, 2**31 - 1, 2**31], dtype=np.uint32).view(np.uint64)
    monkeypatch.setattr(philox, "raw", lambda xp, n, s, o: words[:n])
    expected = {
        2.0**-32: [True, False, False, False],
        1e-300: [True, False, False, False],
        0.5: [True, False, True, False],
        1.0 - 2.0**-32: [True, False, True, True],
        1.0: [True, True, True, True],
    }
    for p, drawn in expected.items():
        assert philox.bernoulli(np, (4,), p, 0, 0).tolist() == drawn, p


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
def test_bernoulli_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(RuntimeError, match=r"expects p to be in \[0, 1\], but got p="):
        philox.bernoulli(np, (4,), p, 0, 0)
