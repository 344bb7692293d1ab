"""`nn.Module`: saving and loading, calls and their hooks, printing.

Each test states what PyTorch does and runs on gradwire; as parity test, it also runs on PyTorch
itself, which proves the statement.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest


def small(t: Any) -> Any:
    m = t.nn.Module()
    m.w = t.nn.Parameter(t.ones(2))
    m.register_buffer("seen", t.zeros(2))
    m.register_buffer("scratch", t.zeros(2), persistent=False)
    m.first = t.nn.Linear(2, 3)
    return m


def values(state: Any) -> dict[str, Any]:
    return {key: tensor.tolist() for key, tensor in state.items()}


# ---------------------------------------------------------------- state_dict
def test_a_state_dict_holds_what_persists(t: Any) -> None:
    m = small(t)
    state = m.state_dict()
    assert type(state) is OrderedDict
    assert list(state) == ["w", "seen", "first.weight", "first.bias"]
    assert state._metadata == OrderedDict([("", {"version": 1}), ("first", {"version": 1})])
    assert not state["w"].requires_grad
    assert m.state_dict(keep_vars=True)["w"] is m.w


def test_a_state_dict_shares_storage_with_the_module(t: Any) -> None:
    m = small(t)
    state = m.state_dict()
    with t.no_grad():
        m.w.fill_(5)
    assert state["w"].tolist() == [5.0, 5.0]


def test_a_state_dict_can_be_gathered_under_a_prefix(t: Any) -> None:
    found: dict[str, Any] = {}
    assert small(t).state_dict(destination=found, prefix="net.") is found
    assert next(iter(found)) == "net.w"


def test_loading_copies_into_the_same_tensors(t: Any) -> None:
    source, target = small(t), small(t)
    with t.no_grad():
        source.w.fill_(7)
    w, seen = target.w, target.seen
    result = target.load_state_dict(source.state_dict())
    assert str(result) == repr(result) == "<All keys matched successfully>"
    assert target.w is w
    assert target.seen is seen
    assert values(target.state_dict()) == values(source.state_dict())
    assert w.requires_grad
    assert w.is_leaf


def test_loading_casts_and_unpacks_old_scalars(t: Any) -> None:
    m = t.nn.Module()
    m.register_buffer("count", t.tensor(1.0))
    m.load_state_dict({"count": t.full((1,), 3.0, dtype=t.float64)})
    assert m.count.tolist() == 3.0
    assert m.count.dtype is t.float32


def test_loading_by_assignment_takes_the_tensors_over(t: Any) -> None:
    m = small(t)
    m.first.weight.requires_grad_(False)
    state = {key: t.ones_like(value) for key, value in m.state_dict().items()}
    m.load_state_dict(state, assign=True)
    assert m.seen is state["seen"]
    assert type(m.w) is t.nn.Parameter
    assert m.w.requires_grad
    assert not m.first.weight.requires_grad
    with t.no_grad():
        m.w.fill_(4)
    assert state["w"].tolist() == [4.0, 4.0]


def test_loading_names_everything_that_does_not_fit(t: Any) -> None:
    m = small(t)
    state = dict(m.state_dict())
    del state["w"]
    state.update({"zz": 1, "first.foo.bar": 2, "first.weight": t.ones(4, 4), "seen": 3})
    with pytest.raises(RuntimeError) as caught:
        m.load_state_dict(state)
    size = type(t.ones(1).shape)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Module:\n"
        '\tMissing key(s) in state_dict: "w". \n'
        '\tUnexpected key(s) in state_dict: "zz", "first.foo.bar". \n'
        f'\tWhile copying the parameter named "seen", expected {t.__name__}.Tensor or Tensor-like'
        " object from checkpoint but received <class 'int'>\n"
        f"\tsize mismatch for first.weight: copying a param with shape {size((4, 4))} from"
        f" checkpoint, the shape in current model is {size((3, 2))}."
    )


def test_a_lenient_load_returns_the_keys_but_not_a_wrong_shape(t: Any) -> None:
    m = small(t)
    state = dict(m.state_dict())
    del state["w"]
    state["zz"] = 1
    result = m.load_state_dict(state, strict=False)
    assert result.missing_keys == ["w"]
    assert result.unexpected_keys == ["zz"]
    assert repr(result) == "_IncompatibleKeys(missing_keys=['w'], unexpected_keys=['zz'])"
    state["seen"] = t.ones(9)
    with pytest.raises(RuntimeError, match="size mismatch for seen"):
        m.load_state_dict(state, strict=False)


def test_loading_needs_a_mapping(t: Any) -> None:
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'int'>"):
        small(t).load_state_dict(3)


def test_extra_state_travels_along(t: Any) -> None:
    class Counting(t.nn.Module):  # type: ignore[misc, name-defined]
        count = 0

        def get_extra_state(self) -> int:
            return self.count

        def set_extra_state(self, state: int) -> None:
            self.count = state

    source, target = t.nn.Sequential(Counting()), t.nn.Sequential(Counting())
    source[0].count = 3
    assert source.state_dict() == {"0._extra_state": 3}
    target.load_state_dict(source.state_dict())
    assert target[0].count == 3
    with pytest.raises(RuntimeError, match=r'Missing key.*"0._extra_state"'):
        target.load_state_dict({})
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"0._extra_state"'):
        t.nn.Sequential(t.nn.Tanh()).load_state_dict(source.state_dict())


def test_a_module_may_lay_out_its_state_itself(t: Any) -> None:
    class Renamed(t.nn.Linear):  # type: ignore[misc, name-defined]
        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            state[prefix + "weight"] = state.pop(prefix + "kernel")
            super()._load_from_state_dict(state, prefix, *rest)

        def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "kernel"] = destination.pop(prefix + "weight")

    source, target = t.nn.Sequential(Renamed(2, 2)), t.nn.Sequential(Renamed(2, 2))
    assert set(source.state_dict()) == {"0.kernel", "0.bias"}
    target.load_state_dict(source.state_dict())
    assert target[0].weight.tolist() == source[0].weight.tolist()


# ---------------------------------------------------------------- calls and hooks
def scale(t: Any) -> Any:
    class Scale(t.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any, k: int = 1) -> Any:
            return x * k

    return Scale()


def test_a_module_without_forward_says_so(t: Any) -> None:
    with pytest.raises(NotImplementedError, match=r'Module \[ModuleList\] is missing the required "forward"'):
        t.nn.ModuleList()(1)


def test_a_forward_hook_sees_and_replaces_the_output(t: Any) -> None:
    m = scale(t)
    handle = m.register_forward_hook(lambda module, args, output: output + 10)
    assert m(2, k=3) == 16
    handle.remove()
    handle.remove()
    assert m(2, k=3) == 6
    m.register_forward_hook(lambda module, args, kwargs, output: (kwargs, output), with_kwargs=True)
    assert m(2, k=3) == ({"k": 3}, 6)


def test_a_pre_hook_sees_and_replaces_the_arguments(t: Any) -> None:
    m = scale(t)
    with m.register_forward_pre_hook(lambda module, args: args[0] * 5):
        assert m(2) == 10
    assert m(2) == 2
    m.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    m.register_forward_pre_hook(lambda module, args, kwargs: (args, {"k": 7}), with_kwargs=True)
    assert m(2) == 21


def test_a_pre_hook_with_kwargs_returns_a_pair(t: Any) -> None:
    m = scale(t)
    m.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError) as caught:
        m(1)
    assert str(caught.value) == ("forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got 3.")


def test_hooks_run_in_order_and_some_always(t: Any) -> None:
    m, seen = scale(t), []
    m.register_forward_hook(lambda *args: seen.append(("always", args[1:])), always_call=True)
    m.register_forward_hook(lambda *args: seen.append("first"), prepend=True)
    m(1)
    assert seen == ["first", ("always", ((1,), 1))]
    seen.clear()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        m()
    assert seen == [("always", ((), None))]


def test_an_error_in_an_always_called_hook_does_not_hide_the_first(t: Any) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("second")

    m = scale(t)
    m.register_forward_hook(broken, always_call=True)
    with (
        pytest.raises(TypeError, match="missing 1 required"),
        pytest.warns(UserWarning, match="silenced as another error was raised in forward: second"),
    ):
        m()


# ---------------------------------------------------------------- printing
def test_a_module_prints_its_tree(t: Any) -> None:
    class Net(t.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.body = t.nn.Sequential(t.nn.Linear(2, 3, bias=False), t.nn.ReLU(inplace=True), t.nn.Dropout(0.3))
            self.head = t.nn.GELU(approximate="tanh")
            self.add_module("later", None)

        def extra_repr(self) -> str:
            return "a=1\nb=2"

    assert repr(Net()) == (
        "Net(\n"
        "  a=1\n"
        "  b=2\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=2, out_features=3, bias=False)\n"
        "    (1): ReLU(inplace=True)\n"
        "    (2): Dropout(p=0.3, inplace=False)\n"
        "  )\n"
        "  (head): GELU(approximate='tanh')\n"
        "  (later): None\n"
        ")"
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda nn: nn.Module(), "Module()"),
        (lambda nn: nn.Identity(3, a=4), "Identity()"),
        (lambda nn: nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (lambda nn: nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
        (lambda nn: nn.ReLU(), "ReLU()"),
        (lambda nn: nn.SiLU(inplace=True), "SiLU(inplace=True)"),
        (lambda nn: nn.Sigmoid(), "Sigmoid()"),
        (lambda nn: nn.Softmax(dim=1), "Softmax(dim=1)"),
        (lambda nn: nn.LogSoftmax(-1), "LogSoftmax(dim=-1)"),
        (lambda nn: nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
        (lambda nn: nn.Sequential(), "Sequential()"),
    ],
)
def test_a_layer_prints_its_options(t: Any, make: Any, text: str) -> None:
    assert repr(make(t.nn)) == text
