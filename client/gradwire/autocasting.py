"""How `autocast` acts: what is on in this thread, and the casts before an op that is on a list.

`Tensor._call` asks `state.active` alone, once per call. Methods that are made of several ops are wrapped when autocast is
first switched on, so that a process that never does pays nothing for them.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gradwire.autocast_lists import LISTS, Policy
from gradwire.autograd.grad_mode import state as grad_state
from gradwire_protocol.dtypes import DType, bfloat16, float16, float32, float64, promote_types
from gradwire_protocol.registry import OPS, Op

__all__ = [
    "as_it_was",
    "cast_inputs",
    "cast_named",
    "own_cache",
    "settings",
    "snapshot",
    "state",
    "suspended",
    "switch",
]

_Source = tuple[Any, int, Any]
Snapshot = tuple[frozenset[str], dict[str, DType], bool]


class _Settings(threading.local):
    """What autocast is in one thread."""

    def __init__(self) -> None:
        self.enabled: frozenset[str] = frozenset()
        self.dtypes: dict[str, DType] = {"cpu": bfloat16, "cuda": float16}
        self.cache_enabled = True
        self.nesting = 0
        # Casts of weights: by id, dtype and whether they are recorded, with the weight and the version they were made of.
        self.cache: dict[tuple[int, DType, bool], _Source] = {}
        self.is_suspended = False


class _State:
    """Whether any thread of this process has autocast on: all that a call asks while none has."""

    __slots__ = ("active",)

    def __init__(self) -> None:
        self.active = 0


# PyTorch's words for the one op that is refused.
_UNSAFE = (
    "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.\nMany models use a sigmoid layer "
    "right before the binary cross entropy layer.\nIn this case, combine the two layers using "
    "torch.nn.functional.binary_cross_entropy_with_logits\nor torch.nn.BCEWithLogitsLoss.  "
    "binary_cross_entropy_with_logits and BCEWithLogits are\nsafe to autocast."
)
settings = _Settings()
state = _State()
_lock = threading.Lock()
_wrapped: list[str] = []


def switch(device_type: str, enabled: bool) -> None:
    """Switch autocast on or off for the ops of this thread on a type of device."""
    before = settings.enabled
    settings.enabled = before | {device_type} if enabled else before - {device_type}
    change = bool(settings.enabled) - bool(before)
    if not change:
        return
    with _lock:
        state.active += change
        if not _wrapped:
            _wrap_methods()


def snapshot() -> Snapshot:
    """Return what is on in this thread, for `as_it_was`."""
    return settings.enabled, dict(settings.dtypes), settings.cache_enabled


@contextmanager
def as_it_was(wanted: Snapshot) -> Iterator[None]:
    """Run as under an earlier autocast: a forward that is computed again in a backward needs the same dtypes."""
    previous = snapshot()
    _restore(wanted)
    settings.nesting += 1
    try:
        yield
    finally:
        settings.nesting -= 1
        if settings.nesting == 0:
            settings.cache.clear()
        _restore(previous)


def _restore(wanted: Snapshot) -> None:
    enabled, dtypes, settings.cache_enabled = wanted
    settings.dtypes = dict(dtypes)
    for device_type in LISTS:
        switch(device_type, device_type in enabled)


@contextmanager
def suspended() -> Iterator[None]:
    """Run ops as they are: inside of a method whose inputs were cast."""
    previous, settings.is_suspended = settings.is_suspended, True
    try:
        yield
    finally:
        settings.is_suspended = previous


@contextmanager
def own_cache() -> Iterator[None]:
    """Cast weights anew, and keep no cast beyond the block: in a program, a cast of before would be a stale weight."""
    previous, settings.cache = settings.cache, {}
    try:
        yield
    finally:
        settings.cache = previous


def cast_inputs(op: Op, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of a call in the dtypes that autocast gives them."""
    found = _policy(tensors, op.name if op.name.startswith("gw::") else op.schema.name)
    if found is None:
        return tensors
    policy, device_type = found
    dtype = _target(policy, device_type, tensors)
    return tensors if dtype is None else tuple([_cast(tensor, dtype, device_type) for tensor in tensors])


def cast_named(name: str, tensor: Any) -> Any:
    """Return an input as autocast gives it to a listed op: for a function that refuses dtypes before it runs any."""
    if not state.active:
        return tensor
    found = _policy((tensor,), name)
    dtype = None if found is None else _target(*found, (tensor,))
    return tensor if found is None or dtype is None else _cast(tensor, dtype, found[1])


def _policy(tensors: Any, name: str) -> tuple[Policy, str] | None:
    if not settings.enabled or settings.is_suspended:
        return None
    for tensor in tensors:
        if tensor is not None:
            device_type = tensor.session.device.partition(":")[0]
            policy = LISTS[device_type].get(name) if device_type in settings.enabled else None
            return None if policy is None else (policy, device_type)
    return None


def _target(policy: Policy, device_type: str, tensors: Any) -> DType | None:
    """Return the dtype to cast to; None to cast nothing."""
    if policy is Policy.LOWER:
        return settings.dtypes[device_type]
    if policy is Policy.WIDE:
        return float32
    if policy is Policy.UNTOUCHED:
        return None
    if policy is Policy.REFUSED:
        raise RuntimeError(_UNSAFE)
    dtype = settings.dtypes[device_type]
    for tensor in tensors:
        if _is_eligible(tensor):
            dtype = promote_types(dtype, tensor.meta.dtype)
    return dtype


def _is_eligible(tensor: Any) -> bool:
    """Return whether autocast touches an input: a real floating tensor, but not one of float64."""
    return tensor is not None and tensor.meta.dtype.is_floating_point and tensor.meta.dtype is not float64


def _cast(tensor: Any, dtype: DType, device_type: str) -> Any:
    if not _is_eligible(tensor) or tensor.meta.dtype is dtype:
        return tensor
    is_weight = tensor.leaf_requires_grad and tensor.node is None and tensor.base is None
    if not (settings.cache_enabled and is_weight and dtype is settings.dtypes[device_type]):
        return tensor._to_dtype(dtype)
    # A weight that an optimizer has written since counts as another one; PyTorch would give the old cast.
    key, version = (id(tensor), dtype, grad_state.recording), tensor.storage.version
    source, made_of, cast = settings.cache.get(key, (None, 0, None))
    if source is not tensor or made_of != version:
        cast = tensor._to_dtype(dtype)
        settings.cache[key] = (tensor, version, cast)
    return cast


# ---------------------------------------------------------------- methods of several ops
def _wrap_methods() -> None:
    """Let the listed methods that are no ops themselves cast their inputs, and run their own ops as they are."""
    from gradwire.tensor import Tensor

    ops = {op.schema.name for op in OPS.values()}
    names = {name: name for lists in LISTS.values() for name in lists if name not in ops and hasattr(Tensor, name)}
    operators = {name: "matmul" for name in ("__matmul__", "__rmatmul__") if hasattr(Tensor, name)}
    for attribute, name in (names | operators).items():
        setattr(Tensor, attribute, _casting(name, getattr(Tensor, attribute)))
        _wrapped.append(attribute)


def _casting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        found = _policy(args[:1], name) if state.active else None
        if found is None:
            return method(*args, **kwargs)
        policy, device_type = found
        dtype = _target(policy, device_type, _tensors((*args, *kwargs.values())))
        with suspended():
            if dtype is not None:
                args = tuple([_cast_any(value, dtype, device_type) for value in args])
                kwargs = {key: _cast_any(value, dtype, device_type) for key, value in kwargs.items()}
            return method(*args, **kwargs)

    return wrapper


def _tensors(values: Any) -> list[Any]:
    from gradwire.tensor import Tensor

    return [value for value in values if isinstance(value, Tensor)]


def _cast_any(value: Any, dtype: DType, device_type: str) -> Any:
    """Cast a tensor, or those of a list, such as the two states of an LSTM's cell."""
    from gradwire.tensor import Tensor

    if type(value) in (list, tuple):
        return type(value)([_cast_any(item, dtype, device_type) for item in value])
    return _cast(value, dtype, device_type) if isinstance(value, Tensor) else value
