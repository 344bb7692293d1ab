"""The user's file and line: found for any call, and named by an error that arrives later."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any

import pytest

import gradwire as gw
from gradwire import callsite
from gradwire.session import Session


def line() -> int:
    """Return the caller's line."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def called_from(module: str, function: Any) -> Any:
    """Return the function as if it were defined in a module of that name."""
    return FunctionType(function.__code__, {"__name__": module, "callsite": callsite, "__builtins__": __builtins__})


def test_the_site_of_a_call_is_its_line():
    site, expected = callsite.current(1), line()
    assert callsite.describe(site) == f"{__file__}:{expected}"


def test_a_call_over_several_lines_is_at_the_line_of_the_call():
    first = line()
    site = (
        # The name and its call are what stands on the line.
        callsite.current(1)
    )
    assert callsite.describe(site) == f"{__file__}:{first + 3}"


def test_a_site_is_cheap_and_keeps_no_frame():
    code, instruction = callsite.current(1)
    assert code is inspect.currentframe().f_code
    assert isinstance(instruction, int)


@pytest.mark.parametrize("module", ["gradwire", "gradwire.nn.linear", "gradwire_protocol.registry"])
def test_our_own_frames_are_passed_over(module):
    def ours():
        return callsite.current(1)

    # A code object is looked up by module once, so each module needs its own.
    ours.__code__ = ours.__code__.replace(co_name=module)
    site, expected = called_from(module, ours)(), line()
    assert callsite.describe(site) == f"{__file__}:{expected}"


def test_a_user_s_module_of_a_like_name_is_not_ours():
    def theirs():
        return callsite.current(1)

    code, _ = called_from("gradwire_experiments.train", theirs)()
    assert code is theirs.__code__


@pytest.fixture
def table(session: Session) -> Any:
    return gw.ones(3, 2)


def test_a_failure_on_the_worker_names_the_line_of_its_call(session: Session, table: Any) -> None:
    outside = gw.tensor([0, 7])
    _, expected = table[outside], line()
    gw.ones(3) + 1
    with pytest.raises(IndexError, match="out of") as caught:
        session.wait()
    words = str(caught.value).splitlines()
    assert words[1].endswith(f"called at {__file__}:{expected}; nothing of that call was applied")
    assert "raised on the worker by index.Tensor(float32[3, 2], int64[2]" in words[1]


def test_a_failure_inside_a_module_names_the_user_s_line(session: Session) -> None:
    model = gw.nn.Sequential(gw.nn.Linear(2, 2), gw.nn.ReLU())
    loss = gw.nn.CrossEntropyLoss()
    _, expected = loss(model(gw.ones(1, 2)), gw.tensor([9])), line()
    with pytest.raises(IndexError) as caught:
        session.wait()
    assert f"called at {__file__}:{expected};" in str(caught.value)


def test_what_follows_from_a_failure_names_the_first_line_again(session: Session, table: Any) -> None:
    bad, expected = table[gw.tensor([7])], line()
    later = bad * 2
    for _ in range(2):
        with pytest.raises(IndexError, match=f"called at {__file__}:{expected};"):
            later.tolist()
    assert (table + 1).tolist() == [[2.0, 2.0]] * 3
