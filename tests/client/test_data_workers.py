"""Reading ahead in threads, and the samplers and data sets beside it. Every test with `t` also runs with PyTorch."""

from __future__ import annotations

import time
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire.utils import data
from tests.client.graphs import refusal


class Squares(data.Dataset):
    def __init__(self, count: int, slow: float = 0.0) -> None:
        self.count, self.slow, self.opened = count, slow, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        time.sleep(self.slow * (index % 3))
        return index * index


class Numbers(data.IterableDataset):
    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def __iter__(self) -> Any:
        return iter(range(self.start, self.end))


def share(worker_id: int) -> None:
    """PyTorch's documented example of a worker_init_fn."""
    info = data.get_worker_info()
    assert info is not None
    assert info.id == worker_id
    dataset = info.dataset
    each = -(-(dataset.end - dataset.start) // info.num_workers)
    start, end = dataset.start, dataset.end
    dataset.start = start + worker_id * each
    dataset.end = min(dataset.start + each, end)


def lists(loader: Any) -> list[Any]:
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("prefetch", [None, 1, 4])
def test_batches_come_in_order(session: Session, workers: int, prefetch: int | None) -> None:
    loader = data.DataLoader(Squares(10, 0.001), 3, num_workers=workers, prefetch_factor=prefetch, pin_memory=True)
    assert lists(loader) == lists(loader) == lists(data.DataLoader(Squares(10), 3))
    single = data.DataLoader(Squares(4), batch_size=None, num_workers=workers)
    assert list(single) == [0, 1, 4, 9]


def test_streams_take_turns_and_can_be_shared_out(session: Session) -> None:
    both = data.DataLoader(Numbers(0, 3), 2, num_workers=2)
    assert lists(both) == [[0, 1], [0, 1], [2], [2]]
    dataset = Numbers(3, 10)
    shared = data.DataLoader(dataset, num_workers=3, worker_init_fn=share)
    assert sorted(map(sum, lists(shared))) == sorted(map(sum, lists(shared))) == list(range(3, 10))
    assert (dataset.start, dataset.end) == (3, 10)


def test_workers_know_themselves(session: Session) -> None:
    class Who(Squares):
        def __getitem__(self, index: int) -> Any:
            info = data.get_worker_info()
            return (info.id, info.num_workers, info.seed, gw.initial_seed(), info.dataset is self, gw.rand(1).item())

    gw.manual_seed(3)
    loader = data.DataLoader(Who(4), num_workers=2, collate_fn=lambda samples: samples[0], persistent_workers=True)
    first = list(loader)
    assert [row[:2] for row in first] == [(0, 2), (1, 2), (0, 2), (1, 2)]
    assert all(row[2] == row[3] and row[4] for row in first)
    assert len({row[5] for row in first}) == 4
    assert [row[2] for row in loader] == [row[2] for row in first]
    assert data.get_worker_info() is None
    before = gw.rand(1).item()
    gw.manual_seed(3)
    again = data.DataLoader(Who(4), num_workers=2, collate_fn=lambda samples: samples[0])
    assert list(again) == first
    assert gw.rand(1).item() == before


def test_a_failing_sample_is_raised_where_its_batch_is_due(session: Session) -> None:
    class Broken(Squares):
        def __getitem__(self, index: int) -> int:
            if index == 2:
                raise KeyError("bad sample")
            return index

    batches = iter(data.DataLoader(Broken(4), num_workers=2))
    assert [next(batches).item(), next(batches).item()] == [0, 1]
    with pytest.raises(KeyError, match="bad sample") as caught:
        next(batches)
    assert caught.value.__notes__ == ["Caught in DataLoader worker 0 (a thread)."]
    failing = data.DataLoader(Squares(2), num_workers=1, worker_init_fn=lambda worker: 1 // worker)
    assert "ZeroDivisionError" in refusal(lambda: list(failing))
    slow = data.DataLoader(Squares(3, 0.2), num_workers=1, timeout=0.05)
    assert refusal(lambda: list(slow)) == "RuntimeError: DataLoader timed out after 0.05 seconds"


def test_options_that_cannot_be(t: Any) -> None:
    loader = t.utils.data.DataLoader
    for options in (
        {"num_workers": -1}, {"prefetch_factor": 2}, {"persistent_workers": True}, {"timeout": -1},
        {"num_workers": 1, "prefetch_factor": -1}, {"num_workers": 1, "multiprocessing_context": "nonsense"},
    ):  # fmt: skip
        assert refusal(lambda options=options: loader([1], **options)).startswith("ValueError: ")
    assert (loader([1]).prefetch_factor, loader([1], num_workers=1).prefetch_factor) == (None, 2)


# ---------------------------------------------------------------- samplers and data sets
def test_samplers_of_subsets_and_weights(t: Any) -> None:
    d = t.utils.data
    t.manual_seed(0)
    subset = d.SubsetRandomSampler([5, 7, 9])
    assert (sorted(subset), len(subset)) == ([5, 7, 9], 3)
    assert list(d.WeightedRandomSampler([0, 0, 1.0], 4)) == [2, 2, 2, 2]
    drawn = list(d.WeightedRandomSampler([1.0, 0.0, 3.0], 4000))
    assert 0.7 < drawn.count(2) / 4000 < 0.8
    assert drawn.count(1) == 0
    firsts = [next(iter(d.WeightedRandomSampler([1.0, 3.0], 2, replacement=False))) for _ in range(100)]
    assert 55 < sum(firsts) < 92
    assert sorted(d.WeightedRandomSampler(t.tensor([1.0, 2.0, 3.0]), 3, replacement=False)) == [0, 1, 2]
    for make in (
        lambda: d.WeightedRandomSampler([1, 2], 0),
        lambda: d.WeightedRandomSampler([1, 2], 2, replacement=3),
        lambda: d.WeightedRandomSampler([[1, 2]], 2),
    ):
        assert refusal(make).startswith("ValueError: ")


def test_data_sets_side_by_side(t: Any) -> None:
    stack = t.utils.data.StackDataset
    assert (stack([1, 2], [3, 4])[0], stack(a=[1, 2], b=[3, 4])[1], len(stack([1, 2]))) == ((1, 3), {"a": 2, "b": 4}, 2)
    assert refusal(lambda: stack([1], [1, 2])) == "ValueError: Size mismatch between datasets"
    assert refusal(stack) == "ValueError: At least one dataset should be passed"


@pytest.mark.parametrize(("count", "replicas"), [(10, 3), (2, 5), (9, 3)])
@pytest.mark.parametrize("drop_last", [False, True])
def test_a_data_set_is_shared_out(t: Any, count: int, replicas: int, drop_last: bool) -> None:
    made = t.utils.data.DistributedSampler
    shares = [list(made(range(count), replicas, rank, shuffle=False, drop_last=drop_last)) for rank in range(replicas)]
    each = count // replicas if drop_last else -(-count // replicas)
    assert shares == [[(rank + i * replicas) % count for i in range(each)] for rank in range(replicas)]
    samplers = [made(range(9), 3, rank, seed=5) for rank in range(3)]
    assert sorted(index for sampler in samplers for index in sampler) == list(range(9))
    before = [list(sampler) for sampler in samplers]
    for sampler in samplers:
        sampler.set_epoch(1)
    assert [list(sampler) for sampler in samplers] != before
    assert refusal(lambda: made(range(9), 3, 3)) == "ValueError: Invalid rank 3, rank should be in the interval [0, 2]"


def test_every_form_of_randint(t: Any) -> None:
    for made in (
        t.randint(3, (5,)),
        t.randint(3, size=(5,)),
        t.randint(0, 3, (5,)),
        t.randint(0, 3, size=(5,)),
        t.randint(high=3, size=(5,)),
        t.randint(low=0, high=3, size=(5,)),
    ):
        assert set(made.tolist()) <= {0, 1, 2}
