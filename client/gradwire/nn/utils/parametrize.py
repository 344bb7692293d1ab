"""Parametrizations: a parameter or buffer of a module becomes a function of others, computed when it is read.

The module gets a class of its own, in which the name is a property; the functions and what they are of lie in its child
`parametrizations`, a ModuleDict. Names of states and rules for `right_inverse` are PyTorch's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from gradwire.autograd.grad_mode import no_grad
from gradwire.nn.container import ModuleDict, ModuleList
from gradwire.nn.module import Module
from gradwire.nn.parameter import Parameter
from gradwire.tensor import Tensor

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip


class _Cache:
    """What parametrized names are worth inside of `cached()`: by module and name."""

    depth = 0
    values: dict[tuple[int, str], Tensor] = {}  # noqa: RUF012 - the one cache of the process, as in PyTorch


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside this context, however often it is read."""
    _Cache.depth += 1
    try:
        yield
    finally:
        _Cache.depth -= 1
        if not _Cache.depth:
            _Cache.values = {}


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _set(tensor: Tensor, value: Tensor) -> None:
    """Let `tensor` hold what `value` does and stay itself, since an optimizer may know it."""
    if value is not tensor:
        tensor.data = value.detach()


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in running order, and the `original` (or `original0`, ...) that they are of."""

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        """Register the originals, found by `right_inverse`, and check what the parametrization makes of them."""
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        dtype, shape = original.dtype, original.shape
        new = self._inverted(original)
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            self._hold_one(original, new)
        else:
            self._hold_several(original, new)
        if not unsafe:
            self._check_result(dtype, shape)

    def _inverted(self, original: Tensor) -> Any:
        """Return what the first parametrization is of; one without `right_inverse` is taken for the identity here."""
        new: Any = original
        with no_grad():
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        continue
        if not isinstance(new, Tensor | Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        return new

    def _hold_one(self, original: Tensor, new: Tensor) -> None:
        for name in ("dtype", "device"):
            if getattr(original, name) != getattr(new, name):
                raise ValueError(
                    f"When `right_inverse` outputs one tensor, it may not change the {name}.\n"
                    f"original.{name}: {getattr(original, name)}\n"
                    f"right_inverse(original).{name}: {getattr(new, name)}"
                )
        with no_grad():
            _set(original, new)
        _register(self, "original", original)

    def _hold_several(self, original: Tensor, new: Sequence[Any]) -> None:
        for index, tensor in enumerate(new):
            if not isinstance(tensor, Tensor):
                raise ValueError(
                    "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                    f"Got element {index} of the sequence with type {type(tensor).__name__}."
                )
            if isinstance(original, Parameter):
                tensor = Parameter(tensor, original.requires_grad)
            tensor.requires_grad_(original.requires_grad)
            _register(self, f"original{index}", tensor)

    def _check_result(self, dtype: Any, shape: Any) -> None:
        made = self()
        if not isinstance(made, Tensor):
            raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
        for name, before in (("dtype", dtype), ("shape", shape)):
            if getattr(made, name) != before:
                raise ValueError(
                    f"Registering a parametrization may not change the {name} of the tensor, unless `unsafe` flag is "
                    f"enabled.\nunparametrized {name}: {before}\nparametrized {name}: {getattr(made, name)}"
                )

    def right_inverse(self, value: Any) -> None:
        """Set the originals so that the parametrization makes `value` of them: what an assignment does."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            if self.is_tensor:
                self._assign_one(value)
            else:
                self._assign_several(value)

    def _assign_one(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
        if value.dtype != self.original.dtype:
            raise ValueError(
                f"The tensor returned by `right_inverse` has dtype {value.dtype} "
                f"while `original` has dtype {self.original.dtype}"
            )
        _set(self.original, value)

    def _assign_several(self, values: Any) -> None:
        if not isinstance(values, Sequence):
            raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(values).__name__}.")
        if len(values) != self.ntensors:
            raise ValueError(
                f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                f"Got a sequence of length {len(values)}."
            )
        for index, tensor in enumerate(values):
            original = getattr(self, f"original{index}")
            if not isinstance(tensor, Tensor):
                raise ValueError(
                    f"`right_inverse` must return a sequence of tensors. Got element {index} of type "
                    f"{type(tensor).__name__}"
                )
            if original.dtype != tensor.dtype:
                raise ValueError(
                    f"Tensor {index} returned by `right_inverse` has dtype {tensor.dtype} "
                    f"while `original{index}` has dtype {original.dtype}"
                )
            _set(original, tensor)

    def _originals(self) -> list[Tensor]:
        names = ["original"] if self.is_tensor else [f"original{index}" for index in range(self.ntensors)]
        return [getattr(self, name) for name in names]

    def forward(self) -> Any:
        """Return the parametrized tensor."""
        first, *others = self
        made = first(*self._originals())
        for module in others:
            made = module(made)
        return made

    def take_old_names(self, state_dict: MutableMapping[str, Any], prefix: str, name: str) -> None:
        """Rename entries that an older way of doing the same wrote; a parametrization lists them in `old_names`."""
        for module in self:
            renamed = {
                f"{prefix}{name}{old}": f"{prefix}parametrizations.{name}.{new}"
                for old, new in getattr(module, "old_names", {}).items()
            }
            if renamed and all(old in state_dict for old in renamed):
                for old, new in renamed.items():
                    state_dict[new] = state_dict.pop(old)


# ---------------------------------------------------------------- the class of a parametrized module
def _refuse_state(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    """Copy as `copy.deepcopy` does of what has no methods for it, which would ask for the state that is refused."""
    if id(self) not in memo:
        replica = memo[id(self)] = object.__new__(type(self))
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
    return memo[id(self)]


def _inject_class(module: Module) -> None:
    """Give a module a class of its own; its base is the class that it had."""
    kind: Any = type(module)

    def load(self: Any, state_dict: MutableMapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, held in self.parametrizations.items():
            held.take_old_names(state_dict, prefix, name)
        kind._load_from_state_dict(self, state_dict, prefix, *rest)

    members: dict[str, Any] = {"__getstate__": _refuse_state, "_load_from_state_dict": load}
    if not hasattr(kind, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{kind.__name__}", (kind,), members)


def _inject_property(module: Module, tensor_name: str) -> None:
    def get(self: Any) -> Any:
        held = self.parametrizations[tensor_name]
        if not _Cache.depth:
            return held()
        key = (id(self), tensor_name)
        if key not in _Cache.values:
            _Cache.values[key] = held()
        return _Cache.values[key]

    def set_(self: Any, value: Any) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get, set_))


# ---------------------------------------------------------------- registering
def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `module.<tensor_name>` be `parametrization` of what it was; return the module.

    A further parametrization is of the one before. `parametrization.right_inverse`, where it has one, says of what value
    the present one is made, and lets the name be assigned to. `unsafe` allows another shape or dtype.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        held = cast(Any, module.parametrizations)[tensor_name]
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        held.append(parametrization)
        held.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        held = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        cast(Any, module.parametrizations)[tensor_name] = held
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name '{tensor_name}'"
        )
    return module


def _check_further(module: Module, tensor_name: str, parametrization: Any) -> None:
    """Check that one more parametrization, and its inverse, keep shape and dtype."""
    before = getattr(module, tensor_name)
    after = parametrization(before)
    if not isinstance(after, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(after).__name__}.")
    for name in ("dtype", "shape"):
        if getattr(after, name) != getattr(before, name):
            raise ValueError(
                f"Registering a parametrization may not change the {name} of the tensor, unless the `unsafe` flag is "
                f"enabled.\nmodule.{tensor_name}.{name}: {getattr(before, name)}\n"
                f"parametrization(module.{tensor_name}).{name}: {getattr(after, name)}"
            )
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        inverse = parametrization.right_inverse(after)
    except NotImplementedError:
        return
    if not isinstance(inverse, Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(inverse).__name__}")
    for name in ("dtype", "shape"):
        if getattr(inverse, name) != getattr(before, name):
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {name} as "
                f"module.{tensor_name}, unless the `unsafe` flag is enabled.\n"
                f"module.{tensor_name}.{name}: {getattr(before, name)}\nreturned {name}: {getattr(inverse, name)}"
            )


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Return whether a name of `module`, or any, is parametrized."""
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make `module.<tensor_name>` a plain parameter or buffer again, of its present value; return the module.

    With `leave_parametrized=False` it is of the original's value, if there is one original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    table = cast(Any, module.parametrizations)
    held = table[tensor_name]
    if held.is_tensor:
        original = held.original
        if leave_parametrized:
            with no_grad():
                _set(original, getattr(module, tensor_name))
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del table[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """Return the class that a module had before its first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations of one module's name, or of all, and their originals; return it."""
    if not is_parametrized(from_module):
        return to_module
    table = cast(Any, from_module.parametrizations)
    for name in [tensor_name] if tensor_name is not None else list(table):
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in table[name]:
            register_parametrization(to_module, name, parametrization)
        into = cast(Any, to_module.parametrizations)[name]
        for key, original in (*table[name]._parameters.items(), *table[name]._buffers.items()):
            setattr(into, key, original)
    return to_module
