"""Which workers a client gets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gradwire_pool.placement import Candidate, Refusal, Request, place

GIB = 1 << 30


def worker(name: str, **changes: object) -> Candidate:
    usual = {"node": "a", "device": "cpu", "lease_count": 0, "busy": 0.0, "free_memory_bytes": 8 * GIB}
    return Candidate(name=name, **{**usual, **changes})  # type: ignore[arg-type]


def refused(found: object) -> str:
    assert isinstance(found, Refusal)
    return found.words


def test_fewest_leases_come_first_then_the_least_busy_then_the_most_memory() -> None:
    found = [
        worker("w0", lease_count=1),
        worker("w1", busy=0.9),
        worker("w2", free_memory_bytes=4 * GIB),
        worker("w3"),
    ]
    assert place(found, Request(4)) == ("w3", "w2", "w1", "w0")


def test_several_come_from_one_node_where_that_costs_no_lease_more() -> None:
    found = [worker("w0", node="a"), worker("w1", node="b", busy=0.5), worker("w2", node="b", busy=0.5)]
    assert place(found, Request(2)) == ("w1", "w2")
    busier = [worker("w0", node="a"), worker("w1", node="b"), worker("w2", node="b", lease_count=1)]
    assert place(busier, Request(2)) == ("w0", "w1")


def test_workers_of_a_cpu_node_share_its_memory_and_gpus_do_not() -> None:
    request = Request(2, memory_bytes=5 * GIB)
    assert "2 workers with 5,368,709,120 bytes free each" in refused(place([worker("w0"), worker("w1")], request))
    assert place([worker("w0", device="cuda:0"), worker("w1", device="cuda:0")], request) == ("w0", "w1")
    assert place([worker("w0"), worker("w1"), worker("w2", node="b")], request) == ("w0", "w2")


def test_an_exclusive_worker_is_nobody_elses() -> None:
    assert place([worker("w0", is_exclusive=True), worker("w1", lease_count=3)], Request(1)) == ("w1",)
    words = refused(place([worker("w0", lease_count=1), worker("w1", is_exclusive=True)], Request(1, exclusive=True)))
    assert words == (
        "a lease needs 1 worker of its own; the pool serves on 2, of which 0 would suit and 1 are lent exclusively; ask for "
        "less, wait, or add workers with: gradwire pool scale N"
    )


def test_a_device_is_asked_for_by_kind() -> None:
    assert place([worker("w0"), worker("w1", device="cuda:0", lease_count=9)], Request(1, device="cuda")) == ("w1",)
    assert "at least 1 worker; got 0" in refused(place([worker("w0")], Request(0)))


candidates = st.lists(
    st.builds(
        worker,
        st.integers(0, 99).map("w{}".format),
        node=st.sampled_from("abc"),
        device=st.sampled_from(("cpu", "cuda:0")),
        lease_count=st.integers(0, 3),
        busy=st.floats(0, 1),
        free_memory_bytes=st.integers(0, 4).map(lambda n: n * GIB),
        is_exclusive=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda c: c.name,
)
requests = st.builds(
    Request,
    st.integers(1, 4),
    st.sampled_from(("", "cpu", "cuda")),
    st.integers(0, 3).map(lambda n: n * GIB),
    st.booleans(),
)


@given(candidates, requests)
def test_whatever_is_chosen_fits_together(found: list[Candidate], request: Request) -> None:
    chosen = place(found, request)
    if isinstance(chosen, Refusal):
        return
    by_name = {c.name: c for c in found}
    members = [by_name[name] for name in chosen]
    assert len(set(chosen)) == request.workers
    assert not any(c.is_exclusive or (request.exclusive and c.lease_count) for c in members)
    assert all(request.device in ("", c.kind) for c in members)
    for memory in {c.memory for c in members}:
        asked = request.memory_bytes * sum(c.memory == memory for c in members)
        # Figures of one node differ between its workers' announcements; the first chosen one's is what was counted with.
        assert asked <= max(c.free_memory_bytes for c in members if c.memory == memory)


@given(candidates, requests)
def test_the_order_of_the_candidates_does_not_matter(found: list[Candidate], request: Request) -> None:
    assert place(found, request) == place(found[::-1], request)
