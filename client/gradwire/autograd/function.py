"""`Function`: an op whose forward and backward are the user's Python. Both run on the client, on tensors of the worker."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from gradwire.autograd.anomaly_mode import mode as anomaly_mode
from gradwire.autograd.anomaly_mode import remember
from gradwire.autograd.grad_mode import no_grad
from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.saved_tensors import Packed, pack_value
from gradwire.autograd.saved_tensors import state as saved_state
from gradwire.autograd.saved_values import PackedInput, linked
from gradwire_protocol.inplace import requires_grad
from gradwire_protocol.opaque import OpaqueNode
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import Edge, Kept, Storage, Variable, gradient_edge

if TYPE_CHECKING:
    from gradwire.autograd.walk import Walk

__all__ = ["Function", "FunctionCtx", "FunctionNode", "once_differentiable"]

_FUNCTION = OPS["gw::function"]


class FunctionCtx:
    """What `forward` leaves for `backward`. Attributes may be added freely."""

    needs_input_grad: tuple[bool, ...] = ()
    _node: FunctionNode | None = None
    _to_save: Sequence[Any] = ()
    _saved: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _plain: tuple[Any, ...] = ()
    _pin: Any = None  # a handle on the worker's node, where an output was saved
    materialize_grads = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs (or None) for `saved_tensors`, watched for changes in place."""
        self._to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keep tensors for `jvp`."""
        for tensor in tensors:
            if not isinstance(tensor, Variable) and tensor is not None:
                raise TypeError("save_for_forward expects all arguments to be tensors")
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Say which inputs `forward` changed in place; each must be returned too."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say which outputs no gradient goes through."""
        self._plain = args

    def set_materialize_grads(self, value: bool) -> None:
        """Choose whether `backward` gets zeros (True, the default) or None for an output without a gradient."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """Return what was saved; raise RuntimeError if it was freed, or changed in place since."""
        node = self._node
        if node is None:
            return tuple(self._to_save)
        node.check()
        return tuple(_unpack(node, item) for item in self._saved)

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        """Return `saved_tensors`, under its old name."""
        return self.saved_tensors


def _unpack(node: FunctionNode, kept: Kept | None) -> Any:
    """Return a saved tensor; an output as a new tensor that comes from this node, as PyTorch does."""
    from gradwire.tensor import Tensor, call

    if kept is not None and isinstance(kept.value, PackedInput):
        return kept.value.unpack_linked()
    if kept is None or kept.output < 0:
        return None if kept is None else kept.value
    is_packed = type(kept.value) is Packed
    alias = kept.value.unpack() if is_packed else kept.value.detach()
    if is_packed:
        edge = Edge(node, kept.output) if node.makes[kept.output] else None
        return linked(alias, edge, lambda: node.ctx._pin)
    made = Tensor._make(alias.session, alias.handle, alias.meta, kept.storage)
    alias.handle = 0
    made.offset = kept.value.offset
    if node.makes[kept.output]:
        call(OPS["gw::attach"], node.ctx._pin, made, kept.output, session=made.session)
        made.node, made.output_nr = node, kept.output
    return made


class FunctionNode(OpaqueNode):
    """The node of one call of a custom function."""

    __slots__ = ("ctx", "forward_class", "makes")

    is_client = True
    ctx: Any
    forward_class: type[Function]
    makes: tuple[bool, ...]  # by output: whether it comes from this node

    def kept_values(self) -> Any:
        """Return every saved tensor that may have changed."""
        return () if self.freed else [kept for kept in self.ctx._saved if kept is not None]

    @property
    def keeps(self) -> bool:
        """Return whether there are saved tensors, so that it runs once without retain_graph."""
        return bool(self.ctx._saved)

    def check(self) -> None:
        """Raise what `Node.check` raises, but only where saved tensors are asked for."""
        if not self.ctx._saved and not self.freed:
            return
        super().check()

    def result(self, output: int) -> tuple[str, Any]:
        """Return what messages name: the node and the output's meta."""
        return self.name, self.output_metas[output]

    def release(self) -> None:
        """Let saved tensors go."""
        if self.keeps:
            self.ctx._saved = ()
            self.freed = True

    def backward(self, grads: Sequence[Any], walk: Walk) -> list[Any]:
        """Run the user's backward; return a gradient, or None, per tensor input."""
        given = [self._materialized(number, gradient) for number, gradient in enumerate(grads)]
        found = self.forward_class._backward_of()(self.ctx, *given)
        if not walk.retain_graph:
            self.release()
        return self._checked(found if isinstance(found, tuple | list) else (found,))

    def _materialized(self, number: int, gradient: Any) -> Any:
        if gradient is not None or not self.ctx.materialize_grads:
            return gradient
        from gradwire.creation import zeros

        meta = self.output_metas[number]
        return zeros(meta.shape, dtype=meta.dtype)

    def _checked(self, found: Sequence[Any]) -> list[Any]:
        """Match gradients with inputs; raise PyTorch's RuntimeError for a wrong number, kind or shape."""
        flags: tuple[bool, ...] = self.ctx._tensor_flags
        if len(found) > len(flags) and all(extra is None for extra in found[len(flags) :]):
            found = found[: len(flags)]
        if len(found) != len(flags):
            raise RuntimeError(
                f"function {self.name} returned an incorrect number of gradients (expected {len(flags)}, got {len(found)})"
            )
        made: list[Any] = []
        for index, (gradient, is_tensor) in enumerate(zip(found, flags, strict=True)):
            if not is_tensor:
                if gradient is not None:
                    raise RuntimeError(
                        f"function {self.name} returned a gradient different than None at position {index + 1}, but the "
                        "corresponding forward input was not a Variable"
                    )
                continue
            if gradient is not None and not isinstance(gradient, Variable):
                raise RuntimeError(
                    f"function {self.name} returned an invalid gradient at index {index} - expected a Variable or None"
                )
            made.append(None if gradient is None else self._fitting(index, len(made), gradient))
        return made

    def _fitting(self, index: int, position: int, gradient: Any) -> Any:
        """Sum and cast a gradient to its input, as PyTorch does."""
        meta = self.ctx._tensor_metas[position]
        if gradient.meta.shape != meta.shape:
            try:
                gradient = gradient.sum_to_size(meta.shape)
            except RuntimeError:
                raise RuntimeError(
                    f"Function {self.name} returned an invalid gradient at index {index} - got "
                    f"{list(gradient.meta.shape)} but expected shape compatible with {list(meta.shape)}"
                ) from None
        if gradient.meta.dtype is not meta.dtype and meta.dtype.is_differentiable:
            gradient = gradient.to(meta.dtype)
        return gradient


class _FunctionMeta(type):
    """Gives each Function the class of its contexts, which are also its graph nodes' face."""

    def __init__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> None:
        super().__init__(name, bases, names)
        cls._ctx_class = type(name + "Backward", (FunctionCtx,), {"_forward_cls": cls})


class Function(metaclass=_FunctionMeta):
    """Base class of custom differentiable functions; call them by `apply`."""

    _ctx_class: type[FunctionCtx]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should invoke "
            "them on the class itself. Instantiating an autograd function will raise an error in a future version of "
            "PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result from `ctx` and the arguments, or from the arguments alone if there is a `setup_context`."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fill `ctx` after a `forward` that does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return a gradient, or None, for each argument of `forward`."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Return the tangents of the results; gradwire does not call it."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @classmethod
    def _backward_of(cls) -> Callable[..., Any]:
        return cls.vjp if cls.vjp is not Function.vjp else cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run `forward` without recording it, and record this function in its place."""
        if not isinstance(cls.__dict__.get("forward", staticmethod(cls.forward)), staticmethod):
            raise RuntimeError(
                "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
                "function with static forward method. (Example: "
                "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
            )
        ctx = cls._ctx_class()
        ctx.needs_input_grad = tuple(isinstance(arg, Variable) and requires_grad(arg) for arg in args)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(ctx, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
        is_recorded = grad_state.recording and any(ctx.needs_input_grad)
        return _record(cls, ctx, args, output, is_recorded)


def _record(cls: type[Function], ctx: Any, args: tuple[Any, ...], output: Any, is_recorded: bool) -> Any:
    """Make the outputs come from a node of their own, and keep what `forward` saved."""
    inputs: list[Any] = [arg for arg in args if isinstance(arg, Variable)]
    results: list[Any] = list(output) if isinstance(output, tuple | list) else [output]
    dirty, plain = {id(tensor) for tensor in ctx._dirty}, {id(tensor) for tensor in ctx._plain}
    _check_dirty(ctx._dirty, inputs, results, is_recorded)
    edges = tuple(gradient_edge(tensor) if is_recorded else None for tensor in inputs)
    known = {id(tensor) for tensor in inputs}
    originals = list(results)
    for index, result in enumerate(results):
        is_foreign = isinstance(result, Variable) and (id(result) in known or requires_grad(result))
        if is_foreign and id(result) not in dirty:
            results[index] = _aliased(result)
    if is_recorded:
        tensors = [result for result in results if isinstance(result, Variable)]
        originals = [result for result in originals if isinstance(result, Variable)]
        node = FunctionNode(cls._ctx_class.__name__, edges, tuple(result.meta for result in tensors), keeps=False)
        node.ctx, node.forward_class = ctx, cls
        node.makes = tuple(
            t.meta.dtype.is_differentiable and id(o) not in plain for t, o in zip(tensors, originals, strict=True)
        )
        ctx._tensor_flags = tuple(isinstance(arg, Variable) for arg in args)
        ctx._tensor_metas = tuple(tensor.meta for tensor in inputs)
        _save(ctx, node, originals, dirty)
        _announce(node, tensors, inputs)
    ctx._to_save = ctx._to_save if not is_recorded else ()
    return tuple(results) if isinstance(output, tuple | list) else results[0]


def _aliased(tensor: Any) -> Any:
    with no_grad():
        alias = tensor.detach()
    alias.storage = tensor.storage
    return alias


def _check_dirty(dirty: Sequence[Any], inputs: Sequence[Any], results: Sequence[Any], is_recorded: bool) -> None:
    known, returned = {id(tensor) for tensor in inputs}, {id(tensor) for tensor in results}
    for tensor in dirty:
        if id(tensor) not in known:
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "
                "modified inplace must all be outputs of the Function."
            )
        if id(tensor) not in returned:
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs that are "
                "modified inplace must all be outputs of the Function."
            )
        if is_recorded and tensor.node is None and tensor.leaf_requires_grad:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
        if is_recorded and tensor.base is not None:
            raise RuntimeError(
                "mark_dirty of a view is not supported by gradwire: its base would have to follow. Return a new tensor, or "
                "clone() the view before the call."
            )


def _save(ctx: Any, node: FunctionNode, outputs: Sequence[Any], dirty: set[int]) -> None:
    """Keep what was given to save_for_backward; an output without its node, which would hold itself."""
    numbers = {id(output): number for number, output in enumerate(outputs)}
    saved: list[Kept | None] = []
    for index, tensor in enumerate(ctx._to_save):
        if tensor is not None and not isinstance(tensor, Variable):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {index} is of type {type(tensor).__name__}"
            )
        if tensor is None:
            saved.append(None)
            continue
        number = numbers.get(id(tensor), -1)
        value: Any = tensor if number < 0 else _aliased(tensor)
        pair = saved_state.pair
        if pair is not None:  # nobody watches a packed tensor for changes
            saved.append(
                Kept(PackedInput(pair, value) if number < 0 else pack_value(pair, value), Storage(), 0, number)
            )
            continue
        saved.append(Kept(value, tensor.storage, tensor.storage.version, number))
    ctx._saved, ctx._node = tuple(saved), node


def _announce(node: FunctionNode, outputs: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Record the node on the worker too, and hang the outputs on it."""
    from gradwire.tensor import call

    if not outputs:
        return
    needs = tuple(edge is not None for edge in node.edges)
    call(_FUNCTION, outputs, inputs, node.name, needs, node.makes, session=outputs[0].session)
    for number, output in enumerate(outputs):
        if node.makes[number]:
            output.node, output.output_nr, output.leaf_requires_grad, output.base = node, number, False, None
    if anomaly_mode.enabled:
        remember(outputs)
    made = [output for number, output in enumerate(outputs) if node.makes[number]]
    if made and any(kept is not None and kept.output >= 0 for kept in node.ctx._saved):
        node.ctx._pin = call(OPS["gw::grad_fn"], made[0], session=made[0].session)


class _Refused(Function):
    """Passes tensors on, and raises when a gradient comes back."""

    @staticmethod
    def forward(ctx: Any, *tensors: Any) -> Any:
        """Return the tensors."""
        return tuple(tensor.detach() for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Raise PyTorch's RuntimeError."""
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a `backward` run unrecorded; differentiating its result raises RuntimeError."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = function(ctx, *args)
        watched = any(isinstance(arg, Variable) and requires_grad(arg) for arg in args)
        if not grad_state.recording or not watched:
            return outputs
        listed = outputs if isinstance(outputs, tuple) else (outputs,)
        leaves = [
            out.detach().requires_grad_() for out in listed if out is not None and out.meta.dtype.is_differentiable
        ]
        refused = iter(_Refused.apply(*leaves))
        made = tuple(next(refused) if out is not None and out.meta.dtype.is_differentiable else out for out in listed)
        return made if isinstance(outputs, tuple) else made[0]

    return wrapper
