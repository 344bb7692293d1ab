"""What to do with the data utilities, and what PyTorch 2.13 gave for it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["CASES", "f4", "f8", "i8", "plain", "rows", "stream"]

Point = namedtuple("Point", "x y")


def plain(result: Any) -> Any:
    """Write a result with tensors as (dtype, values), so that ours and PyTorch's compare equal."""
    if hasattr(result, "tolist"):
        return str(result.dtype).rpartition(".")[2], result.tolist()
    if isinstance(result, Point):
        return Point(*map(plain, result))
    if isinstance(result, dict):
        return type(result), {key: plain(value) for key, value in result.items()}
    if isinstance(result, list):
        return [plain(value) for value in result]
    if isinstance(result, tuple):
        return tuple(plain(value) for value in result)
    return result


def f4(values: Any) -> Any:
    return "float32", values


def f8(values: Any) -> Any:
    return "float64", values


def i8(values: Any) -> Any:
    return "int64", values


def rows(t: Any, d: Any, count: int = 5) -> Any:
    """Make a data set of `count` rows (i, [10 * i, 10 * i + 1])."""
    tens = [[10 * i, 10 * i + 1] for i in range(count)]
    return d.TensorDataset(t.tensor(list(range(count))), t.tensor(tens))


def stream(d: Any, count: int, sized: bool = False) -> Any:
    class Stream(d.IterableDataset):
        def __iter__(self) -> Iterator[int]:
            return iter(range(count))

    class Sized(Stream):
        def __len__(self) -> int:
            return count

    return Sized() if sized else Stream()


def with_getitems(d: Any) -> Any:
    class AtOnce(d.Dataset):
        def __getitem__(self, index: int) -> int:
            raise AssertionError("asked for one sample at a time")

        def __getitems__(self, indices: list[int]) -> list[int]:
            return [10 * i for i in indices]

        def __len__(self) -> int:
            return 3

    return AtOnce()


# Each: what to do with tensors `t` and the data package `d`, and what PyTorch 2.13 gave.
CASES: dict[str, tuple[Any, Any]] = {
    # data sets
    "row": (lambda t, d: rows(t, d)[2], (i8(2), i8([20, 21]))),
    "rows by list": (lambda t, d: rows(t, d)[[3, 1]], (i8([3, 1]), i8([[30, 31], [10, 11]]))),
    "length": (lambda t, d: len(rows(t, d)), 5),
    "subset": (lambda t, d: d.Subset(rows(t, d), [3, 1])[0], (i8(3), i8([30, 31]))),
    "subset by list": (lambda t, d: d.Subset(rows(t, d), [3, 1])[[1, 0]][0], i8([1, 3])),
    "subset slice": (lambda t, d: d.Subset(rows(t, d), [3, 1])[:2][0], i8([3, 1])),
    "concat": (lambda t, d: [d.ConcatDataset([[1], [], [2, 3]])[i] for i in (0, 2, -1, -3)],
               [1, 3, 3, 1]),
    "concat sizes": (lambda t, d: d.ConcatDataset([[1], [], [2, 3]]).cumulative_sizes, [1, 1, 3]),
    "sum": (lambda t, d: len(rows(t, d) + rows(t, d)), 10),
    "sum of streams": (lambda t, d: list(stream(d, 2) + stream(d, 3)), [0, 1, 0, 1, 2]),
    "length of streams": (lambda t, d: len(stream(d, 2, True) + stream(d, 3, True)), 5),
    # splits
    "counts": (lambda t, d: [len(s) for s in d.random_split(range(5), [3, 2])], [3, 2]),
    "halves": (lambda t, d: [len(s) for s in d.random_split(range(5), [0.5, 0.5])], [3, 2]),
    "thirds": (lambda t, d: [len(s) for s in d.random_split(range(10), [0.33, 0.33, 0.34])],
               [4, 3, 3]),
    "one is a fraction": (lambda t, d: [len(s) for s in d.random_split(range(5), [1])], [5]),
    "split is disjoint": (
        lambda t, d: sorted(i for s in d.random_split(range(9), [4, 0, 5]) for i in s),
        list(range(9)),
    ),
    # samplers
    "sequential": (lambda t, d: list(d.SequentialSampler("abc")), [0, 1, 2]),
    "permutation": (lambda t, d: sorted(d.RandomSampler(range(4))), [0, 1, 2, 3]),
    "two permutations": (
        lambda t, d: sorted(list(d.RandomSampler(range(3), num_samples=7))[:6]),
        [0, 0, 1, 1, 2, 2],
    ),
    "fewer than all": (lambda t, d: len(set(d.RandomSampler(range(9), num_samples=4))), 4),
    "draws": (lambda t, d: list(d.RandomSampler([7], replacement=True, num_samples=3)), [0, 0, 0]),
    "sampler length": (lambda t, d: len(d.RandomSampler([1, 2], num_samples=5)), 5),
    "batches": (lambda t, d: list(d.BatchSampler(range(5), 2, False)), [[0, 1], [2, 3], [4]]),
    "whole batches": (lambda t, d: list(d.BatchSampler(range(5), 2, True)), [[0, 1], [2, 3]]),
    "batch counts": (
        lambda t, d: [len(d.BatchSampler(range(n), 2, b)) for n in (0, 4, 5) for b in (True, False)],
        [0, 0, 2, 2, 2, 3],
    ),
    # collation
    "ints": (lambda t, d: d.default_collate([1, 2]), i8([1, 2])),
    "floats": (lambda t, d: d.default_collate([1.0, 2]), f8([1, 2])),
    "bools": (lambda t, d: d.default_collate([True, False]), ("bool", [True, False])),
    "text": (lambda t, d: d.default_collate(["a", "b"]), ["a", "b"]),
    "bytes": (lambda t, d: d.default_collate([b"a", b"b"]), [b"a", b"b"]),
    "numpy text": (lambda t, d: type(d.default_collate([np.str_("a")])), list),
    "tensors": (lambda t, d: d.default_collate([t.tensor([1.0]), t.tensor([2.0])]),
                f4([[1], [2]])),
    "arrays": (lambda t, d: d.default_collate([np.ones(2), np.zeros(2)]), f8([[1, 1], [0, 0]])),
    "numpy numbers": (lambda t, d: d.default_collate([np.float32(1), np.float32(2)]), f4([1, 2])),
    "tuples": (lambda t, d: d.default_collate([(1, 2.0), (3, 4.0)]), [i8([1, 3]), f8([2, 4])]),
    "lists": (lambda t, d: d.default_collate([[1, "a"], [3, "b"]]), [i8([1, 3]), ("a", "b")]),
    "ranges": (lambda t, d: d.default_collate([range(2), range(2)]), [i8([0, 0]), i8([1, 1])]),
    "empty lists": (lambda t, d: d.default_collate([[], []]), []),
    "named tuples": (lambda t, d: d.default_collate([Point(1, 2), Point(3, 4)]),
                     Point(i8([1, 3]), i8([2, 4]))),
    "dicts": (lambda t, d: d.default_collate([{"a": 1, "b": [2]}, {"a": 3, "b": [4], "c": 5}]),
              (dict, {"a": i8([1, 3]), "b": [i8([2, 4])]})),
    "ordered dicts": (lambda t, d: d.default_collate([OrderedDict(a=1)]),
                      (OrderedDict, {"a": i8([1])})),
    "default dicts": (lambda t, d: d.default_collate([defaultdict(list, a=1)]),
                      (defaultdict, {"a": i8([1])})),
    "convert": (
        lambda t, d: d.default_convert({"a": np.ones(1), "b": (1, "x", np.float64(3))}),
        (dict, {"a": f8([1]), "b": [1, "x", f8(3)]}),
    ),
    "convert text": (lambda t, d: d.default_convert([np.array(["a"])])[0].dtype.kind, "U"),
    # loaders
    "loader": (
        lambda t, d: list(d.DataLoader(rows(t, d, 3), batch_size=2)),
        [[i8([0, 1]), i8([[0, 1], [10, 11]])], [i8([2]), i8([[20, 21]])]],
    ),
    "batches of one": (lambda t, d: list(d.DataLoader([5, 6])), [i8([5]), i8([6])]),
    "drop_last": (lambda t, d: list(d.DataLoader(range(5), 2, drop_last=True)),
                  [i8([0, 1]), i8([2, 3])]),
    "sampler": (lambda t, d: list(d.DataLoader(range(5), 2, sampler=[4, 0, 2])),
                [i8([4, 0]), i8([2])]),
    "sampler beside shuffle=False": (
        lambda t, d: list(d.DataLoader(range(5), 2, shuffle=False, sampler=[4])), [i8([4])]),
    "batch_sampler": (lambda t, d: list(d.DataLoader(range(5), batch_sampler=[[4, 0], [2]])),
                      [i8([4, 0]), i8([2])]),
    "batch_sampler of rows": (
        lambda t, d: list(d.DataLoader(rows(t, d), batch_sampler=[[4, -5], (2,)])),
        [[i8([4, 0]), i8([[40, 41], [0, 1]])], [i8([2]), i8([[20, 21]])]],
    ),
    "collate_fn": (lambda t, d: list(d.DataLoader(range(3), 2, collate_fn=sum)), [1, 2]),
    "no batches": (lambda t, d: list(d.DataLoader([1, np.ones(1)], batch_size=None)), [1, f8([1])]),
    "no batches of rows": (lambda t, d: next(iter(d.DataLoader(rows(t, d), batch_size=None))),
                           [i8(0), i8([0, 1])]),
    "keys": (lambda t, d: list(d.DataLoader({"a": 1}, sampler=["a"])), [i8([1])]),
    "at once": (lambda t, d: list(d.DataLoader(with_getitems(d), 2)), [i8([0, 10]), i8([20])]),
    "subset at once": (lambda t, d: list(d.DataLoader(d.Subset(with_getitems(d), [2, 1]), 2)),
                       [i8([20, 10])]),
    "shuffled": (
        lambda t, d: sorted(i for b in d.DataLoader(range(7), 3, shuffle=True) for i in b.tolist()),
        list(range(7)),
    ),
    "stream": (lambda t, d: list(d.DataLoader(stream(d, 3), 2)), [i8([0, 1]), i8([2])]),
    "stream dropping": (lambda t, d: list(d.DataLoader(stream(d, 3), 2, drop_last=True)),
                        [i8([0, 1])]),
    "stream unbatched": (lambda t, d: list(d.DataLoader(stream(d, 3), batch_size=None)), [0, 1, 2]),
    "nothing": (lambda t, d: list(d.DataLoader([])), []),
    "loader length": (lambda t, d: [len(d.DataLoader(range(5), n)) for n in (None, 1, 2, 5, 9)],
                      [5, 5, 3, 1, 1]),
    "stream length": (
        lambda t, d: [len(d.DataLoader(stream(d, 5, True), n, drop_last=b))
                      for n, b in ((None, False), (2, False), (2, True))],
        [5, 3, 2],
    ),
    "attributes": (
        lambda t, d: [getattr(d.DataLoader(range(5), 2), n) for n in ("batch_size", "drop_last")],
        [2, False],
    ),
}  # fmt: skip
