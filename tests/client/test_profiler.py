"""`torch.profiler`'s surface: schedules and refusals as PyTorch's, tables on what the worker measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gradwire as gw
from gradwire import profiler
from gradwire.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule

pytestmark = pytest.mark.usefixtures("session")


@pytest.mark.parametrize(
    "given",
    [
        {"wait": 1, "warmup": 1, "active": 2},
        {"wait": 0, "warmup": 1, "active": 3, "repeat": 2},
        {"wait": 2, "warmup": 1, "active": 1, "repeat": 1, "skip_first": 3},
        {"wait": 4, "warmup": 1, "active": 2, "repeat": 2, "skip_first": 2, "skip_first_wait": 1},
    ],
)
def test_a_schedule_is_pytorch_s(given: dict[str, int]) -> None:
    torch_profiler: Any = pytest.importorskip("torch.profiler")
    ours, theirs = schedule(**given), torch_profiler.schedule(**given)
    assert [ours(step).name for step in range(40)] == [theirs(step).name for step in range(40)]


def test_a_schedule_that_cannot_be_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"Invalid profiler schedule arguments\. Got wait=0"):
        schedule(wait=0, warmup=1, active=0)
    with pytest.warns(UserWarning, match="won't be using warmup"):
        schedule(wait=0, warmup=0, active=1)


def test_a_scheduled_profile_hands_over_each_cycle(tmp_path: Path) -> None:
    seen: list[tuple[int, list[str]]] = []

    def ready(made: profile) -> None:
        steps = sorted(event.name for event in made.events() if event.name.startswith("ProfilerStep"))
        seen.append((made.step_num, steps))
        profiler.tensorboard_trace_handler(str(tmp_path / "log"))(made)

    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=2), on_trace_ready=ready) as made:
        for _ in range(9):
            (gw.ones(3) + 1).sum().item()
            made.step()
    assert seen == [(3, ["ProfilerStep#2", "ProfilerStep#3"]), (7, ["ProfilerStep#6", "ProfilerStep#7"])]
    assert made.last.summary.steps == 2
    assert len(list((tmp_path / "log").glob("*.pt.trace.json"))) == 2


def test_all_of_a_block_is_one_cycle() -> None:
    seen: list[profile] = []
    with profile(on_trace_ready=seen.append) as made:
        gw.ones(3)
        made.step()
        gw.ones(3)
    assert seen == [made]
    assert [average.count for average in made.key_averages() if average.key == "gw::constant"] + [
        average.count for average in made.key_averages() if average.key == "aten::full"
    ] == [2]


def test_averages_have_names_shapes_and_lines() -> None:
    x, y = gw.randn(2, 3), gw.randn(5, 3)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True, with_stack=True) as made:
        with record_function("twice"):
            for _ in range(2):
                x @ x.mT
        y @ y.mT
    by_name = {average.key: average for average in made.key_averages()}
    assert by_name["aten::mm"].count == 3
    assert by_name["aten::mm"].cpu_time_total == by_name["aten::mm"].worker_time_total > 0
    assert by_name["twice"].cpu_time_total == by_name["twice"].client_time_total > 0
    assert 0 < by_name["twice"].worker_time_total < made.events().self_cpu_time_total
    shapes = {str(a.input_shapes): a.count for a in made.key_averages(group_by_input_shape=True) if a.key == "aten::mm"}
    assert shapes == {"[[2, 3], [3, 2]]": 2, "[[5, 3], [3, 5]]": 1}
    lines = [a.stack[0] for a in made.key_averages(group_by_stack_n=5) if a.key == "aten::mm"]
    assert len(lines) == 2
    assert all(line.startswith("tests/client/test_profiler.py:") for line in lines)
    assert made.key_averages().total_average().count == len(made.events())


def test_a_table_sorts_by_pytorch_s_names() -> None:
    x = gw.randn(300, 300)
    with profile() as made:
        (x @ x).sum().item()
    for name in ("cpu_time_total", "self_cpu_time_total", "cuda_time_total", "self_cuda_time_total"):
        table = made.key_averages().table(sort_by=name, row_limit=1, header="mine")
        assert table.splitlines()[1] == "mine"
        assert table.splitlines()[5].split()[0] == "aten::mm"
    assert "Worker time total: " in made.key_averages().table(time_unit="ms")
    with pytest.raises(AttributeError, match="bogus"):
        made.key_averages().table(sort_by="bogus")
    with pytest.raises(RuntimeError, match="top_level_events_only"):
        made.key_averages().table(top_level_events_only=True)


def test_record_function_decorates_and_nests(tmp_path: Path) -> None:
    @record_function("inner", "7")
    def inner() -> Any:
        return gw.ones(2) * 3

    with profile() as made, record_function("outer"):
        inner()
    made.add_metadata("run", "one")
    made.add_metadata_json("more", "[1, 2]")
    made.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    spans = {
        e["name"]: (e["ts"], e["ts"] + e["dur"]) for e in trace["traceEvents"] if e.get("cat") == "user_annotation"
    }
    assert spans["outer"][0] <= spans["inner(7)"][0] <= spans["inner(7)"][1] <= spans["outer"][1]
    assert (trace["run"], trace["more"]) == ("one", [1, 2])
    assert inner().tolist() == [3, 3]


@pytest.mark.parametrize("option", ["profile_memory", "with_flops", "with_modules", "use_cuda"])
def test_what_cannot_be_honoured_is_refused(option: str) -> None:
    with pytest.raises(RuntimeError, match=f"cannot honour {option}=True; leave it out"):
        profile(**{option: True})  # type: ignore[arg-type]


def test_activities_are_checked() -> None:
    with pytest.raises(AssertionError, match="No valid profiler activities found"):
        profile(activities=[])
    with pytest.raises(AssertionError, match="must be initialized"):
        profile().key_averages()
    assert profiler.supported_activities() == {ProfilerActivity.CPU}
    with pytest.warns(UserWarning, match="CUDA is not available"), profile(activities=[*ProfilerActivity]):
        pass


def test_a_schedule_that_breaks_off_warns() -> None:
    def broken(step: int) -> ProfilerAction:
        return ProfilerAction.RECORD if step == 0 else ProfilerAction.NONE

    made = profile(schedule=broken)
    made.start()
    with pytest.warns(UserWarning, match="RECORD followed by NONE"):
        made.step()
    made.stop()
