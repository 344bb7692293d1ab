"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Variable

if TYPE_CHECKING:
    from gradwire.nn.module import Module

__all__ = ["functional_call", "replace_all_batch_norm_modules_", "stack_module_state"]

_MISSING = object()


def _one_dict(dicts: Any) -> dict[str, Any]:
    if isinstance(dicts, dict):
        return dicts
    if not isinstance(dicts, Sequence):
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(dicts)}"
        )
    if not all(isinstance(item, dict) for item in dicts):
        raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
    keys = [key for item in dicts for key in item]
    repeated = [key for key in dict.fromkeys(keys) if keys.count(key) > 1]
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    return {key: value for item in dicts for key, value in item.items()}


def _all_named(module: Module) -> dict[str, Any]:
    """Return every tensor by every name it has."""
    return {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }


def _with_ties(module: Module, given: dict[str, Any]) -> dict[str, Any]:
    """Return `given` with the other names of each tensor that has several."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in _all_named(module).items():
        names_of.setdefault(id(tensor), []).append(name)
    made = dict(given)
    for names in names_of.values():
        values = {id(given[name]): given[name] for name in names if name in given}
        if len(names) > 1 and len(values) > 1:
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        for value in values.values():
            made.update(dict.fromkeys(names, value))
    return made


def _check_keys(module: Module, given: Mapping[str, Any]) -> None:
    known = _all_named(module)
    words = []
    for kind, names in (("Unexpected", given.keys() - known.keys()), ("Missing", known.keys() - given.keys())):
        if names:
            words.append(f"{kind} key(s): {', '.join(map(repr, sorted(names)))}.")
    if words:
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t" + "\n\t".join(words))


def _swap(module: Module, dotted: str, tensor: Any) -> Any:
    """Put a tensor at a module's name, or take it away, and return what was there."""
    path, _, name = dotted.rpartition(".")
    holder: Any = module.get_submodule(path)
    for held in (holder._parameters, holder._buffers):
        if name in held:
            previous, held[name] = held[name], tensor
            return previous
    previous = getattr(holder, name, _MISSING)
    if previous is not _MISSING and not isinstance(previous, Variable):
        raise TypeError(f"{previous} is not an instance of torch.Tensor")
    if tensor is _MISSING:
        delattr(holder, name)
    else:
        # Past the module's own __setattr__, which would register a Parameter.
        object.__setattr__(holder, name, tensor)
    return previous


@contextmanager
def _swapped(module: Module, tensors: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Let `tensors` be the module's inside; the dict given holds what is there at the end, which forward may change."""
    previous: dict[str, Any] = {}
    last: dict[str, Any] = {}
    try:
        for name, tensor in tensors.items():
            if not isinstance(tensor, Variable):
                raise TypeError(f"{tensor} is not an instance of torch.Tensor")
            previous[name] = _swap(module, name, tensor)
        yield last
    finally:
        for name, tensor in previous.items():
            last[name] = _swap(module, name, tensor)


def functional_call(
    module: Module, parameter_and_buffer_dicts: dict[str, Any] | Sequence[dict[str, Any]], args: Any = None,
    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False,
) -> Any:  # fmt: skip
    """Return `module(*args, **kwargs)` with other tensors as its parameters and buffers, by name; the rest stay its own.

    With `tie_weights`, a tensor that the module has under several names is replaced under all. `strict` wants all names. A
    buffer that `forward` sets anew is put into the dict given, not into the module.
    """
    given = _one_dict(parameter_and_buffer_dicts)
    tensors = _with_ties(module, given) if tie_weights else given
    if strict:
        _check_keys(module, tensors)
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _swapped(module, tensors) as last:
        result = module(*positional, **(kwargs or {}))
    given.update({name: last[name] for name in given})
    return result


def _stacked(tensors: Sequence[Any], name: str) -> Any:
    flags = {tensor.requires_grad for tensor in tensors}
    if len(flags) > 1:
        raise RuntimeError(f"Expected {name} from each model to have the same .requires_grad")
    result = OPS["stack"]([tensor.detach() for tensor in tensors], 0)
    return result.requires_grad_(flags.pop())


def _stacked_states(states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _stacked([state[name] for state in states], name) for name in states[0]}


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters and the buffers of modules of one class by name, each stacked: for `vmap` of an ensemble."""
    if not len(models):
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = _stacked_states([dict(model.named_parameters()) for model in models])
    return parameters, _stacked_states([dict(model.named_buffers()) for model in models])


def replace_all_batch_norm_modules_(root: Module) -> Module:
    """Let every batch normalization below `root` use the batch's statistics alone, which `vmap` can map; return `root`."""
    from gradwire.nn.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d

    for module in root.modules():
        if isinstance(module, BatchNorm1d | BatchNorm2d | BatchNorm3d):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
