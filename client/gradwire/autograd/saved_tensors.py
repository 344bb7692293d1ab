"""Hooks of saved tensors: what ops keep for backward goes through the user's code, and the worker lets go of it.

While a pair of hooks is on, each recorded call's kept values are packed at once, in this process; before its node runs in a
backward, they are unpacked and sent to the node. Ops that a backward with create_graph records itself are not asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from gradwire.autograd.grad_mode import no_grad
from gradwire.autograd.node_hooks import SavedOnClient, hooks_of_node
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.tape import CopySlices, Kept, Node, Storage, Variable

if TYPE_CHECKING:
    from gradwire.tensor import Tensor

__all__ = [
    "Packed", "Pair", "disable_saved_tensors_hooks", "keeper", "pack_kept", "pack_recorded", "pack_value", "save_on_cpu",
    "saved_tensors_hooks", "state", "suspended",
]  # fmt: skip

_GRAD_FN, _DROP, _RESTORE = OPS["gw::grad_fn"], OPS["gw::drop_saved"], OPS["gw::restore_saved"]


class Pair(NamedTuple):
    """What packs a tensor into any object, and what makes a tensor of that again."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


class _State(threading.local):
    """The pairs that are on in this thread, of which only the innermost is asked, and why none may be."""

    def __init__(self) -> None:
        self.pairs: list[Pair | None] = []
        self.pair: Pair | None = None
        self.disabled: str | None = None

    def push(self, pair: Pair | None) -> None:
        """Switch a pair on; None: none, whatever is on outside."""
        self.pairs.append(pair)
        self.pair = pair

    def pop(self) -> None:
        """Switch the innermost off."""
        self.pairs.pop()
        self.pair = self.pairs[-1] if self.pairs else None


state = _State()


class saved_tensors_hooks:
    """Let each tensor that ops save for backward go through `pack_hook` now, and what that returns through `unpack_hook` then.

    Both run in this process, on tensors of the worker. `unpack_hook` has to return a tensor of the packed one's shape and
    dtype. Raises RuntimeError inside of `disable_saved_tensors_hooks`.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        """Take the hooks."""
        self.pack_hook, self.unpack_hook = pack_hook, unpack_hook

    def __enter__(self) -> None:
        if state.disabled is not None:
            raise RuntimeError(state.disabled)
        state.push(Pair(self.pack_hook, self.unpack_hook))

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        state.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keep what ops save in this process's memory instead of the worker's. Waits for each tensor, at its op's line.

    `pin_memory` and `device_type` only choose how PyTorch copies.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        """Take PyTorch's arguments."""
        from gradwire.conversion import fetch, from_array

        super().__init__(
            lambda tensor: (fetch(tensor), tensor.meta.dtype, tensor.session), lambda packed: from_array(*packed)
        )


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Let `saved_tensors_hooks` raise RuntimeError with a message inside; usable as a decorator too."""
    if state.pairs:
        raise RuntimeError(error_message)
    previous, state.disabled = state.disabled, error_message
    try:
        yield
    finally:
        state.disabled = previous


@contextmanager
def suspended() -> Iterator[None]:
    """Ask no hooks inside, where what is recorded is thrown away."""
    state.push(None)
    try:
        yield
    finally:
        state.pop()


# ------------------------------------------------------------ packing
class Packed:
    """Stands for a kept value: what the pack hook returned, and how to make a tensor of it."""

    __slots__ = ("data", "meta", "pair")

    def __init__(self, pair: Pair, data: Any, meta: Meta) -> None:
        """Hold `data`, which stands for a tensor like `meta`."""
        self.pair, self.data, self.meta = pair, data, meta

    def unpack(self) -> Any:
        """Ask the hook; raise for what cannot stand in for the tensor that was packed."""
        found = self.pair.unpack(self.data)
        if not isinstance(found, Variable):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(found).__name__}"
            )
        if (found.meta.shape, found.meta.dtype) != (self.meta.shape, self.meta.dtype):
            raise RuntimeError(
                "A saved tensor unpack hook needs to return a tensor of the shape and dtype that were packed, "
                f"{Meta.of(self.meta.shape, self.meta.dtype)}; got {Meta.of(found.meta.shape, found.meta.dtype)}."
            )
        return found.detach()  # type: ignore[attr-defined]


def pack_value(pair: Pair, value: Any) -> Packed:
    """Ask the hook for what shall stand for `value`; raise RuntimeError if it wrote to it."""
    version = value.storage.version
    with no_grad():
        data = pair.pack(value)
    if value.storage.version != version:
        raise RuntimeError(
            "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook cannot be "
            "modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need "
            "to perform in-place operations on the input to a pack hook."
        )
    return Packed(pair, data, value.meta)


def keeper(node: Node) -> Node:
    """Return the node that holds the kept values of `node`: its own, or those of the write to a view."""
    return node.function if isinstance(node, CopySlices) else node


def _all_kept(node: Node) -> list[tuple[str, int, Kept]]:
    """Return (name, index, kept value) in PyTorch's order: inputs by name, then results."""
    found: list[tuple[str, int, Kept]] = []
    held = keeper(node).kept
    for name in sorted(held, key=lambda name: (name.startswith("result"), name)):
        kept = held[name]
        items = (kept,) if type(kept) is Kept else kept
        found.extend((name, index, item) for index, item in enumerate(items))
    return found


def _places(entries: Sequence[tuple[str, int, Kept]]) -> str:
    """Name kept values to the worker."""
    return ",".join(f"{name}.{index}" for name, index, _ in entries)


def pack_recorded(outputs: Sequence[Any], *, is_write: bool = False) -> None:
    """Pack all that the node which just made `outputs`, or wrote to the first of them, keeps."""
    pair = state.pair
    made = next((output for output in outputs if output.node is not None), None)
    if pair is None or made is None:
        return
    owner = made.base if is_write and made.base is not None else made
    entries = _all_kept(owner.node)
    if entries:
        pack_kept(owner.node, pair, _pin(owner), entries, outputs)


def _pin(tensor: Tensor) -> Any:
    from gradwire.tensor import call

    return call(_GRAD_FN, tensor, session=tensor.session)


def pack_kept(
    node: Node, pair: Pair, pin: Any, entries: Sequence[tuple[str, int, Kept]], outputs: Sequence[Any] = ()
) -> None:
    """Pack some kept values of a node, and let the worker forget them. `pin` is a handle of the node."""
    from gradwire.tensor import call

    for entry in entries:
        value = _kept_tensor(node, pin, entry, outputs)
        # As in PyTorch, a value is given with its graph while it is saved, and without it later.
        _replace(node, entry, pack_value(pair, value if outputs else value.detach()))
    call(_DROP, pin, _places(entries), session=pin.session)
    hooks_of_node(node).saved = _Saved(pin)


def _kept_tensor(node: Node, pin: Any, entry: tuple[str, int, Kept], outputs: Sequence[Any]) -> Any:
    """Return a kept value: an input itself, an output without its graph, so that the node does not hold itself."""
    from gradwire.tensor import call

    name, index, kept = entry
    if kept.value is not None and kept.output < 0:
        return kept.value
    if kept.output >= 0 and outputs:
        return outputs[kept.output].detach()
    meta = keeper(node).output_metas[max(kept.output, 0)]
    return call(OPS["gw::saved"], pin, name, index, meta.shape, meta.dtype, session=pin.session)


def _replace(node: Node, entry: tuple[str, int, Kept], packed: Packed) -> None:
    """Let the packed object stand in the outline; from then on nobody watches the tensor for changes."""
    name, index, kept = entry
    held, made = keeper(node).kept, Kept(packed, Storage(), 0, kept.output)
    held[name] = made if type(held[name]) is Kept else (*held[name][:index], made, *held[name][index + 1 :])


class _Saved(SavedOnClient):
    """Brings packed values back to the worker's node while it runs. `pin` is a handle of that node."""

    __slots__ = ("pin",)

    def __init__(self, pin: Any) -> None:
        """Hold the handle."""
        self.pin = pin

    def restore(self, node: Node) -> None:
        """Unpack, and send the tensors to the node."""
        from gradwire.tensor import call

        entries = [entry for entry in _all_kept(node) if type(entry[2].value) is Packed]
        values = [kept.value.unpack() for _, _, kept in entries]
        call(_RESTORE, self.pin, values, _places(entries), session=self.pin.session)

    def drop(self, node: Node) -> None:
        """Let the worker forget them again."""
        from gradwire.tensor import call

        entries = [entry for entry in _all_kept(node) if type(entry[2].value) is Packed]
        call(_DROP, self.pin, _places(entries), session=self.pin.session)
