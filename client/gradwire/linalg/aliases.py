"""numpy's names of arguments, which PyTorch's functions take too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["takes_numpy_names"]

P = ParamSpec("P")
R = TypeVar("R")

_NAMES = {"x": "input", "a": "input", "x1": "input", "x2": "other", "axis": "dim", "keepdims": "keepdim"}


def takes_numpy_names(function: Callable[P, R]) -> Callable[P, R]:
    """Let `function` be called with numpy's names as well: `axis` for `dim`, `x` for `input`, and so on.

    What is given under both names is an unexpected keyword, as in PyTorch.
    """
    own = inspect.signature(function).parameters
    known = {alias: name for alias, name in _NAMES.items() if name in own and alias not in own}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> R:
        for alias in known.keys() & kwargs.keys():
            if known[alias] not in kwargs:
                kwargs[known[alias]] = kwargs.pop(alias)
        return function(*args, **kwargs)

    return call
