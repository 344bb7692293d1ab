"""Subclasses of Tensor: `as_subclass` and `__torch_function__`, as torchvision's images and boxes use them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest


def marked(t: Any) -> Any:
    """Return a subclass that notes which methods it is asked for."""

    class Marked(t.Tensor):  # type: ignore[misc, name-defined]
        asked: ClassVar[list[str]] = []

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            cls.asked.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    return Marked


def test_results_are_of_the_subclass(t: Any) -> None:
    kind = marked(t)
    x = t.tensor([[1.0, 2.0], [3.0, 4.0]]).as_subclass(kind)
    y = (x + 1).relu()
    assert type(y) is kind
    assert y.tolist() == [[2, 3], [4, 5]]
    assert [type(part) for part in y.unbind()] == [kind, kind]
    assert type(x.max(dim=0).values) is kind
    assert {"relu", "unbind", "max"} <= set(kind.asked)


def test_it_stays_in_the_graph_and_on_the_memory(t: Any) -> None:
    kind = marked(t)
    leaf = t.ones(2, requires_grad=True)
    x = (leaf * 2).as_subclass(kind)
    (x * 3).sum().backward()
    assert leaf.grad.tolist() == [6, 6]
    plain = t.zeros(2)
    plain.as_subclass(kind).add_(1)
    assert plain.tolist() == [1, 1]


def test_back_to_a_plain_tensor(t: Any) -> None:
    kind = marked(t)
    x = t.ones(2).as_subclass(kind)
    assert type(x.as_subclass(t.Tensor)) is t.Tensor
    with pytest.raises(TypeError, match="subclass"):
        x.as_subclass(int)


def test_a_subclass_may_decline(t: Any) -> None:
    class Never(t.Tensor):  # type: ignore[misc, name-defined]
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return NotImplemented

    with pytest.raises(TypeError, match="__torch_function__"):
        t.ones(2).as_subclass(Never).exp()
