"""`compile`: from a Python function to programs, one for each kind of arguments.

The first call of a kind runs as ever and is recorded. The second is recorded too, and where both did the same, the third and
all later ones are one message each. What the function can see besides its arguments is looked at before each replay: where
something else lies there, it is recorded anew.
"""

from __future__ import annotations

import functools
import gc
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any
from weakref import WeakSet

from gradwire import callsite
from gradwire.autocasting import own_cache
from gradwire.autocasting import snapshot as autocast_snapshot
from gradwire.autocasting import state as autocast_state
from gradwire.autograd.grad_mode import state as grad_state
from gradwire.autograd.saved_tensors import state as saved_state
from gradwire.programs.capture import Capture, Unfit, capture
from gradwire.programs.listing import listing
from gradwire.programs.places import Survey, stored_at, survey
from gradwire.programs.recording import Recording, active, recorded
from gradwire.programs.replay import Mismatch, Replay
from gradwire.programs.stepping import Stepper
from gradwire.session import Session
from gradwire.tensor import Tensor, get_default_dtype
from gradwire.tree import tree_flatten
from gradwire_protocol.inplace import requires_grad

__all__ = ["CompiledFunction", "compiled_functions", "flat_arguments"]

# Kinds of arguments that one function has programs for; and how often two recordings may differ before it stays eager.
_MAX_KINDS = 8
_MAX_RECORDINGS = 5


@dataclass(slots=True)
class _Variant:
    """A program, and what the function could see when it was recorded."""

    found: Survey
    replay: Replay
    stepper: Stepper | None = None  # made when several steps are wanted at once


@dataclass(slots=True)
class _Kind:
    """What is known of one kind of arguments: programs, and the last recording that is not one yet."""

    variants: list[_Variant] = field(default_factory=list)
    last: Capture | None = None
    recordings: int = 0  # since the last program
    eager: str = ""  # why it stays eager

    def run(self, leaves: Sequence[Any]) -> tuple[bool, Any]:
        """Run the program whose surroundings are as they were; return whether there is one, and its result or why not."""
        why = ""
        for index, variant in enumerate(self.variants):
            changed = variant.found.changed()
            if changed is None:
                try:
                    result = variant.replay.run(leaves)
                except Mismatch as error:
                    why = why or str(error)
                    continue
                if index:
                    self.variants.insert(0, self.variants.pop(index))
                return True, result
            why = why or f"{changed.place.name} changed"
        return False, why or "recorded again, to see that it repeats"


# All that live, for those who ask how often each ran as a program.
compiled_functions: WeakSet[CompiledFunction] = WeakSet()


class CompiledFunction:
    """A function whose later calls are one message. Made by `gradwire.compile`."""

    def __init__(self, function: Callable[..., Any], *, kinds: int = _MAX_KINDS) -> None:
        """Compile a function, a bound method or a module; nothing runs yet."""
        self.function = function
        self._max_kinds = kinds
        self._kinds: dict[Any, _Kind] = {}
        self.replays = 0
        self.recordings = 0
        self.reasons: Counter[str] = Counter()  # why calls were no replay
        compiled_functions.add(self)
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, or run its program."""
        if active() is not None or saved_state.pair is not None:  # hooks of saved tensors are asked call by call
            return self.function(*args, **kwargs)
        leaves, structure = flat_arguments(args, kwargs)
        key = _kind_of(leaves, structure)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= self._max_kinds:
                self._warn_of_kinds(key)
                self.reasons[f"too many kinds of arguments: {_difference(list(self._kinds), key)}"] += 1
                return self.function(*args, **kwargs)
            self.reasons[_news(list(self._kinds), key)] += 1
            kind = self._kinds[key] = _Kind()
        else:
            ran, result = kind.run(leaves)
            if ran:
                self.replays += 1
                return result
            self.reasons[kind.eager or result] += 1
        if kind.eager:
            return self.function(*args, **kwargs)
        self.recordings += 1
        return self._record(kind, leaves, args, kwargs)

    def run_steps(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], whole: dict[int, Tensor], first: int, steps: int
    ) -> tuple[int, Any] | None:
        """Make steps by one message; return how many, and the stacked results, or None where only single calls will do.

        The arguments are those of the first step; `whole` has, by id, the tensors that they are rows of, `first` being theirs.
        """
        if active() is not None or saved_state.pair is not None:
            return None
        leaves, structure = flat_arguments(args, kwargs)
        kind = self._kinds.get(_kind_of(leaves, structure))
        for variant in kind.variants if kind is not None else ():
            stepper = variant.stepper = variant.stepper or Stepper(variant.replay, variant.found)
            if stepper.fits and variant.found.changed() is None:
                try:
                    made = stepper.run(leaves, whole, first, steps)
                except Mismatch:
                    continue
                self.replays += made[0]
                return made
        return None

    # -- recording -----------------------------------------------------------------------------------------------------

    def _record(self, kind: _Kind, leaves: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        session = _session_of(leaves)
        found = survey(self.function, leaves)
        grads = {id(tensor._grad): tensor for tensor in _seen(found, leaves) if tensor._grad is not None}
        held = [tensor._grad for tensor in grads.values()]
        with own_cache(), recorded(session) as recording:
            result = self.function(*args, **kwargs)
        kind.recordings += 1
        self._check_effects(found)
        try:
            made, living = capture(recording, leaves, found, grads, result)
        except Unfit as error:
            kind.eager = str(error)
            warnings.warn(
                f"{self.__name__} runs as ever, since a program cannot do what it does: {error}", stacklevel=3
            )
            return result
        finally:
            del held
        if self._kept_alive(recording, living):
            kind.last = None  # an optimizer made its state: the next call is the first that can repeat
        elif kind.last is not None and kind.last.key() == made.key():
            kind.variants.insert(0, _Variant(found, Replay(made, session)))
            kind.last, kind.recordings = None, 0
        else:
            kind.last = made
        if kind.recordings >= _MAX_RECORDINGS or len(kind.variants) > self._max_kinds:
            kind.eager = "its calls differ from one call to the next, or what it reads outside changes too often"
            warnings.warn(f"{self.__name__} runs as ever where no program fits: {kind.eager}", stacklevel=3)
        return result

    def _check_effects(self, found: Survey) -> None:
        """Raise RuntimeError if the function changed Python values that outlive it."""
        changed = found.changed()
        if changed is not None:
            name = changed.place.name
            key = changed.place.key if isinstance(changed.place.key, str) else name
            line = stored_at(found.codes, key)
            raise RuntimeError(
                "a compiled function may change tensors, optimizers and schedules, but no other Python values, since its "
                f"Python runs only while it is recorded; it changes {name}{f' at {line}' if line else ''}; return the value, "
                "or change it outside"
            )

    def _kept_alive(self, recording: Recording, living: set[int]) -> bool:
        """Return whether an optimizer keeps what was made; raise RuntimeError if anything else does."""
        if not recording.made.keys() - recording.released - living:
            return False
        gc.collect()
        recording.released.update(recording.session.released)
        left = recording.made.keys() - recording.released - living
        if not left:
            return False
        now = survey(self.function, ())
        known = {tensor.handle: place for place, tensor in now.tensors.values()}
        for handle in sorted(left):
            place = known.get(handle)
            if place is not None and ".state[" in place.name:
                continue
            where = f" in {place.name}" if place is not None else ""
            raise RuntimeError(
                "a compiled function must return the tensors that it makes: one made at "
                f"{callsite.describe(recording.made[handle])} is kept{where}; return it, and keep it outside"
            )
        return True

    def _warn_of_kinds(self, key: Any) -> None:
        changes = _difference(list(self._kinds), key)
        warnings.warn(
            f"{self.__name__} was called with {self._max_kinds} kinds of arguments, each with a program of its own; others run "
            f"as ever. What changes: {changes}",
            stacklevel=3,
        )

    # -- looking -------------------------------------------------------------------------------------------------------

    def program(self) -> str:
        """Return a listing of the programs there are, one after the other."""
        return "\n\n".join(map(listing, self.captures())) or f"{self.__name__} has no program yet; call it twice"

    def graph(self, path: str | PathLike[str]) -> None:
        """Draw the programs there are into an SVG file: inputs, calls and outputs, with the user's line under the pointer."""
        from gradwire.programs.picture import draw

        draw(self._known_captures()).write(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the programs, and the values of the tensors that they read, to a file for `gradwire.programs.load`.

        Of each kind of arguments the program that ran last. Waits. Raises RuntimeError for what needs the script's Python: a
        schedule, results that are neither tensors nor plain values; CheckpointError if the file cannot be written.
        """
        from gradwire.programs.saving import write_programs

        self._known_captures()
        write_programs(
            path, self.function, [(key, kind.variants[0].replay) for key, kind in self._kinds.items() if kind.variants]
        )

    def captures(self) -> list[Capture]:
        """Return what is known of each program."""
        return [variant.replay.capture for kind in self._kinds.values() for variant in kind.variants]

    def _known_captures(self) -> list[Capture]:
        found = self.captures()
        if not found:
            raise RuntimeError(f"there must be a program; {self.__name__} has none yet: call it twice")
        return found

    def __getattr__(self, name: str) -> Any:
        """Be the function, or module, in all else."""
        return getattr(self.function, name)


def _seen(found: Survey, leaves: Sequence[Any]) -> list[Tensor]:
    return [*(tensor for _, tensor in found.tensors.values()), *(leaf for leaf in leaves if isinstance(leaf, Tensor))]


def _session_of(leaves: Sequence[Any]) -> Session:
    from gradwire import session as sessions

    return next((leaf.session for leaf in leaves if isinstance(leaf, Tensor)), None) or sessions.current()


def flat_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Sequence[Any], Any]:
    """Return the leaves of a call's arguments, and what stands for their structure."""
    if not kwargs and not any(isinstance(value, tuple | list | dict | deque) for value in args):
        return args, len(args)
    leaves, spec = tree_flatten((args, kwargs))
    return leaves, str(spec)


def _kind_of(leaves: Sequence[Any], structure: Any) -> Any:
    """Return what decides which program runs: structure, shapes, dtypes, values that are no tensors, and modes."""
    parts: list[Any] = []
    shown: dict[int, int] = {}
    for index, leaf in enumerate(leaves):
        if isinstance(leaf, Tensor):
            # Which arguments are one tensor, or share memory, matters where one is written to.
            parts.append((leaf.meta, requires_grad(leaf), shown.setdefault(id(leaf.storage.memory), index)))
        else:
            parts.append((type(leaf), leaf if _is_hashable(leaf) else id(leaf)))
    modes = grad_state.recording, grad_state.inference, _autocast(), get_default_dtype()
    return structure, tuple(parts), modes


def _autocast() -> Any:
    """Return what autocast does in this thread; None for nothing."""
    if not autocast_state.active:
        return None
    enabled, dtypes, _ = autocast_snapshot()
    return enabled, tuple(dtypes.items())


def _is_hashable(leaf: Any) -> bool:
    try:
        hash(leaf)
    except TypeError:
        return False
    return True


def _news(known: Sequence[Any], key: Any) -> str:
    return f"a new kind of arguments: {_difference(known, key)}" if known else "the first call"


def _difference(known: Sequence[Any], key: Any) -> str:
    """Name the first argument leaf that differs from the last kind."""
    last = known[-1]
    for index, (before, after) in enumerate(zip(last[1], key[1], strict=False)):
        if before != after:
            return f"argument {index}: {before[0]} became {after[0]}" if before[0] != after[0] else f"argument {index}"
    return "the structure of the arguments" if last[0] != key[0] else "grad mode, autocast or the default dtype"
