"""Data sets, samplers, collation and the DataLoader: what PyTorch gives, and in how many calls.

Tensors are small stand-ins over numpy here, so that nothing needs a worker and indexing can be
counted; each case can run in PyTorch as well, where the `parity` tests hold it against the original.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from gradwire.utils import data as gradwire_data
from tests.client.data_cases import CASES, i8, plain, rows, stream
from tests.client.host_tensors import HOST, HostTensor, randint


@pytest.fixture(autouse=True)
def _host_tensors(monkeypatch):
    package = import_module("gradwire")
    for name, value in vars(HOST).items():
        monkeypatch.setattr(package, name, value, raising=False)


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


def test_a_failed_setting_leaves_the_loader_as_it_was():
    loader = gradwire_data.DataLoader([1, 2], 2)
    with pytest.raises(ValueError, match="make a new DataLoader"):
        loader.drop_last = True
    loader.collate_fn = sum
    assert (loader.drop_last, list(loader)) == (False, [3])
