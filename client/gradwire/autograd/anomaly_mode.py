"""Anomaly detection: which line's forward call has a backward that fails or makes NaN.

While it is on, every recorded call leaves its stack here, and a backward runs its nodes one by one.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from gradwire_protocol.tape import Node

__all__ = [
    "detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_anomaly_enabled", "set_detect_anomaly",
]  # fmt: skip

_HINT = "Hint: enable anomaly detection"
_GOOD_LUCK = (
    "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable in question "
    "was changed in there or anywhere later. Good luck!"
)
_OURS = ("gradwire", "gradwire_protocol")


class _Mode:
    """Whether it is on: for the whole process, as in PyTorch, so that threads which only run backward see it too."""

    enabled = False
    check_nan = True


mode = _Mode()
_stacks: WeakKeyDictionary[Node, str] = WeakKeyDictionary()


def remember(outputs: Iterable[Any]) -> None:
    """Keep the present stack with the nodes that just made `outputs`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame = frame.f_back
    text = "".join(traceback.format_stack(frame))
    for output in outputs:
        for tensor in (output, output.base):
            if tensor is not None and tensor.node is not None:
                _stacks.setdefault(tensor.node, text)


def warn_of(node: Node) -> None:
    """Say which node failed, and where its forward call was."""
    stack = _stacks.get(node)
    known = f"Traceback of forward call that caused the error:\n{stack}"
    unknown = "No forward pass information available. Enable detect anomaly during forward pass for more information."
    warnings.warn(f"Error detected in {node.name}. {unknown if stack is None else known}", stacklevel=5)


@contextmanager
def watching(node: Node) -> Iterator[None]:
    """Warn of `node` if what runs inside raises."""
    try:
        yield
    except Exception:
        warn_of(node)
        raise


def check(nodes: Iterable[Node]) -> None:
    """Raise for a node that cannot run, as without anomaly detection, and warn of it."""
    for node in nodes:
        try:
            node.check()
        except RuntimeError as error:
            warn_of(node)
            raise type(error)(
                str(error).partition(_HINT)[0] + _GOOD_LUCK if _HINT in str(error) else str(error)
            ) from None


def check_nan(node: Node, gradients: Sequence[Any]) -> None:
    """Raise RuntimeError if a node returned NaN. Waits."""
    from gradwire.autograd.graph import is_differentiable
    from gradwire_protocol.ops import OPS

    # As PyTorch counts: an index, say, is no output of a backward.
    places = [index for index in range(len(gradients)) if is_differentiable(node, index)]
    numbers = [number for number, index in enumerate(places) if gradients[index] is not None]
    found = [gradients[places[number]].detach() for number in numbers]
    if not found:
        return
    flags = OPS["stack"]([(gradient != gradient).any() for gradient in found], 0).tolist()
    if any(flags):
        raise RuntimeError(f"Function '{node.name}' returned nan values in its {numbers[flags.index(True)]}th output.")


def is_anomaly_enabled() -> bool:
    """Return whether anomaly detection is on."""
    return mode.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Return whether gradients are searched for NaN while anomaly detection is on."""
    return mode.check_nan


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Turn anomaly detection on or off."""
    mode.enabled, mode.check_nan = bool(enabled), bool(check_nan)


class set_detect_anomaly:
    """Turn anomaly detection on or off: at once as a function, until the end of the block as a context manager."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        """Turn it on or off now."""
        self.previous = (is_anomaly_enabled(), is_anomaly_check_nan_enabled())
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        """Keep what the constructor set."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        set_anomaly_enabled(*self.previous)


class detect_anomaly:
    """Inside, a backward that fails warns with the stack of its forward call, and one that makes NaN fails.

    A backward then runs node by node, and waits after each where `check_nan`: for debugging only.
    """

    def __init__(self, check_nan: bool = True) -> None:
        """Warn that this is slow."""
        self.previous = (is_anomaly_enabled(), is_anomaly_check_nan_enabled())
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        set_anomaly_enabled(*self.previous)
