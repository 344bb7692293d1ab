"""`torch.utils.tensorboard`: numbers, text and histograms into TensorBoard's event files, through its own writer.

Needs the `tensorboard` package; importing this module without it raises ImportError. Tensors are fetched, so logging one
waits for it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from types import TracebackType
from typing import Any, Self

import numpy as np

__all__ = ["SummaryWriter"]

try:
    _writers = import_module("tensorboard.summary.writer.event_file_writer")
    _events = import_module("tensorboard.compat.proto.event_pb2")
    _summaries = import_module("tensorboard.compat.proto.summary_pb2")
    _tensors = import_module("tensorboard.compat.proto.tensor_pb2")
    _shapes = import_module("tensorboard.compat.proto.tensor_shape_pb2")
except ImportError as error:
    raise ImportError(
        "torch.utils.tensorboard needs TensorBoard's own package to write its files; install it with: pip install tensorboard"
    ) from error

# TensorBoard's number of strings among its element types.
_DT_STRING = 7


class SummaryWriter:
    """Writes what a training logs to an event file in `log_dir`, by default `runs/DATE_HOST` and a comment."""

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if log_dir is None:
            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._options = (max_queue, flush_secs, filename_suffix)
        self._writers: dict[str, Any] = {}
        writer = self._writer(self.log_dir)
        if purge_step is not None:
            start = _events.SessionLog(status=_events.SessionLog.START)
            writer.add_event(_events.Event(wall_time=time.time(), step=purge_step, session_log=start))

    def _writer(self, directory: str) -> Any:
        if directory not in self._writers:
            self._writers[directory] = _writers.EventFileWriter(directory, *self._options)
        return self._writers[directory]

    def _add(self, value: Any, step: int | None, walltime: float | None, directory: str | None = None) -> None:
        event = _events.Event(
            wall_time=time.time() if walltime is None else walltime, summary=_summaries.Summary(value=[value])
        )
        if step is not None:
            event.step = int(step)
        self._writer(directory or self.log_dir).add_event(event)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Log one number. Both styles are shown alike; `double_precision` has no place in the plain style's float32."""
        if double_precision:
            raise ValueError("add_scalar writes float32, TensorBoard's plain style; got double_precision=True")
        value = _summaries.Summary.Value(tag=tag, simple_value=_number(scalar_value))
        self._add(value, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Log several numbers for one chart, each in an event file of its own, as TensorBoard tells curves apart."""
        for tag, scalar in tag_scalar_dict.items():
            directory = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            value = _summaries.Summary.Value(tag=main_tag, simple_value=_number(scalar))
            self._add(value, global_step, walltime, directory)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Log how values are distributed; `bins` as `numpy.histogram` takes them, or TensorBoard's own, "tensorflow"."""
        histogram = _histogram(_array(values).astype(np.float64).reshape(-1), bins, max_bins)
        self._add(_summaries.Summary.Value(tag=tag, histo=histogram), global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Log text, which TensorBoard shows as Markdown."""
        plugin = _summaries.SummaryMetadata.PluginData(plugin_name="text")
        shape = _shapes.TensorShapeProto(dim=[_shapes.TensorShapeProto.Dim(size=1)])
        text = _tensors.TensorProto(dtype=_DT_STRING, string_val=[text_string.encode()], tensor_shape=shape)
        metadata = _summaries.SummaryMetadata(plugin_data=plugin)
        value = _summaries.Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=text)
        self._add(value, global_step, walltime)

    def get_logdir(self) -> str:
        """Return the directory of the event file."""
        return self.log_dir

    def flush(self) -> None:
        """Write what is queued to the disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Write what is queued and close the files; the next call opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _array(values: Any) -> np.ndarray[Any, Any]:
    """Return the values of a tensor, waiting for it, or of anything that numpy takes."""
    return np.asarray(values.detach() if hasattr(values, "detach") else values)


def _number(value: Any) -> float:
    array = _array(value)
    if array.size != 1:
        raise ValueError(f"add_scalar needs one number; got a value of shape {array.shape}")
    return float(array.reshape(()).item())


def _tensorboard_bins() -> np.ndarray[Any, Any]:
    """Return TensorBoard's bins: limits that grow by a tenth, on both sides of 0."""
    limits = 1e-12 * 1.1 ** np.arange(int(np.log(1e20 / 1e-12) / np.log(1.1)) + 1)
    return np.concatenate([-limits[::-1], [0.0], limits])


def _histogram(values: np.ndarray[Any, Any], bins: Any, max_bins: int | None) -> Any:
    if values.size == 0:
        raise ValueError("The input has no element.")
    edges = _tensorboard_bins() if isinstance(bins, str) and bins == "tensorflow" else bins
    counts, limits = np.histogram(values, bins=edges)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        counts = np.add.reduceat(counts, np.arange(0, len(counts), step))
        limits = np.append(limits[:-1:step], limits[-1])
    filled = np.flatnonzero(counts)
    # One empty bin on the left, so that the first one's lower end can be seen.
    first, last = (max(int(filled[0]) - 1, 0), int(filled[-1]) + 1) if filled.size else (0, len(counts))
    return _summaries.HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=values.dot(values),
        bucket_limit=limits[first + 1 : last + 1].tolist(),
        bucket=counts[first:last].tolist(),
    )
