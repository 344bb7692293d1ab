"""Optimizers: parameter groups, their options and names, and what is refused (see test_module.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session


def parameter(t: Any, size: int) -> Any:
    return t.nn.Parameter(t.ones(size))


def test_groups_have_options_of_their_own(t: Any) -> None:
    p, q = parameter(t, 1), parameter(t, 1)
    optimizer = t.optim.SGD([{"params": [p], "lr": 0.3}, {"params": q}], lr=0.1, momentum=0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.1]
    assert optimizer.param_groups[1]["params"] == [q]
    optimizer.add_param_group({"params": parameter(t, 1), "momentum": 0})
    assert optimizer.param_groups[2]["momentum"] == 0
    assert optimizer.defaults["momentum"] == 0.5


def test_names_of_parameters_are_kept(t: Any) -> None:
    layer = t.nn.Linear(1, 1)
    optimizer = t.optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][1] is layer.bias


def test_it_prints_its_groups(t: Any) -> None:
    class Mini(t.optim.Optimizer):  # type: ignore[misc, name-defined]
        def step(self, closure: Any = None) -> None:
            pass

    groups = [{"params": parameter(t, 1), "lr": 2}, {"params": parameter(t, 1)}]
    assert repr(Mini(groups, {"lr": 1, "decay": 0})) == (
        "Mini (\nParameter Group 0\n    decay: 0\n    lr: 2\n\nParameter Group 1\n    decay: 0\n    lr: 1\n)"
    )


NAMES = "all optimizer params should be with/without names. Some param names are missing"
GROUP_NAMES = (
    "all optimizer param groups should be with/without names. cannot add param group without names to the optimizer"
)


@pytest.mark.parametrize(
    ("error", "make", "text"),
    [
        (TypeError, lambda o, p: o.SGD(p), "should be an iterable of Tensors or dicts, but got"),
        (ValueError, lambda o, p: o.SGD([]), "optimizer got an empty parameter list"),
        (TypeError, lambda o, p: o.SGD([3]), "but one of the params is int"),
        (ValueError, lambda o, p: o.SGD([p * 2]), "can't optimize a non-leaf Tensor"),
        (TypeError, lambda o, p: o.SGD([{"params": {p}}]), "organized in ordered collections"),
        (KeyError, lambda o, p: o.SGD([{"lr": 1}]), "params"),
        (
            ValueError,
            lambda o, p: o.SGD([{"params": p}, {"params": p}]),
            "some parameters appear in more than one parameter group",
        ),
        (ValueError, lambda o, p: o.SGD([("a", p), p]), NAMES),
        (
            ValueError,
            lambda o, p: o.SGD([{"params": [("a", p)]}, {"params": [p.detach()]}]),
            GROUP_NAMES,
        ),
        (
            TypeError,
            lambda o, p: o.SGD([p]).add_param_group([p]),
            "param_group must be a dict, but got <class 'list'>",
        ),
        (ValueError, lambda o, p: o.SGD([p], lr=-1), "Invalid learning rate: -1"),
        (ValueError, lambda o, p: o.SGD([p], momentum=-1), "Invalid momentum value: -1"),
        (ValueError, lambda o, p: o.SGD([p], weight_decay=-1), "Invalid weight_decay value: -1"),
        (
            ValueError,
            lambda o, p: o.SGD([p], nesterov=True),
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        (ValueError, lambda o, p: o.Adam([p], eps=-1), "Invalid epsilon value: -1"),
        (
            ValueError,
            lambda o, p: o.AdamW([p], betas=(0.9, 1.0)),
            "Invalid beta parameter at index 1: 1.0",
        ),
        (ValueError, lambda o, p: o.Adam([p], betas=(0, 0.9)), "betas must be either both floats or both Tensors"),
        (ValueError, lambda o, p: o.Adam([p], lr=p.new_ones(2)), "Tensor lr must be 1-element"),
        (ValueError, lambda o, p: o.RAdam([p], lr=float("nan")), "Invalid learning rate: nan"),
        (ValueError, lambda o, p: o.NAdam([p], momentum_decay=-1), "Invalid momentum_decay value: -1"),
        (ValueError, lambda o, p: o.Adagrad([p], lr_decay=-1), "Invalid lr_decay value: -1"),
        (ValueError, lambda o, p: o.Adadelta([p], rho=2), "Invalid rho value: 2"),
        (ValueError, lambda o, p: o.RMSprop([p], alpha=-1), "Invalid alpha value: -1"),
        (ValueError, lambda o, p: o.Rprop([p], etas=(1, 2)), "Invalid eta values: 1, 2"),
        (ValueError, lambda o, p: o.ASGD([p], weight_decay=-1), "Invalid weight_decay value: -1"),
        (ValueError, lambda o, p: o.Adafactor([p], lr=-1), "Learning rate should be >= 0 but is: -1"),
        (ValueError, lambda o, p: o.Adafactor([p], d=0.5), "Clipping threshold d should be >= 1 but is: 0.5"),
        (ValueError, lambda o, p: o.Muon([p.new_ones(1, 1)], momentum=-1), "momentum should be >= 0 but is: -1"),
    ],
)
def test_refusals(t: Any, error: type[Exception], make: Callable[[Any, Any], Any], text: str) -> None:
    with pytest.raises(error) as caught:
        make(t.optim, parameter(t, 1))
    assert text in str(caught.value)


@pytest.mark.parametrize("flags", [{"differentiable": True}, {"capturable": True}])
def test_what_a_call_on_the_worker_cannot_do_is_refused(session: Session, flags: dict[str, bool]) -> None:
    name = next(iter(flags))
    with pytest.raises(NotImplementedError, match=f"{name}=True is not supported"):
        gw.optim.Adam([parameter(gw, 1)], **flags)
    with pytest.raises(NotImplementedError, match=f"{name}=True is not supported"):
        gw.optim.Adam([{"params": parameter(gw, 1), **flags}])


def test_flags_that_choose_an_implementation_are_kept(t: Any) -> None:
    for flags in ({"foreach": True}, {"fused": True}, {"foreach": False, "fused": False}):
        group = t.optim.AdamW([parameter(t, 1)], **flags).param_groups[0]
        assert {name: group[name] for name in flags} == flags
    with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together."):
        t.optim.Adam([parameter(t, 1)], fused=True, foreach=True)


def test_a_parameter_given_twice_is_warned_of(t: Any) -> None:
    p = parameter(t, 1)
    with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
        t.optim.SGD([p, p])
