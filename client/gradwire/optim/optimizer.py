"""The base of all optimizers: parameter groups, state per parameter, hooks, saving and loading.

A subclass gives the defaults of a group and `step`. Nothing here computes an update or waits for
the worker.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import chain
from typing import Any, Final, TypeAlias

from gradwire.nn.parameter import clear_grads
from gradwire.optim.hooks import (
    HookMethods,
    hooked,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from gradwire.tensor import Tensor

__all__ = [
    "Closure", "Optimizer", "ParamsT", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required",
]  # fmt: skip

Closure: TypeAlias = Callable[[], Any]
ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class _Required:
    """The default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required: Final = _Required()


class Optimizer(HookMethods):
    """Base of all optimizers.

    `params` is an iterable of tensors, of (name, tensor) pairs, or of dicts, each a group with its
    own options; `defaults` holds the options that a group does not give. `param_groups` may be
    changed at any time, the learning rate for one. `state` holds what is kept per parameter.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts,"
                f" but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._make_hooks()
        given: list[Any] = list(params)
        if not given:
            raise ValueError("optimizer got an empty parameter list")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_hooks()
        for group in self.param_groups:
            # Saved by a version that lacked an option, a group goes on with its default.
            for name, default in self.defaults.items():
                group.setdefault(name, default)

    # ------------------------------------------------------------ one step
    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient; return what `closure` returned."""
        raise NotImplementedError(f"{type(self).__name__} must implement step")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        clear_grads(self._parameters(), set_to_none)

    def _parameters(self) -> Iterator[Tensor]:
        return chain.from_iterable(group["params"] for group in self.param_groups)

    # ------------------------------------------------------------ groups
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take more parameters, with options of their own; missing ones are the defaults'."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        param_group["params"] = _listed(param_group["params"])
        self._split_names(param_group)
        for parameter in param_group["params"]:
            _check_parameter(parameter)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        self._check_unique(param_group["params"])
        self.param_groups.append(param_group)

    def _split_names(self, group: dict[str, Any]) -> None:
        """Turn (name, tensor) pairs into tensors and the group's `param_names`: all or none."""
        named = [isinstance(entry, tuple) for entry in group["params"]]
        if any(named) and not all(named):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        if named and named[0]:
            group["param_names"] = [name for name, _ in group["params"]]
            group["params"] = [parameter for _, parameter in group["params"]]
        if self.param_groups:
            self._check_names_agree("param_names" in group)

    def _check_names_agree(self, named: bool) -> None:
        if named != ("param_names" in self.param_groups[0]):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group"
                f" {'with' if named else 'without'} names to the optimizer"
            )

    def _check_unique(self, parameters: list[Tensor]) -> None:
        new = {id(parameter) for parameter in parameters}
        if len(new) != len(parameters):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this"
                " will cause an error; see github.com/pytorch/pytorch/issues/40967"
                " for more information",
                stacklevel=4,
            )
        if not new.isdisjoint(id(parameter) for parameter in self._parameters()):
            raise ValueError("some parameters appear in more than one parameter group")

    # ------------------------------------------------------------ saving and loading
    def state_dict(self) -> dict[str, Any]:
        """Return the state and the groups, with parameters as numbers in the order of the groups.

        The tensors in it are the optimizer's own, as in PyTorch: `deepcopy` it to keep a moment.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers = self._numbers()
        groups = [
            {
                **{name: value for name, value in group.items() if name != "params"},
                "params": [numbers[id(parameter)] for parameter in group["params"]],
            }
            for group in self.param_groups
        ]
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: kept for key, kept in self.state.items()}
        made = {"state": state, "param_groups": groups}
        return self._replaced_by(self._optimizer_state_dict_post_hooks, made)

    def _numbers(self) -> dict[int, int]:
        """Number the parameters by id; one that stands twice in a group has one number."""
        numbers: dict[int, int] = {}
        for parameter in self._parameters():
            numbers.setdefault(id(parameter), len(numbers))
        return numbers

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state and options saved from an optimizer with the same groups.

        Parameters are matched by order. State tensors are moved to the parameter's dtype and
        device, and shared with `state_dict` where they need no move.
        """
        state_dict = self._replaced_by(self._optimizer_load_state_dict_pre_hooks, state_dict.copy())
        saved = deepcopy(state_dict["param_groups"])
        self._check_same_layout(saved)
        numbers = chain.from_iterable(group["params"] for group in saved)
        by_number = dict(zip(numbers, self._parameters(), strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, kept in state_dict["state"].items():
            if key in by_number:
                state[by_number[key]] = _fitted(by_number[key], kept)
            else:
                state[key] = kept
        groups = [_regrouped(own, new) for own, new in zip(self.param_groups, saved, strict=True)]
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def _check_same_layout(self, saved: list[dict[str, Any]]) -> None:
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = zip(self.param_groups, saved, strict=True)
        if any(len(own["params"]) != len(new["params"]) for own, new in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(("\n" if number else "") + f"Parameter Group {number}")
            shown = sorted(name for name in group if name != "params")
            lines.extend(f"    {name}: {group[name]}" for name in shown)
        return "\n".join([*lines, ")"])


def _listed(params: Any) -> list[Any]:
    if isinstance(params, Tensor):
        return [params]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of"
            " tensors in sets will change between runs. Please use a list instead."
        )
    return list(params)


def _check_parameter(parameter: object) -> None:
    if not isinstance(parameter, Tensor):
        raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(parameter).__name__}")
    if not (parameter.is_leaf or parameter.retains_grad):
        raise ValueError("can't optimize a non-leaf Tensor")


def _regrouped(own: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the loaded options with the optimizer's own parameters, and names if none came."""
    new["params"] = own["params"]
    if "param_names" in own:
        new.setdefault("param_names", own["param_names"])
    return new


def _fitted(parameter: Tensor, kept: dict[str, Any]) -> dict[str, Any]:
    """Return what was kept for a parameter, with its tensors in the parameter's dtype and place."""
    # A step count keeps its dtype: float16 would not count far.
    return {name: value if name == "step" else _moved(parameter, value) for name, value in kept.items()}


def _moved(parameter: Tensor, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(parameter.device, _dtype_for(parameter, value))
    if isinstance(value, dict):
        return {name: _moved(parameter, entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(parameter, entry) for entry in value)
    return value


def _dtype_for(parameter: Tensor, value: Tensor) -> Any:
    return parameter.dtype if parameter.is_floating_point() else value.dtype
