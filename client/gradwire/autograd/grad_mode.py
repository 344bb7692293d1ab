"""Whether calls are recorded: no_grad, enable_grad, set_grad_enabled, inference_mode. Per thread, as in PyTorch."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Self, TypeVar

__all__ = [
    "enable_grad", "inference_mode", "is_grad_enabled", "is_inference_mode_enabled", "no_grad", "set_grad_enabled", "state",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    """What the user asked for, and what follows: calls are recorded where grad is enabled outside inference mode."""

    enabled = True
    inference = False
    recording = True

    def set(self, enabled: bool, inference: bool) -> None:
        """Enter a mode."""
        self.enabled, self.inference, self.recording = enabled, inference, enabled and not inference


state = _State()


def is_grad_enabled() -> bool:
    """Return whether calls are recorded now."""
    return state.enabled


def is_inference_mode_enabled() -> bool:
    """Return whether inference mode is on now."""
    return state.inference


class _GradMode:
    """A context manager, and a decorator of functions and generators, that sets (enabled, inference)."""

    def __init__(self, enabled: bool, inference: bool | None = None) -> None:
        self._wanted = (enabled, inference)
        self._previous: list[tuple[bool, bool]] = []

    def __enter__(self) -> Self:
        self._previous.append((state.enabled, state.inference))
        enabled, inference = self._wanted
        state.set(enabled, state.inference if inference is None else inference)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        state.set(*self._previous.pop())

    def clone(self) -> _GradMode:
        """Return a fresh context manager of the same mode: a decorated function may recurse."""
        return _GradMode(*self._wanted)

    def __call__(self, function: F) -> F:
        """Decorate a function, or a generator function whose every step then runs in the mode."""
        if inspect.isgeneratorfunction(function):
            return _decorate_generator(self, function)  # type: ignore[return-value]

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return wrapper  # type: ignore[return-value]


def _decorate_generator(mode: _GradMode, function: Callable[..., Any]) -> Callable[..., Generator[Any, Any, Any]]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        resume: Callable[[], Any] = functools.partial(next, generator)
        try:
            while True:
                with mode.clone():
                    item = resume()
                resume = yield from _suspended(generator, item)
        except StopIteration as stop:
            return stop.value
        finally:
            with mode.clone():
                generator.close()

    return wrapper


def _suspended(generator: Any, item: Any) -> Generator[Any, Any, Callable[[], Any]]:
    """Yield `item` outside of the mode, and return how to go on: with the value sent, or the error thrown, meanwhile."""
    try:
        sent = yield item
    except GeneratorExit:
        raise
    except BaseException as error:
        return functools.partial(generator.throw, error)
    return functools.partial(generator.send, sent)


class no_grad(_GradMode):
    """Record nothing inside. `with no_grad():`, `@no_grad()` or `@no_grad`."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Return the context manager, or the decorated function for the bare decorator."""
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        """Prepare the mode; it is entered by `with`."""
        super().__init__(False)


class enable_grad(_GradMode):
    """Record inside, also within `no_grad`."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        """Return the context manager, or the decorated function for the bare decorator."""
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        """Prepare the mode."""
        super().__init__(True)


class set_grad_enabled(_GradMode):
    """Set recording on or off: at once as a function, until the end of the block as a context manager."""

    def __init__(self, mode: bool) -> None:
        """Set the mode now."""
        super().__init__(bool(mode))
        super().__enter__()

    def __enter__(self) -> Self:
        """Keep the mode that the constructor set."""
        return self

    def __call__(self, function: F) -> F:
        """Decorate a function; the mode set by the constructor is undone first."""
        state.set(*self._previous.pop())
        return super().__call__(function)


class inference_mode(_GradMode):
    """Record nothing, and mark what is made inside so that it can never enter a graph."""

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        """Return the context manager, or the decorated function for the bare decorator."""
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        """Prepare the mode; `inference_mode(False)` is an ordinary block with recording on."""
        super().__init__(not mode, mode)
