"""`gradwire.profile`: what it counts by line, whom it says the worker waited for, what it says, draws and exports."""

from __future__ import annotations

import gzip
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gradwire as gw
from gradwire import nn
from gradwire import session as sessions
from gradwire.profiling.clocks import Offset, Trip, estimate
from gradwire.profiling.findings import findings
from gradwire.profiling.functions import FunctionCost
from gradwire.profiling.places import Place, expression, place_of
from gradwire.profiling.profiled_block import Profile
from gradwire.profiling.recorder import Batch, Called, Recorder, Wait
from gradwire.profiling.summary import LineCost, Summary
from gradwire.profiling.text import bytes_text, ms
from gradwire.profiling.timeline import Timeline
from gradwire_protocol.v1 import call_pb2, worker_pb2
from tests.support import Loopback, open_loopback

# The worker's clock of these tests is this far ahead: nothing may be right by chance.
AHEAD_NS = 5_000_000_000


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A current session whose worker has a clock of its own."""
    previous = sessions._current
    opened, made = open_loopback()
    made.worker._clock = lambda: time.perf_counter_ns() + AHEAD_NS
    sessions.use(opened)
    yield made
    sessions._current = previous


def line_of(profile: Profile, text: str) -> LineCost:
    """Return the costs of the one line that has this text."""
    (found,) = [line for line in profile.summary.lines if text in line.place.text]
    return found


def small_training(steps: int = 4) -> Profile:
    """Train a little with a wait in each step."""
    model = nn.Linear(8, 3)
    optimizer = gw.optim.SGD(model.parameters(), lr=0.1)
    inputs = gw.randn(16, 8)
    with gw.profile() as p:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = model(inputs).square().mean()
            loss.backward()
            optimizer.step()
            loss.item()
    return p


# -- what is counted ---------------------------------------------------------------------------------------------------


def test_each_line_has_its_calls_and_waits(loopback: Loopback) -> None:
    p = small_training()
    read = line_of(p, "loss.item()")
    assert (read.calls, read.waits, read.waits_for, read.expression) == (4, 4, "a value", "loss.item()")
    assert read.wait_seconds > 0
    assert read.received_bytes > 0
    backward = line_of(p, "loss.backward()")
    assert (backward.calls, backward.waits) == (4, 0)
    assert line_of(p, "model(inputs)").worker_seconds > 0


def test_it_adds_up_to_what_the_session_counts(loopback: Loopback) -> None:
    x = gw.randn(4)
    session = sessions.current()
    with gw.profile() as p:
        before = session.statistics()
        for _ in range(300):
            x = x + 1
        x.sum().item()
        session.flush()  # what was released
        after = session.statistics()
    total = p.summary
    assert total.calls == after.calls - before.calls == 302
    assert total.messages == after.messages - before.messages
    assert total.waits == 1
    assert total.sent_bytes == pytest.approx(after.sent_bytes - before.sent_bytes, abs=len(total.lines))
    assert total.worker_seconds + total.idle_seconds == pytest.approx(total.wall_seconds)
    assert sum(line.worker_seconds for line in total.lines) <= total.worker_seconds


def test_the_elements_of_a_tensor_count_for_the_line_that_sends_them(loopback: Loopback) -> None:
    with gw.profile() as p:
        small = gw.tensor([0.0] * 1000)
        large = gw.zeros(300_000).numpy()
        gw.from_numpy(large)
        small.sum().item()
    assert 4000 < line_of(p, "gw.tensor([0.0]").sent_bytes < 4200
    assert line_of(p, "gw.zeros(300_000)").received_bytes > 1_200_000
    assert line_of(p, "gw.from_numpy(large)").sent_bytes > 1_200_000


def test_a_worker_measures_only_for_a_client_that_profiles(loopback: Loopback) -> None:
    readings = []
    loopback.worker._clock = lambda: readings.append(0) or time.perf_counter_ns()
    gw.randn(3).sum().item()
    assert readings == []
    with gw.profile():
        gw.randn(3).sum().item()
    assert readings
    loopback.sent.clear()
    gw.randn(3).sum().item()
    assert [worker_pb2.ClientFrame.FromString(sent).batch.profile for sent in loopback.sent] == [False] * len(
        loopback.sent
    )


def test_a_program_counts_with_its_function_and_why_it_did_not_run(loopback: Loopback) -> None:
    @gw.compile
    def double(x: Any) -> Any:
        return x * 2

    x = gw.randn(4)
    with gw.profile() as p:
        for _ in range(5):
            double(x)
        double(gw.randn(5)).sum().item()
    (cost,) = p.functions
    assert (cost.hits, cost.recordings, cost.eager_calls) == (3, 3, 0)
    reasons = dict(cost.reasons)
    assert reasons.pop("the first call") == reasons.pop("recorded again, to see that it repeats") == 1
    (new,) = reasons
    assert new.startswith("a new kind of arguments: argument 0: float32[4] became float32[5]")
    assert line_of(p, "double(x)").programs == 3
    assert [op.calls for op in p.summary.ops if op.op.startswith("program of ") and op.op.endswith("double")] == [3]


def test_a_failure_is_left_to_the_next_wait(loopback: Loopback) -> None:
    with gw.profile() as p:
        gw.arange(3).index_select(0, gw.tensor([7]))
    assert p.summary.calls >= 2
    with pytest.raises(IndexError, match="test_profile.py"):
        sessions.current().wait()


def test_an_error_in_the_block_ends_the_profile(loopback: Loopback) -> None:
    with pytest.raises(KeyError), gw.profile() as p:
        gw.ones(3)
        raise KeyError("mine")
    assert p.summary.calls == 1
    assert sessions.current().profiler is None


def test_a_session_has_one_profile_at_a_time_and_a_profile_one_run(loopback: Loopback) -> None:
    with gw.profile() as p:
        with pytest.raises(RuntimeError, match="one profile at a time"), gw.profile():
            pass
        with pytest.raises(RuntimeError, match="when it has ended"):
            p.table()
    with pytest.raises(RuntimeError, match="a profile runs once"), p:
        pass
    assert "0 calls in 0 messages" in str(p)


# -- clocks and blame --------------------------------------------------------------------------------------------------


def test_the_offset_is_where_all_round_trips_agree() -> None:
    # The first bounds it to 900..1010, the second to 980..1100.
    assert estimate([Trip(0, 1010, 1020, 120), Trip(200, 1300, 1310, 330)]) == Offset(995, 15)
    assert estimate([]) is None


def test_clocks_that_drift_apart_widen_the_error() -> None:
    found = estimate([Trip(0, 1002, 1003, 5), Trip(1000, 2102, 2103, 1005)])
    assert found is not None
    assert found.ahead_ns - found.error_ns <= 1002
    assert found.ahead_ns + found.error_ns >= 1098


def test_the_joined_clocks_put_the_work_inside_of_the_round_trip(loopback: Loopback) -> None:
    timeline = small_training().timeline
    assert abs(timeline.offset.ahead_ns - AHEAD_NS) <= timeline.offset.error_ns
    for work in timeline.work:
        slack = timeline.offset.error_ns
        assert work.batch.began_ns - slack <= work.began_ns <= work.ended_ns <= work.batch.received_ns + slack
        assert [call.began_ns for call in work.calls] == sorted(call.began_ns for call in work.calls)


def site(index: int) -> Any:
    """Return a call site of its own."""
    return (compile("pass", f"line{index}.py", "exec"), 0)


def batch(sent: int, started: int, finished: int, index: int) -> Batch:
    """Return a batch of one call; its times are microseconds of clocks that agree."""
    timing = call_pb2.Timing(
        started_ns=started * 1000, finished_ns=finished * 1000, call_ns=[(finished - started) * 1000]
    )
    return Batch(
        sent * 1000, site(index), [0], [site(index)], [], is_probe=False, sent_ns=sent * 1000,
        received_ns=finished * 1000, timing=timing,
    )  # fmt: skip


def recorder_of(batches: list[Batch], waits: list[Wait], ended: int) -> Recorder:
    """Return what a session would have noted."""
    nobody: Any = SimpleNamespace()
    exact = [batch(at, at, at, 0) for at in (0, ended)]
    for probe in exact:
        probe.is_probe, probe.calls, probe.sites = True, [], []
    return Recorder(
        nobody, {0: Called("add.Tensor", ())}, [exact[0], *batches, exact[1]], waits, began_ns=0, ended_ns=ended * 1000
    )


def test_the_worker_is_idle_for_the_wait_then_for_the_next_call_then_for_the_way() -> None:
    waits = [Wait(site(9), 10_000, 50_000, "a value")]
    timeline = Timeline(recorder_of([batch(0, 0, 40, 1), batch(80, 100, 120, 2)], waits, 120))
    assert timeline.offset == Offset(0, 1)
    (first, second) = timeline.work
    assert first.idle == ()
    assert [(place_of(where).file, spent) for where, spent in second.idle] == [
        ("line9.py", 10_000),
        ("line2.py", 30_000),
    ]
    assert second.transit_ns == 20_000


def test_a_batch_that_was_there_in_time_leaves_the_worker_idle_for_no_line() -> None:
    (_, second) = Timeline(recorder_of([batch(0, 0, 40, 1), batch(10, 42, 50, 2)], [], 50)).work
    assert second.idle == ()
    assert second.transit_ns == 2_000


def test_the_worker_s_time_in_a_wait_is_where_they_overlap() -> None:
    timeline = Timeline(recorder_of([batch(0, 10, 40, 1), batch(50, 60, 90, 2)], [], 100))
    assert [timeline.busy_ns(low * 1000, high * 1000) // 1000 for low, high in ((0, 100), (20, 70), (40, 60))] == [
        60,
        30,
        0,
    ]


# -- what is said ------------------------------------------------------------------------------------------------------


def line_cost(**given: Any) -> LineCost:
    values: dict[str, Any] = dict.fromkeys(
        ("calls", "messages", "waits", "wait_seconds", "wait_worker_seconds", "sent_bytes", "received_bytes",
         "worker_seconds", "idle_seconds", "programs", "backwards"), 0,
    )  # fmt: skip
    return LineCost(
        **{
            **values,
            "place": Place("train.py", 41, "main"),
            "expression": "loss.item()",
            "waits_for": "a value",
            **given,
        }
    )


def summary_of(*lines: LineCost, **given: Any) -> Summary:
    values: dict[str, Any] = {
        "wall_seconds": 0.43, "end_seconds": 0.0, "calls": 100, "messages": 20, "waits": 10, "wait_seconds": 0.31,
        "worker_seconds": 0.2, "idle_seconds": 0.0, "transit_seconds": 0.0, "sent_bytes": 0, "received_bytes": 0,
        "error_seconds": 0.0, "steps": 10, "ops": (),
    }  # fmt: skip
    return Summary(**{**values, "lines": lines, **given})


def test_it_names_the_line_that_reads_every_step() -> None:
    (said,) = findings(summary_of(line_cost(waits=10, wait_seconds=0.31, wait_worker_seconds=0.1)), ())
    assert said.startswith(
        "train.py:41 reads loss.item() every step: 31.0 of 43.0 ms; in 10.0 of them the worker computes"
    )
    assert "read it less often" in said


@pytest.mark.parametrize(
    ("waits", "words"), [(1, "once in 10 steps: 310 of 430"), (20, "2.0 times a step: 31.0 of 43.0")]
)
def test_it_says_how_often(waits: int, words: str) -> None:
    (said,) = findings(summary_of(line_cost(waits=waits, wait_seconds=0.31, wait_worker_seconds=0.3)), ())
    assert words in said
    assert "read it less often" not in said, "nothing is saved where the worker computes all the while"


def test_it_says_how_functions_ran() -> None:
    (said,) = findings(summary_of(), [FunctionCost("step", 8, 1, 1, (("the first call", 1), ("lr changed", 1)))])
    assert said == "step ran as a program in 8 of 10 calls, 1 recorded and 1 as ever: the first call; lr changed"


def test_a_profile_prints_lines_and_sentences(loopback: Loopback) -> None:
    p = small_training()
    text = str(p)
    assert "4 steps of" in text
    assert "test_profile.py" in text
    assert "loss.item()" in p.table()
    assert p.table("op", limit=1).splitlines()[-1].startswith("and ")
    assert p.table(sort_by="calls").splitlines()[2].split()[1] == str(max(line.calls for line in p.summary.lines))
    with pytest.raises(ValueError, match='by "line" or by "op"'):
        p.table("colour")
    with pytest.raises(ValueError, match="sorted by time, calls"):
        p.table(sort_by="colour")


def test_an_expression_is_what_stands_at_the_call_site() -> None:
    from gradwire import callsite

    def noted(*_: Any) -> Any:
        return callsite.current(2)

    where = [noted(1), noted("é", noted(2))][1]
    assert expression(where) == 'noted("é", noted(2))'


def test_numbers_have_three_digits() -> None:
    assert [ms(value) for value in (0.0000123, 0.0123, 1.23456)] == ["0.01", "12.3", "1,235"]
    assert [bytes_text(value) for value in (12, 1234, 123_456, 1_234_567)] == ["12 B", "1.2 kB", "123 kB", "1.2 MB"]


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_trace_has_tracks_for_both_sides(loopback: Loopback, tmp_path: Path) -> None:
    model = nn.Linear(8, 3)
    with gw.profile() as p, gw.profiler.record_function("forward"):
        model(gw.randn(2, 8)).sum().item()
        p.step()
    p.export_chrome_trace(tmp_path / "trace.json")
    p.export(tmp_path / "trace.json.gz")
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert trace == json.loads(gzip.decompress((tmp_path / "trace.json.gz").read_bytes()))
    events = trace["traceEvents"]
    tracks = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    names = {(tracks[e["pid"], e["tid"]], e["name"]) for e in events if e["ph"] == "X"}
    assert {("calls, by op", "addmm"), ("record_function", "forward"), ("steps", "step 1")} <= names
    assert any(track == "waits, by line" and "model(gw.randn(2, 8)).sum().item()" in name for track, name in names)
    starts, ends = ({e["id"] for e in events if e["ph"] == kind} for kind in "sf")
    assert starts == ends != set()
    assert trace["gradwire clock error us"] > 0


def test_a_plot_is_an_svg_file(loopback: Loopback, tmp_path: Path) -> None:
    p = small_training()
    p.plot(tmp_path / "profile.svg")
    words = "".join(ElementTree.parse(tmp_path / "profile.svg").getroot().itertext())
    assert "test_profile.py" in words
    assert "loss.item()" in words
    with pytest.raises(ValueError, match=r"end in \.svg"):
        p.plot(tmp_path / "profile.png")
