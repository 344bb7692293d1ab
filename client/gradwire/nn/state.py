"""A module's state as a flat dict of tensors by dotted name, and back.

Owns the key layout, which is PyTorch's, and the report of what did not fit. It copies values into
the tensors that the module already has, unless `assign` asks to take the given ones over.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, ClassVar, NamedTuple

from gradwire.autograd.grad_mode import no_grad
from gradwire.nn.parameter import Parameter
from gradwire.nn.state_hooks import StateHooks
from gradwire.nn.tree import ModuleTree
from gradwire.tensor import Tensor

__all__ = ["ModuleState"]

_EXTRA_STATE = "_extra_state"
_ASSIGN = "assign_to_params_buffers"


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found on one side only."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class ModuleState(StateHooks, ModuleTree):
    """Saving and loading of a module's parameters and persistent buffers."""

    _version: ClassVar[int] = 1
    _non_persistent_buffers_set: set[str]

    def get_extra_state(self) -> Any:
        """Return what else the state of this module holds; override together with the setter."""
        raise RuntimeError("get_extra_state is only called where a module class defines it")

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned; override together with the getter."""
        raise RuntimeError(
            f"loading an extra state needs {self._get_name()}.set_extra_state; define it beside get_extra_state"
        )

    # ------------------------------------------------------------ out
    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """Return an OrderedDict of all parameters and persistent buffers by dotted name.

        The tensors are detached and share storage with the module's; `keep_vars=True` gives the
        parameters themselves. `destination` is filled instead of a new dict. Does not wait.
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        self._before_saving(prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        return self._after_saving(destination, prefix, local_metadata)

    def _save_to_state_dict(self, destination: MutableMapping[str, Any], prefix: str, keep_vars: bool) -> None:
        """Write what this module alone holds; a module of an unusual layout overrides it."""
        for name, tensor in self._saved():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if _defines(self, "get_extra_state"):
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def _saved(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                yield name, parameter
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                yield name, buffer

    # ------------------------------------------------------------ in
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy `state_dict` into the parameters and buffers of this module and all below it.

        Returns the missing and the unexpected keys; with `strict`, any is an error. A shape that
        does not fit always is: RuntimeError, with everything that went wrong, and what did fit is
        loaded. `assign=True` makes the given tensors the module's instead of copying from them.
        Does not wait for the worker.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        report = _Report(getattr(state_dict, "_metadata", None) or {}, assign)
        _load_tree(self, _copied(state_dict), "", report)
        if strict:
            report.add_key_errors()
        if report.errors:
            listed = "\n\t".join(report.errors)
            raise RuntimeError(f"Error(s) in loading state_dict for {self._get_name()}:\n\t{listed}")
        return _IncompatibleKeys(report.missing, report.unexpected)

    def _load_from_state_dict(
        self,
        state_dict: MutableMapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what this module alone holds, adding to the three lists what does not fit."""
        self._before_loading(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = local_metadata.get(_ASSIGN, False)
        own = dict(self._saved())
        for name, tensor in own.items():
            key = prefix + name
            if key in state_dict:
                error = _load_one(self, name, key, tensor, state_dict[key], assign)
                error_msgs.extend(error)
            elif strict:
                missing_keys.append(key)
        self._load_extra_state(state_dict, prefix + _EXTRA_STATE, strict, missing_keys)
        if strict:
            known = {*own, *self._expected_extra()}
            unexpected_keys.extend(_unknown(state_dict, prefix, known, self._modules))

    def _expected_extra(self) -> tuple[str, ...]:
        wanted = _defines(self, "get_extra_state") or _defines(self, "set_extra_state")
        return (_EXTRA_STATE,) if wanted else ()

    def _load_extra_state(self, state_dict: Mapping[str, Any], key: str, strict: bool, missing_keys: list[str]) -> None:
        if not self._expected_extra():
            return
        if key in state_dict:
            self.set_extra_state(state_dict[key])
        elif strict:
            missing_keys.append(key)


class _Report:
    """What one `load_state_dict` found, over the whole tree."""

    def __init__(self, metadata: Mapping[str, dict[str, Any]], assign: bool) -> None:
        self.metadata = metadata
        self.assign = assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []

    def local_metadata(self, prefix: str) -> dict[str, Any]:
        """Return what was saved about the module at `prefix`, and whether to assign.

        The second travels under PyTorch's key, as overrides of `_load_from_state_dict` look there.
        """
        return {**self.metadata.get(prefix[:-1], {}), _ASSIGN: self.assign}

    def add_key_errors(self) -> None:
        for kind, keys in (("Unexpected", self.unexpected), ("Missing", self.missing)):
            if keys:
                listed = ", ".join(f'"{key}"' for key in keys)
                self.errors.insert(0, f"{kind} key(s) in state_dict: {listed}. ")


def _copied(state_dict: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return a copy, which hooks may change, with the original's metadata."""
    copy = OrderedDict(state_dict)
    if hasattr(state_dict, "_metadata"):
        copy._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return copy


def _load_tree(module: ModuleState, state_dict: MutableMapping[str, Any], prefix: str, report: _Report) -> None:
    # Always strict here, so that a lenient load returns the keys that it forgives.
    module._load_from_state_dict(
        state_dict,
        prefix,
        report.local_metadata(prefix),
        True,
        report.missing,
        report.unexpected,
        report.errors,
    )
    for name, child in module._modules.items():
        if child is not None:
            below = f"{prefix}{name}."
            part = {key: value for key, value in state_dict.items() if key.startswith(below)}
            _load_tree(child, part, below, report)
    module._after_loading(_IncompatibleKeys(report.missing, report.unexpected))


def _load_one(module: ModuleState, name: str, key: str, own: Tensor, given: Any, assign: bool) -> list[str]:
    """Load one tensor; return the error as a list of none or one."""
    if not isinstance(given, Tensor):
        return [
            f'While copying the parameter named "{key}", expected gradwire.Tensor or Tensor-like'
            f" object from checkpoint but received {type(given)}"
        ]
    if own.dim() == 0 and tuple(given.shape) == (1,):
        given = given[0]  # PyTorch before 0.4 saved a 0-dim tensor as one of shape (1,).
    if own.shape != given.shape:
        return [
            f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint,"
            f" the shape in current model is {own.shape}."
        ]
    try:
        if assign:
            _take_over(module, name, own, given)
        else:
            with no_grad():
                own.copy_(given)
    except Exception as error:
        return [
            f'While copying the parameter named "{key}", whose dimensions in the model are'
            f" {own.shape} and whose dimensions in the checkpoint are {given.shape},"
            f" an exception occurred : {error.args}."
        ]
    return []


def _take_over(module: ModuleState, name: str, own: Tensor, given: Tensor) -> None:
    if isinstance(own, Parameter) and not isinstance(given, Parameter):
        given = Parameter(given, requires_grad=own.requires_grad)
    elif isinstance(own, Parameter):
        given.requires_grad_(own.requires_grad)
    setattr(module, name, given)


def _unknown(keys: Iterable[str], prefix: str, own: set[str], children: Mapping[str, Any]) -> Iterator[str]:
    """Find the keys below `prefix` that are neither a tensor of the module nor below a child."""
    for key in keys:
        name, dot, _ = key.removeprefix(prefix).partition(".")
        if key.startswith(prefix) and name not in (children if dot else own):
            yield key


def _defines(module: ModuleState, name: str) -> bool:
    return getattr(type(module), name) is not getattr(ModuleState, name)
