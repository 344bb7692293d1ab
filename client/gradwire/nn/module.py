"""`Module`: what every layer and model derives from, with PyTorch's rules for its attributes.

Owns what happens when an attribute is set, read or deleted, when the module is called, switched
between training and evaluation, converted, or printed. The walks over the tree of modules are in
tree.py, saving and loading in state.py, hooks in hooks.py.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self

from gradwire.autograd.grad_mode import no_grad
from gradwire.memory import check_memory_format
from gradwire.nn.hooks import ForwardHook, ForwardPreHook, call_with_hooks
from gradwire.nn.parameter import Buffer, Parameter, clear_grads
from gradwire.nn.state import ModuleState
from gradwire.nn.state_hooks import REGISTERS
from gradwire.nn.tree import type_name
from gradwire.removable_handle import RemovableHandle
from gradwire.tensor import Tensor
from gradwire_protocol.dtypes import DType, bfloat16, float16, float32, float64

__all__ = ["Module"]


class Module(ModuleState):
    """Base of all layers and models.

    A subclass calls `super().__init__()`, assigns parameters, buffers and other modules to
    attributes, which registers them, and defines `forward`. Calling the module runs `forward`
    between its hooks.
    """

    training: bool
    _forward_hooks: OrderedDict[int, ForwardHook]
    _forward_pre_hooks: OrderedDict[int, ForwardPreHook]
    _backward_hooks: OrderedDict[int, Callable[..., Any]]
    _backward_pre_hooks: OrderedDict[int, Callable[..., Any]]

    def __init__(self) -> None:
        # Set past __setattr__, which needs these registers to be there.
        object.__setattr__(self, "training", True)
        object.__setattr__(self, "_parameters", {})
        object.__setattr__(self, "_buffers", {})
        object.__setattr__(self, "_non_persistent_buffers_set", set())
        object.__setattr__(self, "_forward_hooks", OrderedDict())
        object.__setattr__(self, "_forward_pre_hooks", OrderedDict())
        object.__setattr__(self, "_backward_hooks", OrderedDict())
        object.__setattr__(self, "_backward_pre_hooks", OrderedDict())
        for register in REGISTERS:
            object.__setattr__(self, register, OrderedDict())
        object.__setattr__(self, "_modules", {})

    # ------------------------------------------------------------ calling
    def forward(self, *input: Any, **kwargs: Any) -> Any:
        """Compute the result of a call; every subclass that is called defines it."""
        raise NotImplementedError(f'Module [{self._get_name()}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` between the hooks."""
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args)` before each `forward`; what it returns replaces the arguments.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns None or both, as a pair.
        """
        record = ForwardPreHook(hook, with_kwargs)
        return RemovableHandle.register(self._forward_pre_hooks, record, prepend)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Run `hook(module, args, output)` after each `forward`; its result replaces the output.

        With `with_kwargs` it is `hook(module, args, kwargs, output)`. With `always_call` it also
        runs when `forward` raised, with None as the output.
        """
        record = ForwardHook(hook, with_kwargs, always_call)
        return RemovableHandle.register(self._forward_hooks, record, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` after a backward went through; its result replaces `grad_input`."""
        return RemovableHandle.register(self._backward_hooks, hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before a backward goes through; its result replaces `grad_output`."""
        return RemovableHandle.register(self._backward_pre_hooks, hook, prepend)

    # ------------------------------------------------------------ registering
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Hold `param` as the attribute `name`; None holds its place and is not enumerated."""
        self._check_name("parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type_name(param)}' object to parameter '{name}'"
                " (gradwire.nn.Parameter or None required)"
            )
        if param is not None and param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be"
                f" created explicitly. To express '{name}' as a function of another Tensor,"
                " compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Hold `tensor` as the attribute `name`: state that no optimizer changes.

        It moves with the module; `state_dict` holds it if `persistent`.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(tensor)}' object to buffer '{name}' (gradwire Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Hold `module` as the child `name`."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type_name(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = module

    def add_module(self, name: str, module: Module | None) -> None:
        """Do the same as `register_module`."""
        self.register_module(name, module)

    def _check_name(self, kind: str, name: object, register: str) -> None:
        if register not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {type_name(name)}")
        if name not in self.__dict__[register] and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')

    # ------------------------------------------------------------ attributes
    def __getattr__(self, name: str) -> Any:
        # Python asks here only for what is neither in __dict__ nor in the class.
        for register in ("_parameters", "_buffers", "_modules"):
            held = self.__dict__.get(register, ())
            if name in held:
                return held[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._assign("parameters", name, value)
        elif name in self.__dict__.get("_parameters", ()):
            self._assign_none("parameter", name, value)
        elif isinstance(value, Module):
            self._assign("module", name, value)
        elif name in self.__dict__.get("_modules", ()):
            self._assign_none("child module", name, value)
        elif isinstance(value, Buffer):
            self._assign("buffer", name, value)
        elif name in self.__dict__.get("_buffers", ()):
            self._assign_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _assign(self, kind: str, name: str, value: Parameter | Module | Buffer) -> None:
        """Register `value`, which by its type says where; it leaves every other register."""
        if "_modules" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        own = {"parameters": "_parameters", "module": "_modules", "buffer": "_buffers"}[kind]
        self.__dict__.pop(name, None)
        for register in ("_parameters", "_buffers", "_modules"):
            if register != own:
                self.__dict__[register].pop(name, None)
        self._non_persistent_buffers_set.discard(name)
        if isinstance(value, Parameter):
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._modules[name] = value
        else:
            self.register_buffer(name, value, value.persistent)

    def _assign_none(self, kind: str, name: str, value: object) -> None:
        """Set a registered parameter or child to None, the only other thing that it may be."""
        wanted = "Parameter" if kind == "parameter" else "Module"
        if value is not None:
            raise TypeError(
                f"cannot assign '{type_name(value)}' as {kind} '{name}' (gradwire.nn.{wanted} or None expected)"
            )
        self.__dict__["_parameters" if kind == "parameter" else "_modules"][name] = None

    def _assign_buffer(self, name: str, value: object) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{type_name(value)}' as buffer '{name}'"
                " (gradwire.nn.Buffer, gradwire.Tensor or None expected)"
            )
        self._buffers[name] = value

    def __delattr__(self, name: str) -> None:
        for register in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(register, ()):
                del self.__dict__[register][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._modules, self._buffers)
        return sorted(name for name in names if not name[:1].isdigit())

    # ------------------------------------------------------------ modes
    def train(self, mode: bool = True) -> Self:
        """Set training mode, or evaluation mode, here and below; return this module."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and below; return this module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let every parameter ask for a gradient, or freeze them all; return this module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        clear_grads(self.parameters(), set_to_none)

    # ------------------------------------------------------------ conversion
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the data of each parameter, gradient and buffer by `fn` of it.

        Parameters keep their identity, so that an optimizer that was given them goes on.
        """
        for child in self.children() if recurse else ():
            child._apply(fn)
        for parameter in self._parameters.values():
            if parameter is not None:
                _convert(parameter, fn)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert in place: `to(device)`, `to(dtype)`, `to(device, dtype)` or `to(tensor)`.

        The dtype, floating or complex, is that of the floating and complex tensors afterwards; the
        others keep theirs. Returns this module.
        """
        device, dtype = _destination(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        return self._apply(lambda tensor: _moved(tensor, device, dtype))

    def cpu(self) -> Self:
        """Move everything to the CPU; return this module."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None) -> Self:
        """Move everything to a GPU, the current one by default; return this module."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def share_memory(self) -> Self:
        """Raise what `Tensor.share_memory_` does: memory of a session is its own."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Replace the values of parameters and buffers by what `empty` gives, on `device`."""
        return self._apply(lambda tensor: tensor.detach().new_empty(tensor.shape, device=device), recurse=recurse)

    def float(self) -> Self:
        """Make all floating tensors float32; return this module."""
        return self._apply(lambda tensor: _cast_floating(tensor, float32))

    def double(self) -> Self:
        """Make all floating tensors float64; return this module."""
        return self._apply(lambda tensor: _cast_floating(tensor, float64))

    def half(self) -> Self:
        """Make all floating tensors float16; return this module."""
        return self._apply(lambda tensor: _cast_floating(tensor, float16))

    def bfloat16(self) -> Self:
        """Make all floating tensors bfloat16; return this module."""
        return self._apply(lambda tensor: _cast_floating(tensor, bfloat16))

    # ------------------------------------------------------------ printing
    def extra_repr(self) -> str:
        """Return what stands between the brackets when this module is printed."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indented(repr(child))}" for name, child in self._modules.items()]
        if len(lines) <= 1 and not children:
            return f"{self._get_name()}({extra})"
        body = "\n  ".join(lines + children)
        return f"{self._get_name()}(\n  {body}\n)"


def _convert(parameter: Parameter, fn: Callable[[Tensor], Tensor]) -> None:
    grad = parameter.grad
    with no_grad():
        for tensor in (parameter,) if grad is None else (parameter, grad):
            converted = fn(tensor)
            if converted is not tensor:
                tensor.data = converted


def _cast_floating(tensor: Tensor, dtype: Any) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _destination(
    first: Any = None,
    second: Any = None,
    non_blocking: bool = False,
    *,
    device: Any = None,
    dtype: Any = None,
    memory_format: Any = None,
) -> tuple[Any, Any]:
    """Tell the forms of `to` apart; return the device and the dtype, None where it stays.

    No move waits, so `non_blocking` says what is so anyway; `memory_format` is a wish, as for tensors.
    """
    check_memory_format("to", memory_format)
    if isinstance(first, Tensor):
        return first.device, first.dtype
    if isinstance(first, DType):
        return device, first
    return (device if first is None else first), (dtype if second is None else second)


def _moved(tensor: Tensor, device: Any, dtype: Any) -> Tensor:
    if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
        tensor = tensor.to(dtype)
    return tensor if device is None else tensor.to(device)


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")
