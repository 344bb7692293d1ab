"""What a compiled function may not do, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session

nn = gw.nn


@pytest.fixture(autouse=True)
def own_session(session: Session) -> None:
    """Make a session the current one."""


def line_of(error: pytest.ExceptionInfo[Any]) -> str:
    """Return the source line that an error names."""
    path, _, number = str(error.value).rpartition(".py:")[0], "", str(error.value).rpartition(".py:")[2]
    assert path
    with open(__file__) as source:
        return source.readlines()[int("".join(iter(c for c in number[:5] if c.isdigit()))) - 1]


def test_looking_at_a_value_is_refused_with_the_line() -> None:
    def look(x: Any) -> Any:
        if x.sum() > 0:  # a look
            return x
        return -x

    with pytest.raises(RuntimeError, match="may not look at values") as error:
        gw.compile(look)(gw.ones(2))
    assert "# a look" in line_of(error)


class Counter(nn.Module):
    """Counts its calls, which a program would not."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.last: Any = None

    def forward(self, x: Any) -> Any:
        self.calls += 1  # a count
        return x * 2


class Keeper(nn.Module):
    """Keeps a tensor."""

    kept: list[Any]

    def forward(self, x: Any) -> Any:
        made = x * 3  # a kept tensor
        self.kept = [made]
        return made + 1


def test_python_side_effects_are_refused_with_the_line() -> None:
    with pytest.raises(RuntimeError, match=r"changes self\.calls|changes .*calls") as error:
        gw.compile(Counter())(gw.ones(2))
    assert "# a count" in line_of(error)
    with pytest.raises(RuntimeError, match="must return the tensors that it makes") as error:
        gw.compile(Keeper())(gw.ones(2))
    assert "# a kept tensor" in line_of(error)


def test_too_many_kinds_run_as_ever_with_a_warning() -> None:
    run = gw.compile(lambda x: x * 2, recompile_limit=2)
    for size in (1, 2):
        run(gw.ones(size))
    with pytest.warns(UserWarning, match=r"argument 0: float32\[2\] became float32\[3\]"):
        assert run(gw.ones(3)).tolist() == [2.0] * 3


def test_what_cannot_be_a_program_runs_as_ever_with_a_warning() -> None:
    w = gw.ones(2, requires_grad=True)
    outer = (w * 2).sum()
    run = gw.compile(lambda: outer.backward(retain_graph=True))
    with pytest.warns(UserWarning, match="goes through what was computed outside"):
        run()
    run()
    assert w.grad.tolist() == [4.0, 4.0]


def test_options_that_are_not_there_are_refused() -> None:
    for options in ({"mode": "fastest"}, {"backend": "tvm"}, {"dynamic": True}, {"options": {"a": 1}}):
        with pytest.raises(RuntimeError):
            gw.compile(lambda x: x, **options)
    assert gw.compile(len, disable=True) is len


def test_a_failure_inside_of_a_program_names_the_line() -> None:
    table = gw.arange(6.0).view(3, 2)

    @gw.compile
    def look_up(index: Any) -> Any:
        rows = table * 2
        return gw.nn.functional.embedding(index, rows)  # the look-up

    for _ in range(3):
        look_up(gw.tensor([0, 1]))
    with pytest.raises(IndexError, match="raised on the worker by a program, called at") as error:
        look_up(gw.tensor([0, 7])).tolist()
    assert "# the look-up" in line_of(error)
    assert look_up(gw.tensor([2])).tolist() == [[8.0, 10.0]]
