"""`nn.Module`: registers, walks, modes, conversion, hooks, printing.

Each test states what PyTorch does and runs on gradwire; as parity test, it also runs on PyTorch
itself, which proves the statement.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest


def small(t: Any) -> Any:
    """Return a module with one of each: a parameter, two buffers, two children, a None."""
    m = t.nn.Module()
    m.w = t.nn.Parameter(t.ones(2))
    m.register_buffer("seen", t.zeros(2))
    m.register_buffer("scratch", t.zeros(2), persistent=False)
    m.first = t.nn.Linear(2, 3)
    m.again = m.first
    m.block = t.nn.Sequential(t.nn.Linear(3, 2, bias=False), t.nn.Tanh())
    m.nothing = None
    return m


def names(pairs: Any) -> list[str]:
    return [name for name, _ in pairs]


def text_of(call: Callable[[], Any], error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    assert caught.type is error
    return str(caught.value.args[0])


def named(t: Any, text: str) -> str:
    return text.replace("ROOT", t.__name__)


# ---------------------------------------------------------------- parameters
def test_a_parameter_is_a_leaf_that_shares_its_data(t: Any) -> None:
    data = t.ones(2)
    p = t.nn.Parameter(data)
    assert isinstance(p, t.Tensor)
    assert p.requires_grad
    assert p.is_leaf
    with t.no_grad():
        p.mul_(3)
    assert data.tolist() == [3.0, 3.0]
    assert not t.nn.Parameter(data, requires_grad=False).requires_grad


def test_a_result_of_parameters_is_a_plain_tensor(t: Any) -> None:
    p = t.nn.Parameter(t.ones(2))
    assert type(p + 1) is t.Tensor
    assert type(p.detach()) is t.Tensor


def test_a_parameter_without_data_is_empty(t: Any) -> None:
    assert t.nn.Parameter().shape == (0,)


def test_an_integer_parameter_cannot_ask_for_a_gradient(t: Any) -> None:
    text = text_of(lambda: t.nn.Parameter(t.arange(2)), RuntimeError)
    assert "floating point and complex dtype can require gradients" in text
    assert not t.nn.Parameter(t.arange(2), requires_grad=False).requires_grad


def test_a_parameter_prints_what_it_is(t: Any) -> None:
    text = "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert repr(t.nn.Parameter(t.ones(2))) == text


def test_a_deep_copy_is_a_parameter_of_its_own(t: Any) -> None:
    p = t.nn.Parameter(t.ones(2))
    p.grad = t.ones(2)
    q = copy.deepcopy(p)
    with t.no_grad():
        p.zero_()
    assert type(q) is t.nn.Parameter
    assert q.grad is None
    assert q.tolist() == [1.0, 1.0]


# ---------------------------------------------------------------- walks
def test_walks_give_each_object_once(t: Any) -> None:
    m = small(t)
    inner = ["first.weight", "first.bias", "block.0.weight"]
    assert names(m.named_parameters()) == ["w", *inner]
    assert [id(p) for p in m.parameters()] == [id(p) for _, p in m.named_parameters()]
    assert names(m.named_buffers()) == ["seen", "scratch"]
    assert names(m.named_children()) == ["first", "block"]
    assert names(m.named_modules()) == ["", "first", "block", "block.0", "block.1"]
    assert len(list(m.modules())) == 5


def test_walks_can_keep_duplicates(t: Any) -> None:
    m = small(t)
    assert names(m.named_parameters(remove_duplicate=False))[3:5] == [
        "again.weight",
        "again.bias",
    ]
    assert "again" in names(m.named_modules(remove_duplicate=False))


def test_walks_take_a_prefix_and_may_stay_on_top(t: Any) -> None:
    m = small(t)
    assert names(m.named_parameters(prefix="net", recurse=False)) == ["net.w"]
    assert names(m.named_modules(prefix="net"))[:2] == ["net", "net.first"]
    assert len(list(m.parameters(recurse=False))) == 1


def test_look_ups_by_path(t: Any) -> None:
    m = small(t)
    assert m.get_submodule("") is m
    assert m.get_submodule("block.1") is m.block[1]
    assert m.get_parameter("block.0.weight") is m.block[0].weight
    assert m.get_buffer("seen") is m.seen


@pytest.mark.parametrize(
    ("look", "text"),
    [
        (lambda m: m.get_submodule("first.x"), "Linear has no attribute `x`"),
        (lambda m: m.get_submodule("w"), "`w` is not an nn.Module"),
        (lambda m: m.get_submodule("nothing.x"), "`nothing` is not an nn.Module"),
        (lambda m: m.get_parameter("first.x"), "Linear has no attribute `x`"),
        (lambda m: m.get_parameter("seen"), "`seen` is not an nn.Parameter"),
        (lambda m: m.get_buffer("first.weight"), "`weight` is not a buffer"),
        (lambda m: m.zzz, "'Module' object has no attribute 'zzz'"),
        (lambda m: delattr(m, "zzz"), "'Module' object has no attribute 'zzz'"),
    ],
)
def test_a_path_that_leads_nowhere(t: Any, look: Callable[[Any], Any], text: str) -> None:
    m = small(t)
    assert text_of(lambda: look(m), AttributeError) == text


def test_apply_goes_from_the_leaves_up(t: Any) -> None:
    seen: list[str] = []
    m = small(t)
    assert m.apply(lambda module: seen.append(type(module).__name__)) is m
    assert seen == ["Linear", "Linear", "Tanh", "Sequential", "Module"]


# ---------------------------------------------------------------- attributes
def test_an_attribute_lives_in_one_register(t: Any) -> None:
    m = small(t)
    m.nothing = t.nn.Parameter(t.ones(1))
    assert "nothing" not in m.__dict__
    m.seen = t.nn.Parameter(t.ones(1))
    assert names(m.named_buffers()) == ["scratch"]
    assert names(m.named_parameters(recurse=False)) == ["w", "nothing", "seen"]
    m.scratch = t.nn.Tanh()
    assert names(m.named_children())[-1] == "scratch"


def test_a_buffer_takes_any_tensor_and_a_plain_tensor_stays_plain(t: Any) -> None:
    m = small(t)
    value = t.ones(3)
    m.seen = value
    assert m.seen is value
    m.plain = t.ones(1)
    assert "plain" not in names(m.named_buffers())
    m.kept = t.nn.Buffer(t.ones(1), persistent=False)
    assert names(m.named_buffers()) == ["seen", "scratch", "kept"]
    assert "kept" not in m.state_dict()


def test_none_holds_the_place(t: Any) -> None:
    m = small(t)
    m.w = None
    assert m.w is None
    assert "w" not in names(m.named_parameters())
    m.w = t.nn.Parameter(t.ones(1))
    assert names(m.named_parameters())[0] == "w"


def test_deleting_takes_out_of_the_register(t: Any) -> None:
    m = small(t)
    for name in ("w", "seen", "scratch", "first", "again", "nothing"):
        delattr(m, name)
        assert not hasattr(m, name)
    assert names(m.named_parameters()) == ["block.0.weight"]


def test_dir_lists_what_is_registered(t: Any) -> None:
    m = small(t)
    assert {"w", "seen", "first", "forward", "training"} <= set(dir(m))
    assert "0" not in dir(m.block)


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (
            TypeError,
            lambda m, t: setattr(m, "w", 3),
            "cannot assign 'int' as parameter 'w' (ROOT.nn.Parameter or None expected)",
        ),
        (
            TypeError,
            lambda m, t: setattr(m, "first", 3),
            "cannot assign 'int' as child module 'first' (ROOT.nn.Module or None expected)",
        ),
        (
            TypeError,
            lambda m, t: setattr(m, "seen", 3),
            "cannot assign 'int' as buffer 'seen' (ROOT.nn.Buffer, ROOT.Tensor or None expected)",
        ),
        (
            TypeError,
            lambda m, t: m.register_parameter(3, None),
            "parameter name should be a string. Got int",
        ),
        (
            KeyError,
            lambda m, t: m.register_parameter("a.b", None),
            'parameter name can\'t contain "."',
        ),
        (
            KeyError,
            lambda m, t: m.register_parameter("", None),
            'parameter name can\'t be empty string ""',
        ),
        (
            KeyError,
            lambda m, t: m.register_parameter("forward", None),
            "attribute 'forward' already exists",
        ),
        (
            TypeError,
            lambda m, t: m.register_parameter("q", 3),
            "cannot assign 'int' object to parameter 'q' (ROOT.nn.Parameter or None required)",
        ),
        (
            TypeError,
            lambda m, t: m.register_buffer("q", 3),
            "cannot assign 'int' object to buffer 'q' (ROOT Tensor or None required)",
        ),
        (
            KeyError,
            lambda m, t: m.register_buffer("a.b", None),
            'buffer name can\'t contain "."',
        ),
        (TypeError, lambda m, t: m.add_module("q", 3), "int is not a Module subclass"),
        (
            KeyError,
            lambda m, t: m.add_module("a.b", None),
            'module name can\'t contain ".", got: a.b',
        ),
        (
            KeyError,
            lambda m, t: m.register_module("forward", None),
            "attribute 'forward' already exists",
        ),
    ],
)
def test_a_wrong_registration(t: Any, error: type[Exception], act: Callable[[Any, Any], Any], text: str) -> None:
    m = small(t)
    before = m.__dict__.copy()
    assert text_of(lambda: act(m, t), error) == named(t, text)
    assert m.__dict__ == before


@pytest.mark.parametrize(
    ("kind", "act"),
    [
        ("module", lambda m, t: setattr(m, "x", t.nn.Tanh())),
        ("parameters", lambda m, t: setattr(m, "x", t.nn.Parameter(t.ones(1)))),
        ("buffer", lambda m, t: setattr(m, "x", t.nn.Buffer(t.ones(1)))),
        ("buffer", lambda m, t: m.register_buffer("x", t.ones(1))),
        ("parameter", lambda m, t: m.register_parameter("x", None)),
    ],
)
def test_registering_before_init(t: Any, kind: str, act: Callable[[Any, Any], None]) -> None:
    class Hasty(t.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            act(self, t)

    text = f"cannot assign {kind} before Module.__init__() call"
    assert text_of(Hasty, AttributeError) == text


# ---------------------------------------------------------------- modes
def test_train_and_eval_reach_every_module(t: Any) -> None:
    m = small(t)
    assert m.eval() is m
    assert not any(module.training for module in m.modules())
    assert m.train() is m
    assert all(module.training for module in m.modules())
    assert text_of(lambda: m.train("yes"), ValueError) == "training mode is expected to be boolean"


def test_freezing(t: Any) -> None:
    m = t.nn.Linear(2, 2)
    assert m.requires_grad_(False) is m
    out = m(t.ones(1, 2))
    assert not out.requires_grad
    assert out.grad_fn is None
    m.weight.requires_grad_(True)
    m(t.ones(1, 2)).sum().backward()
    assert m.weight.grad is not None
    assert m.bias.grad is None


def test_zero_grad(t: Any) -> None:
    m = t.nn.Linear(2, 1)
    m(t.ones(1, 2)).sum().backward()
    grad = m.weight.grad
    m.zero_grad(set_to_none=False)
    assert m.weight.grad is grad
    assert grad.tolist() == [[0.0, 0.0]]
    m.zero_grad()
    assert m.weight.grad is None


def test_conversion_keeps_the_parameter_and_its_gradient(t: Any) -> None:
    m = t.nn.Linear(2, 1)
    m.register_buffer("mask", t.ones(2, dtype=t.bool))
    m(t.ones(1, 2)).sum().backward()
    weight, grad = m.weight, m.weight.grad
    assert m.double() is m
    assert m.weight is weight
    assert weight.dtype is t.float64
    assert weight.grad is grad
    assert grad.dtype is t.float64
    assert weight.is_leaf
    assert m.mask.dtype is t.bool
    assert m.to("cpu", t.float32).weight.dtype is t.float32
    assert m.to(t.ones(1, dtype=t.float16)).bias.dtype is t.float16
    assert m.float().cpu().to(dtype=t.float64).weight.dtype is t.float64


def test_to_refuses_an_integer_dtype(t: Any) -> None:
    text = text_of(lambda: t.nn.Linear(1, 1).to(t.int64), TypeError)
    assert text == named(
        t,
        "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=ROOT.int64",
    )


def test_a_deep_copy_of_a_module_shares_nothing(t: Any) -> None:
    m = small(t)
    m.register_forward_hook(lambda *_: None)
    n = copy.deepcopy(m)
    assert names(n.named_parameters()) == names(m.named_parameters())
    assert n.again is n.first
    assert not {id(p) for p in n.parameters()} & {id(p) for p in m.parameters()}
    assert len(n._forward_hooks) == 1
    m.eval()
    assert n.training
