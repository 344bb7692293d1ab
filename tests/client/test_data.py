"""Data sets, samplers, collation and the DataLoader: what PyTorch gives, and in how many calls.

Tensors are small stand-ins over numpy here, so that nothing needs a worker and indexing can be
counted; each case can run in PyTorch as well, where the `parity` tests hold it against the original.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradwire.utils import data as gradwire_data

Point = namedtuple("Point", "x y")


class HostTensor:
    """As much of a tensor as data utilities use."""

    def __init__(self, values: Any, dtype: Any = None) -> None:
        self.values = np.array(values, dtype)
        if self.values.dtype == np.float64 and not isinstance(values, np.ndarray) and dtype is None:
            self.values = self.values.astype(np.float32)
        self.indexings: list[Any] = []

    @property
    def dtype(self) -> str:
        return str(self.values.dtype)

    def size(self, dim: int) -> int:
        return self.values.shape[dim]

    def tolist(self) -> Any:
        return self.values.tolist()

    def __getitem__(self, index: Any) -> HostTensor:
        self.indexings.append(index)
        return HostTensor(self.values[index])


def stack(tensors: list[HostTensor]) -> HostTensor:
    shapes = [list(tensor.values.shape) for tensor in tensors]
    for entry, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {shapes[0]} at entry 0 "
                f"and {shape} at entry {entry}"
            )
    return HostTensor(np.stack([tensor.values for tensor in tensors]))


def randperm(n: int, *, generator: np.random.Generator | None = None) -> HostTensor:
    return HostTensor((generator or np.random.default_rng()).permutation(n))


def randint(low: int, high: int, size: Any, *, generator: Any = None) -> HostTensor:
    return HostTensor((generator or np.random.default_rng()).integers(low, high, size))


HOST = SimpleNamespace(
    Tensor=HostTensor,
    tensor=HostTensor,
    stack=stack,
    randperm=randperm,
    randint=randint,
    float64=np.float64,
)


@pytest.fixture(autouse=True)
def _host_tensors(monkeypatch):
    package = import_module("gradwire")
    for name, value in vars(HOST).items():
        monkeypatch.setattr(package, name, value, raising=False)


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


@pytest.mark.parametrize("name", CASES)
def test_gives_what_pytorch_gave(name):
    act, expected = CASES[name]
    assert plain(act(HOST, gradwire_data)) == expected


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:Length of split")
def test_cases_are_what_pytorch_gives_now(name):
    torch = pytest.importorskip("torch")
    act, expected = CASES[name]
    assert plain(act(torch, torch.utils.data)) == expected


# Each: what to do, the class that PyTorch raises, and words that both messages have.
REFUSALS: dict[str, tuple[Any, type[Exception], str]] = {
    "unequal tensors": (lambda t, d: d.TensorDataset(t.tensor([1]), t.tensor([1, 2])),
                        AssertionError, "Size mismatch between tensors"),
    "no __getitem__": (lambda t, d: d.Dataset()[0], NotImplementedError, "implement __getitem__"),
    "no length": (lambda t, d: len(stream(d, 3)), TypeError, "has no len"),
    "no data sets": (lambda t, d: d.ConcatDataset([]), AssertionError, "not be an empty iterable"),
    "joined stream": (lambda t, d: d.ConcatDataset([stream(d, 1)]), AssertionError,
                      "does not support IterableDataset"),
    "below": (lambda t, d: d.ConcatDataset([[1], [2]])[-3], ValueError,
              "absolute value of index should not exceed dataset length"),
    "above": (lambda t, d: d.ConcatDataset([[1], [2]])[2], IndexError, "out of range"),
    "chained rows": (lambda t, d: list(stream(d, 1) + rows(t, d)), AssertionError,
                     "only supports IterableDataset"),
    "split sum": (lambda t, d: d.random_split(range(5), [3, 3]), ValueError,
                  "Sum of input lengths does not equal"),
    "split fractions": (lambda t, d: d.random_split(range(5), [0.5, 0.4]), ValueError,
                        "Sum of input lengths does not equal"),
    "split of more": (lambda t, d: d.random_split(range(5), [1.5, -0.5]), ValueError,
                      "Fraction at index 0 is not between 0 and 1"),
    "nothing to draw": (lambda t, d: d.RandomSampler([]), ValueError, "num_samples=0"),
    "no samples": (lambda t, d: d.RandomSampler([1], num_samples=0), ValueError, "num_samples=0"),
    "half samples": (lambda t, d: d.RandomSampler([1], num_samples=2.5), ValueError,
                     "num_samples=2.5"),
    "replacement": (lambda t, d: d.RandomSampler([1], replacement=1), TypeError, "replacement=1"),
    "batch size": (lambda t, d: d.BatchSampler([1], 0, False), ValueError, "batch_size=0"),
    "boolean size": (lambda t, d: d.BatchSampler([1], True, False), ValueError, "batch_size=True"),
    "drop_last": (lambda t, d: d.BatchSampler([1], 1, 1), ValueError, "drop_last=1"),
    "None": (lambda t, d: d.default_collate([None]), TypeError,
             "must contain tensors, numpy arrays, numbers, dicts or lists; found"),
    "object array": (lambda t, d: d.default_collate([np.array([None])]), TypeError, "found object"),
    "empty batch": (lambda t, d: d.default_collate([]), IndexError, "out of range"),
    "unequal lists": (lambda t, d: d.default_collate([(1, 2), (3,)]), RuntimeError,
                      "each element in list of batch should be of equal size"),
    "unequal arrays": (lambda t, d: d.default_collate([np.ones(2), np.ones(3)]), RuntimeError,
                       r"stack expects .* got \[2\] at entry 0 and \[3\] at entry 1"),
    "unequal rows": (lambda t, d: d.default_collate([t.tensor([1]), t.tensor([1, 2])]),
                     RuntimeError, r"stack expects .* got \[1\] at entry 0 and \[2\] at entry 1"),
    "missing key": (lambda t, d: d.default_collate([{"a": 1}, {"b": 1}]), KeyError, "a"),
    "sampler and shuffle": (lambda t, d: d.DataLoader([1], shuffle=True, sampler=[0]), ValueError,
                            "sampler option is mutually exclusive with shuffle"),
    "batch_sampler and size": (
        lambda t, d: d.DataLoader([1], 2, batch_sampler=[[0]]), ValueError,
        "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop"),
    "batch_sampler and drop_last": (
        lambda t, d: d.DataLoader([1], batch_sampler=[[0]], drop_last=True), ValueError,
        "batch_sampler option is mutually exclusive"),
    "no batch to drop": (lambda t, d: d.DataLoader([1], None, drop_last=True), ValueError,
                         "batch_size=None option disables auto-batching"),
    "loader batch size": (lambda t, d: d.DataLoader([1], 2.5), ValueError, "batch_size=2.5"),
    "shuffled nothing": (lambda t, d: d.DataLoader([], shuffle=True), ValueError, "num_samples=0"),
    "shuffled stream": (lambda t, d: d.DataLoader(stream(d, 1), shuffle=True), ValueError,
                        "expected unspecified shuffle option, but got shuffle=True"),
    "sampled stream": (lambda t, d: d.DataLoader(stream(d, 1), sampler=[1]), ValueError,
                       r"expected unspecified sampler option, but got sampler=\[1\]"),
    "batch-sampled stream": (lambda t, d: d.DataLoader(stream(d, 1), batch_sampler=[[1]]),
                             ValueError, "expected unspecified batch_sampler option"),
    "length of a stream": (lambda t, d: len(d.DataLoader(stream(d, 1), 2)), TypeError, "no len"),
    "empty indices": (lambda t, d: list(d.DataLoader(rows(t, d), batch_sampler=[[]])),
                      IndexError, "out of range"),
    "index out of range": (lambda t, d: list(d.DataLoader(rows(t, d), batch_sampler=[[0, 7]])),
                           IndexError, "7 is out of bounds"),
    "set later": (lambda t, d: setattr(d.DataLoader([1]), "batch_size", 2), ValueError,
                  "batch_size attribute should not be set after DataLoader is initialized"),
    "negative workers": (lambda t, d: d.DataLoader([1], num_workers=-1), ValueError,
                         "num_workers"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_refuses_what_pytorch_refuses(name):
    act, error, words = REFUSALS[name]
    with pytest.raises(error, match=words):
        act(HOST, gradwire_data)


@pytest.mark.parity
@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_are_those_of_pytorch_now(name):
    torch = pytest.importorskip("torch")
    act, error, words = REFUSALS[name]
    with pytest.raises(error, match=words):
        act(torch, torch.utils.data)


# ---------------------------------------------------------------- ours alone
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_batch_of_a_tensor_dataset_is_one_indexing_per_tensor(depth):
    dataset: Any = rows(HOST, gradwire_data)
    for _ in range(depth):
        dataset = gradwire_data.Subset(dataset, [4, 3, 2, 1, 0])
    first = [0, 1, 2] if depth % 2 == 0 else [4, 3, 2]
    last = [3, 4] if depth % 2 == 0 else [1, 0]
    tensors = rows(HOST, gradwire_data).tensors
    innermost = dataset
    while isinstance(innermost, gradwire_data.Subset):
        innermost = innermost.dataset
    innermost.tensors = tensors
    batches = list(gradwire_data.DataLoader(dataset, batch_size=3))
    assert [tensor.indexings for tensor in tensors] == [[first, last]] * 2
    assert plain(batches[0][0]) == i8(first)


def test_a_subclass_of_tensor_dataset_is_asked_row_by_row():
    class Doubled(gradwire_data.TensorDataset):
        def __getitem__(self, index):
            return tuple(2 * row.values for row in super().__getitem__(index))

    dataset = Doubled(HostTensor([1, 2]))
    assert plain(list(gradwire_data.DataLoader(dataset, 2))) == [[i8([2, 4])]]


def test_each_pass_shuffles_anew_and_a_generator_repeats_it():
    def passes(seed):
        loader = gradwire_data.DataLoader(range(50), 7, shuffle=True, generator=np.random.default_rng(seed))
        return [plain(list(loader)) for _ in range(2)]

    assert passes(0) == passes(0)
    assert passes(0) != passes(1)
    assert passes(0)[0] != passes(0)[1]


def test_a_generator_repeats_a_split_and_draws():
    def drawn(seed):
        generator = np.random.default_rng(seed)
        split = gradwire_data.random_split(range(20), [0.5, 0.5], generator)
        sampler = gradwire_data.RandomSampler(range(20), True, 30, generator)
        return split[0].indices, list(sampler)

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_many_draws_come_in_few_requests(monkeypatch):
    sizes = []

    def counted(low, high, size, *, generator=None):
        sizes.append(size)
        return randint(low, high, size, generator=generator)

    monkeypatch.setattr(import_module("gradwire"), "randint", counted)
    sampler = gradwire_data.RandomSampler(range(3), replacement=True, num_samples=100_000)
    assert len(list(sampler)) == 100_000
    assert sizes == [(65_536,), (65_536,)]


def test_an_empty_split_is_warned_about():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as caught:
        gradwire_data.random_split(range(1), [0.5, 0.5])
    assert caught[0].filename == __file__


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="counts that add up to 5"):
        gradwire_data.random_split(range(5), [6, -1])


def test_worker_processes_are_refused_with_what_to_do_instead():
    with pytest.raises(ValueError, match=r"needs num_workers=0.*got num_workers=2; leave it out"):
        gradwire_data.DataLoader([1], num_workers=2)
    with pytest.raises(TypeError, match="pin_memory"):
        gradwire_data.DataLoader([1], pin_memory=True)


def test_a_failed_setting_leaves_the_loader_as_it_was():
    loader = gradwire_data.DataLoader([1, 2], 2)
    with pytest.raises(ValueError, match="make a new DataLoader"):
        loader.drop_last = True
    loader.collate_fn = sum
    assert (loader.drop_last, list(loader)) == (False, [3])
