"""`torch.profiler`: the everyday part of it, on what `gradwire.profile` measures.

Times of ops are the worker's, times of `record_function` the client's. Options that ask for what gradwire does not measure are
refused.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from warnings import warn

from gradwire.profiling.ranges import record_function

if TYPE_CHECKING:
    from gradwire.profiling.events import EventList
    from gradwire.profiling.profiled_block import Profile

__all__ = [
    "ProfilerAction", "ProfilerActivity", "kineto_available", "profile", "record_function", "schedule",
    "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(Enum):
    """What can be profiled. The worker's calls are measured in any case; CUDA needs a worker on a GPU."""

    CPU = 0
    CUDA = 2


class ProfilerAction(Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def kineto_available() -> bool:
    """Return False: PyTorch's tracing library has no part in this."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """Return what the current session's worker can be profiled for."""
    return {ProfilerActivity.CPU, ProfilerActivity.CUDA} if _on_device() else {ProfilerActivity.CPU}


def _on_device() -> bool:
    from gradwire import session as sessions

    return sessions.current().device.startswith("cuda")


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Return a schedule: skip the first steps; then `wait` steps of nothing, `warmup` steps, `active` steps, and again.

    `repeat` is how often, 0 for ever. A `skip_first_wait` other than 0 leaves out the first `wait`.
    """
    if wait < 0 or warmup < 0 or active <= 0 or repeat < 0 or skip_first < 0:
        raise AssertionError(
            f"Invalid profiler schedule arguments. Got wait={wait} (need >= 0), warmup={warmup} (need >= 0), "
            f"active={active} (need > 0), repeat={repeat} (need >= 0), skip_first={skip_first} (need >= 0)."
        )
    if warmup == 0:
        warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        position = step - skip_first + (wait if skip_first_wait else 0)
        if step < skip_first or (repeat > 0 and position >= repeat * cycle):
            return ProfilerAction.NONE
        position %= cycle
        if position < wait:
            return ProfilerAction.NONE
        if position < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if position == cycle - 1 else ProfilerAction.RECORD

    return action


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False, use_python_export: bool = False
) -> Callable[[profile], None]:
    """Return an `on_trace_ready` that writes each trace to a file in `dir_name`, where TensorBoard finds it."""
    _refuse(use_python_export=use_python_export)

    def write(profiler: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError("Can't create directory: " + dir_name) from error
        name = f"{worker_name or f'{socket.gethostname()}_{os.getpid()}'}.{time.time_ns()}.pt.trace.json"
        profiler.export_chrome_trace(os.path.join(dir_name, f"{name}.gz" if use_gzip else name))

    return write


class profile:
    """Profile by PyTorch's rules: by a schedule of steps, or all of a `with` block.

    `record_shapes` keeps the shapes of inputs, `with_stack` the user's line of each call (one line, not a stack).
    `acc_events` keeps the events of all cycles and not of the last alone.
    """

    def __init__(
        self, *, activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None, on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False, profile_memory: bool = False, with_stack: bool = False, with_flops: bool = False,
        with_modules: bool = False, experimental_config: None = None, execution_trace_observer: None = None,
        acc_events: bool = False, use_cuda: bool | None = None, custom_trace_id_callback: None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:  # fmt: skip
        """Prepare; nothing is measured before `start`, or `with`."""
        _refuse(
            profile_memory=profile_memory, with_flops=with_flops, with_modules=with_modules,
            experimental_config=experimental_config, execution_trace_observer=execution_trace_observer,
            use_cuda=use_cuda, custom_trace_id_callback=custom_trace_id_callback,
            post_processing_timeout_s=post_processing_timeout_s,
        )  # fmt: skip
        self.activities = None if activities is None else set(activities)
        if self.activities is not None and not (self.activities and self.activities <= set(ProfilerActivity)):
            raise AssertionError("No valid profiler activities found")
        self.schedule = schedule or (lambda step: ProfilerAction.RECORD)
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.record_shapes, self.with_stack, self.acc_events = record_shapes, with_stack, acc_events
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._step: record_function | None = None
        self._profiles: list[Profile] = []
        self._metadata: dict[str, Any] = {}
        self._is_on_device = False

    # -- running -------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0, or where it stopped."""
        self._is_on_device = _on_device()
        if self.activities is not None and ProfilerActivity.CUDA in self.activities and not self._is_on_device:
            warn("CUDA is not available, disabling CUDA profiling", stacklevel=3)
        self._enter(self.current_action)

    def stop(self) -> None:
        """End; `on_trace_ready` is called if something was recorded."""
        self._leave(self.current_action, None)

    def step(self) -> None:
        """Say that the next step begins."""
        before = self.current_action
        action = self.schedule(self.step_num + 1)
        self._leave(before, action)
        self.step_num += 1
        self.current_action = action
        self._enter(action)

    def _enter(self, action: ProfilerAction) -> None:
        from gradwire.profiling.profiled_block import Profile

        if _records(action) and not self._is_recording:
            self._profiles = [*self._profiles, Profile().start()] if self.acc_events else [Profile().start()]
        if self.record_steps:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _leave(self, before: ProfilerAction, after: ProfilerAction | None) -> None:
        """End a step, and the recording if the next step has no part in it."""
        if self._step is not None:
            self._step.__exit__()
            self._step = None
        if not _records(before):
            return
        if after is not None and self._is_recording:
            self._profiles[-1].step()
        if before is ProfilerAction.RECORD and after is not None and _records(after):
            return
        self._profiles[-1].stop()
        if after is None or before is ProfilerAction.RECORD_AND_SAVE:
            self._trace_ready()
        else:
            warn(f"Incorrect schedule: RECORD followed by {after.name}", stacklevel=3)

    def _trace_ready(self) -> None:
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    @property
    def _is_recording(self) -> bool:
        return bool(self._profiles) and self._profiles[-1].is_running

    # -- results -------------------------------------------------------------------------------------------------------

    @property
    def last(self) -> Profile:
        """Return the last recording as `gradwire.profile` gives it: by line of the user's code, with a plot and sentences."""
        if not self._profiles:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self._profiles[-1]

    def events(self) -> EventList:
        """Return the calls and the named parts of the script."""
        from gradwire.profiling.events import events_of

        timelines = [self.last.timeline] if not self.acc_events else [made.timeline for made in self._profiles]
        return events_of(
            timelines, on_device=self._is_on_device, record_shapes=self.record_shapes, with_stack=self.with_stack
        )

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> EventList:
        """Return them by name: `prof.key_averages().table(sort_by="cpu_time_total", row_limit=10)`."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Write the last recording for Perfetto, chrome://tracing or TensorBoard; compressed if the path ends in `.gz`."""
        _refuse(use_python_export=use_python_export)
        self.last.export_chrome_trace(path, **self._metadata)

    def add_metadata(self, key: str, value: str) -> None:
        """Add a text to the traces that are written from now on."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add what a JSON text says to the traces that are written from now on."""
        import json

        self._metadata[key] = json.loads(value)


def _records(action: ProfilerAction) -> bool:
    return action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def _refuse(**options: Any) -> None:
    """Raise RuntimeError for an option that was asked for and cannot be honoured."""
    for name, value in options.items():
        if value:
            raise RuntimeError(
                f"gradwire's profiler has times, shapes and lines of calls, and bytes sent; it cannot honour {name}={value!r}; "
                "leave it out"
            )
