"""`jit`, `compiler`, `_check` and what `gradwire run` has for packages that name compilers: marks change nothing."""

from __future__ import annotations

from typing import Any

import pytest

import gradwire as gw
from gradwire.run.finder import TorchModule
from gradwire.run.names import counterpart, overrides


def double(x: Any) -> Any:
    return x * 2


def stand_in(name: str) -> Any:
    found = counterpart(name)
    assert found is not None, name
    return TorchModule(name, found)


def test_what_is_scripted_is_the_function_itself() -> None:
    layer = gw.nn.Linear(2, 2)
    assert gw.jit.script(double) is gw.jit.unused(double) is gw.jit.ignore(double) is gw.jit.export(double) is double
    assert gw.jit.ignore(drop=True)(double) is double
    assert gw.jit.trace(layer, gw.ones(2)) is gw.jit.script(layer) is layer
    assert gw.compiler.disable(double) is gw.compiler.disable(recursive=False)(double) is double
    assert not gw.jit.is_scripting()
    assert not gw.compiler.is_compiling()


def test_compiled_files_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="use torch.save and torch.load"):
        gw.jit.save(gw.nn.Linear(2, 2), "model.pt")
    with pytest.raises(TypeError, match="optimize=None"):
        gw.jit.script(double, optimize=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["", "_index", "_type", "_value"])
def test_checks_raise_their_class(t: Any, kind: str) -> None:
    check = getattr(t, f"_check{kind}")
    check(True)
    error = {"": RuntimeError, "_index": IndexError, "_type": TypeError, "_value": ValueError}[kind]
    with pytest.raises(error, match="three"):
        check(False, lambda: "three")
    with pytest.raises(error, match="Expected cond to be True"):
        check(False)
    with pytest.raises(TypeError, match="cond must be a bool, but got a Tensor"):
        check(t.ones(()) > 0)
    with pytest.raises(AssertionError, match="four"):
        t._assert(t.zeros(()) > 0, "four")


def test_marks_of_other_compilers_are_accepted() -> None:
    fx, library, helper = (stand_in(f"torch.{name}") for name in ("fx", "library", "onnx.symbolic_helper"))
    assert fx.wrap(double) is double
    assert fx.wrap("double") == "double"
    assert library.register_fake("mine::op")(double) is double
    assert helper.parse_args("v", "i")(double) is double
    assert issubclass(fx.GraphModule, gw.nn.Module)
    assert stand_in("torch._C").DispatchKeySet("a") | stand_in("torch._C").DispatchKeySet("b") == {"a", "b"}
    quantization = stand_in("torch.ao.quantization")
    x = gw.ones(2)
    assert quantization.DeQuantStub()(quantization.QuantStub()(x)) is x


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("fx", "symbolic_trace"), ("fx", "Tracer"), ("fx", "GraphModule"), ("library", "Library"), ("library", "custom_op"),
        ("ao.quantization", "prepare"), ("hub", "load"), ("multiprocessing", "spawn"), ("onnx", "export"),
    ],
)  # fmt: skip
def test_what_would_have_to_do_something_refuses(module: str, name: str) -> None:
    with pytest.raises(NotImplementedError, match="gradwire"):
        getattr(stand_in(f"torch.{module}"), name)("x")


def test_compiled_libraries_are_not_there() -> None:
    ops = stand_in("torch.ops")
    with pytest.raises(OSError, match="gradwire has none"):
        ops.load_library("vision.so")
    with pytest.raises(AttributeError, match="'_OpNamespace' 'torchvision' object has no attribute 'nms'"):
        ops.torchvision.nms  # noqa: B018


def test_dtypes_without_tensors_can_only_be_compared_with() -> None:
    missing = overrides("torch")["uint16"]
    assert repr(missing) == "torch.uint16"
    assert gw.ones(1).dtype != missing
    with pytest.raises(TypeError, match="dtype"):
        gw.zeros(2, dtype=missing)
