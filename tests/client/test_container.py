"""Containers of modules and of parameters, against what PyTorch does (see test_module.py)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest


def kinds(modules: Any) -> list[str]:
    return [type(module).__name__ for module in modules]


def message(error: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value.args[0])


# ---------------------------------------------------------------- Sequential
def sequential(t: Any) -> Any:
    return t.nn.Sequential(t.nn.ReLU(), t.nn.Tanh(), t.nn.Sigmoid())


def test_sequential_calls_in_order(t: Any) -> None:
    x = t.tensor([-1.0, 2.0])
    assert t.equal(sequential(t)(x), x.relu().tanh().sigmoid())
    assert t.nn.Sequential()(x) is x


def test_sequential_takes_names(t: Any) -> None:
    s = t.nn.Sequential(OrderedDict(one=t.nn.ReLU(), two=t.nn.Tanh()))
    assert s.one is s[0]
    assert list(s[1:]._modules) == ["two"]
    assert message(TypeError, lambda: t.nn.Sequential([t.nn.ReLU()])) == ("list is not a Module subclass")


def test_sequential_is_indexed_by_position(t: Any) -> None:
    s = sequential(t)
    assert kinds([s[0], s[-1]]) == ["ReLU", "Sigmoid"]
    assert kinds(s[:2]) == ["ReLU", "Tanh"]
    assert type(s[:2]) is t.nn.Sequential
    s[1] = t.nn.GELU()
    assert kinds(s) == ["ReLU", "GELU", "Sigmoid"]
    for index in (3, -4):
        assert message(IndexError, lambda i=index: s[i]) == f"index {index} is out of range"


def test_sequential_grows_and_shrinks(t: Any) -> None:
    s = sequential(t)
    del s[0]
    assert list(s._modules) == ["0", "1"]
    assert s.append(t.nn.ReLU()) is s
    assert s.insert(0, t.nn.GELU()) is s
    assert s.extend([t.nn.SiLU()]) is s
    assert type(s.pop(1)).__name__ == "Tanh"
    assert kinds(s) == ["GELU", "Sigmoid", "ReLU", "SiLU"]
    del s[1:3]
    assert kinds(s) == ["GELU", "SiLU"]
    assert len(s) == 2


def test_sequential_adds_and_multiplies(t: Any) -> None:
    s, r = sequential(t)[:1], t.nn.Sequential(t.nn.Tanh())
    assert kinds(s + r) == ["ReLU", "Tanh"]
    assert kinds(s * 2) == kinds(2 * s) == ["ReLU", "ReLU"]
    s += r
    s *= 2
    assert kinds(s) == ["ReLU", "Tanh", "ReLU", "Tanh"]


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (TypeError, lambda s: s.append(3), "int is not a Module subclass"),
        (IndexError, lambda s: s.insert(9, s[0]), "Index out of range: 9"),
        (AssertionError, lambda s: s.insert(0, 3), "module should be of type: "),
        (ValueError, lambda s: s + 3, "add operator supports only objects of Sequential class, "),
        (ValueError, lambda s: s * 0, "Non-positive multiplication factor 0 for "),
        (TypeError, lambda s: s * "a", "unsupported operand type(s) for *: "),
        (TypeError, lambda s: s["0"], "'str' object cannot be interpreted as an integer"),
    ],
)
def test_sequential_refuses(t: Any, error: type[Exception], act: Callable[[Any], Any], text: str) -> None:
    assert message(error, lambda: act(sequential(t))).startswith(text)


# ---------------------------------------------------------------- ModuleList
def test_a_module_list_is_a_list(t: Any) -> None:
    m = t.nn.ModuleList([t.nn.ReLU(), t.nn.Tanh()])
    m.append(t.nn.GELU()).extend([t.nn.SiLU()])
    m.insert(1, t.nn.Sigmoid())
    m += [t.nn.Identity()]
    assert kinds(m) == ["ReLU", "Sigmoid", "Tanh", "GELU", "SiLU", "Identity"]
    assert kinds([m.pop(-1), m[-1]]) == ["Identity", "SiLU"]
    assert type(m[1:3]) is t.nn.ModuleList
    m[0] = t.nn.Flatten()
    del m[1]
    assert kinds(m.__add__([t.nn.Tanh()])) == ["Flatten", "Tanh", "GELU", "SiLU", "Tanh"]
    assert list(m._modules) == ["0", "1", "2", "3"]


def test_a_module_list_prints_runs_as_one_line(t: Any) -> None:
    m = t.nn.ModuleList([t.nn.Linear(1, 2), t.nn.Linear(1, 2), t.nn.Tanh()])
    assert repr(m) == ("ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=2, bias=True)\n  (2): Tanh()\n)")
    assert repr(t.nn.ModuleList()) == "ModuleList()"


def test_a_module_list_refuses_what_is_no_list(t: Any) -> None:
    text = "ModuleList.extend should be called with an iterable, but got "
    assert message(TypeError, lambda: t.nn.ModuleList(3)) == text + "int"
    assert message(TypeError, lambda: t.nn.ModuleList(t.nn.Tanh())) == text + "Tanh"
    assert message(IndexError, lambda: t.nn.ModuleList()[0]) == "index 0 is out of range"


def test_its_parameters_are_registered(t: Any) -> None:
    m = t.nn.ModuleDict({"a": t.nn.ModuleList([t.nn.Linear(1, 1)])})
    assert [name for name, _ in m.named_parameters()] == ["a.0.weight", "a.0.bias"]


# ---------------------------------------------------------------- ModuleDict
def test_a_module_dict_is_a_dict(t: Any) -> None:
    m = t.nn.ModuleDict({"b": t.nn.ReLU(), "a": t.nn.Tanh()})
    m.update([("c", t.nn.GELU())])
    m["d"] = t.nn.SiLU()
    assert list(m) == list(m.keys()) == ["b", "a", "c", "d"]
    assert kinds(m.values()) == ["ReLU", "Tanh", "GELU", "SiLU"]
    assert "c" in m
    assert len(m) == 4
    assert type(m.pop("c")).__name__ == "GELU"
    del m["b"]
    assert [(name, type(module).__name__) for name, module in m.items()] == [
        ("a", "Tanh"),
        ("d", "SiLU"),
    ]
    assert kinds(t.nn.ModuleDict(m).values()) == ["Tanh", "SiLU"]
    m.clear()
    assert repr(m) == "ModuleDict()"


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (KeyError, lambda m: m["z"], "z"),
        (KeyError, lambda m: m.update({"keys": m}), "attribute 'keys' already exists"),
        (
            TypeError,
            lambda m: m.update(3),
            "ModuleDict.update should be called with an iterable of key/value pairs, but got int",
        ),
        (
            ValueError,
            lambda m: m.update([(1, 2, 3)]),
            "ModuleDict update sequence element #0 has length 3; 2 is required",
        ),
    ],
)
def test_a_module_dict_refuses(t: Any, error: type[Exception], act: Callable[[Any], Any], text: str) -> None:
    assert message(error, lambda: act(t.nn.ModuleDict())) == text


# ---------------------------------------------------------------- parameters
def test_a_parameter_list_makes_parameters_of_tensors(t: Any) -> None:
    p = t.nn.ParameterList([t.ones(2), t.nn.Parameter(t.ones(2, 3)), "x"])
    p.append(t.ones(1)).extend([4])
    p += [t.zeros(1)]
    assert [name for name, _ in p.named_parameters()] == ["0", "1", "3", "5"]
    assert len(p) == 6
    assert p[2] == "x"
    assert [type(value).__name__ for value in p[:3]] == ["Parameter", "Parameter", "str"]
    p[0] = t.zeros(1)
    assert type(p[0]) is t.nn.Parameter
    assert p[-1] is list(p)[5]


def test_a_parameter_list_prints_sizes(t: Any) -> None:
    p = t.nn.ParameterList([t.ones(2), t.nn.Parameter(t.ones(2, 3)), "x"])
    assert repr(p) == (
        "ParameterList(\n"
        f"    (0): Parameter containing: [{t.float32} of size 2]\n"
        f"    (1): Parameter containing: [{t.float32} of size 2x3]\n"
        "    (2): Object of type: str\n"
        ")"
    )


def test_a_parameter_dict_is_a_dict(t: Any) -> None:
    p = t.nn.ParameterDict({"b": t.ones(2), "a": 5})
    assert list(p) == ["a", "b"]  # a plain dict is sorted
    p.update(OrderedDict(d=t.ones(1), c=t.ones(1)))
    assert list(p.keys()) == ["a", "b", "d", "c"]
    assert list(reversed(p)) == ["c", "d", "b", "a"]
    assert [name for name, _ in p.named_parameters()] == ["b", "d", "c"]
    assert p.get("z", 3) == 3
    assert p.setdefault("n") is None
    assert p.popitem() == ("n", None)
    assert p.pop("a") == 5
    q = p.copy()
    assert q["b"] is p["b"]
    assert list(p | t.nn.ParameterDict({"w": t.ones(1)})) == ["b", "d", "c", "w"]
    del q["b"]
    assert "b" not in q
    assert list(q.fromkeys(["u", "v"], 1).items()) == [("u", 1), ("v", 1)]
    q.clear()
    assert len(q) == 0
    assert [type(value).__name__ for value in p.values()] == ["Parameter"] * 3


def test_a_parameter_dict_refuses(t: Any) -> None:
    p = t.nn.ParameterDict()
    assert message(TypeError, lambda: p.__setitem__(3, t.ones(1))).startswith(
        "Index given to ParameterDict cannot be used as a key as it is not a string"
    )
    assert message(AttributeError, lambda: p["z"]) == "'ParameterDict' object has no attribute 'z'"
    assert message(RuntimeError, lambda: p(1)) == "ParameterDict should not be called."
