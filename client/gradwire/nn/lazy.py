"""Parameters, buffers and modules whose shapes the first input decides. The layers are in lazy_layers.py."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, cast

from gradwire.autograd.grad_mode import no_grad
from gradwire.creation import empty
from gradwire.nn.parameter import Buffer, Parameter
from gradwire.tensor import Tensor

if TYPE_CHECKING:
    from gradwire.nn.module import Module

    _Base = Module
else:
    _Base = object

__all__ = ["LazyModuleMixin", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]

# What a conversion of a whole module (`to`, `half`) does with each tensor; it leads to no look at elements.
_ALLOWED = frozenset(("_to_dtype", "detach", "alias"))


class _Uninitialized(Tensor):
    """A tensor without a shape yet: dtype, device and `requires_grad` are known, and `materialize` gives it the rest."""

    cls_to_become: ClassVar[type[Tensor]]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary tensor of that shape, with arbitrary elements."""
        self.data = empty(tuple(shape), device=device or self.device, dtype=dtype or self.dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]

    @property
    def shape(self) -> Any:
        """Raise RuntimeError: there is none yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` to "
            "initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> NoReturn:
        """Raise RuntimeError: there is no memory yet."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def numel(self) -> NoReturn:
        """Raise ValueError: there are no elements yet."""
        self._refuse("numel")

    def _call(self, op: Any, *arguments: Any) -> Any:
        return super()._call(op, *arguments) if op.name in _ALLOWED else self._refuse(op.name)

    def _refuse(self, name: str) -> NoReturn:
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {name}. This error happens when you are using a "
            f"`LazyModule` or explicitly manipulating `torch.nn.parameter.{type(self).__name__}` objects. When using "
            "LazyModules Call `forward` with a dummy batch to initialize the parameters before calling torch functions"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter that has no shape until `materialize`."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        """Return one of a dtype."""
        made = empty(0, device=device, dtype=dtype)._alias_as(cls, requires_grad)
        return cast(UninitializedParameter, made)

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        """Return another without a shape."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype)
        return cast(UninitializedParameter, memo[id(self)])


class UninitializedBuffer(_Uninitialized, Buffer):
    """A buffer that has no shape until `materialize`."""

    cls_to_become = Tensor

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        """Return one of a dtype."""
        made = cast(UninitializedBuffer, empty(0, device=device, dtype=dtype)._alias_as(cls, requires_grad))
        made.persistent = persistent
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedBuffer:
        """Return another without a shape."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype, self.persistent)
        return cast(UninitializedBuffer, memo[id(self)])


def is_lazy(param: Any) -> bool:
    """Return whether a parameter or buffer has no shape yet."""
    return isinstance(param, _Uninitialized)


class LazyModuleMixin(_Base):
    """Makes a module lazy: its first call runs `initialize_parameters`, and makes it a `cls_to_become`.

    Stands before the module's class among the bases; gives its tensors as `UninitializedParameter`s and
    `UninitializedBuffer`s. A state that is loaded initializes them too.
    """

    cls_to_become: ClassVar[type[Any] | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the tensors their shapes, and values, by what `forward` is about to be called with."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def _lazy_tensors(self) -> list[tuple[str, Any]]:
        held = chain(self._parameters.items(), self._buffers.items())
        return [(name, tensor) for name, tensor in held if is_lazy(tensor)]

    def has_uninitialized_params(self) -> bool:
        """Return whether a parameter or buffer of this module has no shape yet."""
        return bool(self._lazy_tensors())

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        """Initialize before the first call, and never again: the hook that does so goes with the class."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        # Found by what it calls: a handle would, in a copy of a module, be that of the original's.
        for key, hook in list(module._forward_pre_hooks.items()):
            if hook.function == module._infer_parameters:
                del module._forward_pre_hooks[key]
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _save_to_state_dict(self, destination: MutableMapping[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, tensor in self._saved():
            destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()

    def _load_from_state_dict(
        self,
        state_dict: MutableMapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        *rest: Any,
    ) -> None:
        """Give tensors the shapes of the given ones; one that neither side knows the shape of is left as it is."""
        unknown = set()
        for name, tensor in self._lazy_tensors():
            given = state_dict.get(prefix + name)
            if is_lazy(given):
                unknown.add(prefix + name)
            elif isinstance(given, Tensor):
                with no_grad():
                    tensor.materialize(given.shape)
        known = {key: value for key, value in state_dict.items() if key not in unknown}
        missing: list[str] = []
        super()._load_from_state_dict(known, prefix, local_metadata, strict, missing, *rest)
        missing_keys.extend(key for key in missing if key not in unknown)
