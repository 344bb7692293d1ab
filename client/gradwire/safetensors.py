"""Read and write safetensors files: named arrays and a text map, nothing that could run.

Owns the replacement of a file as a whole; the format is `gradwire_protocol.safetensors`'s. It knows numpy arrays only; the
tensors of a state_dict are fetched and made elsewhere. Nothing here may unpickle or evaluate.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

import numpy as np

from gradwire_protocol.errors import CheckpointError
from gradwire_protocol.safetensors import Invalid, encode_head, little_endian, read

__all__ = ["CheckpointError", "read_safetensors", "replacing", "write_safetensors"]

Array: TypeAlias = np.ndarray[Any, Any]
Path: TypeAlias = "str | os.PathLike[str]"

# One system call's worth; an interrupt is served between two of them.
_WRITE_BYTES: Final = 64 * 1024 * 1024


# ---------------------------------------------------------------- writing
def write_safetensors(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write `arrays` to `path` so that the file there is at every moment the old one or the new.

    The file is written aside, forced to the disk and then renamed over `path`. Reading it back
    gives the names in the order of `arrays`. Raises TypeError or ValueError for what the format
    cannot hold, before anything is written, and CheckpointError when the disk does not take it.
    """
    order, head = encode_head(arrays, metadata)
    needed_bytes = len(head) + sum(array.nbytes for array in arrays.values())
    with replacing(path, needed_bytes) as write:
        write(memoryview(head))
        for name in order:
            write(little_endian(arrays[name]).reshape(-1).view(np.uint8).data)


# ---------------------------------------------------------------- replacing a file as a whole
class _Aside:
    """A file being written next to the one that it will replace.

    Where the system can (Linux, most file systems) it has no name until it is complete, so that
    even a kill leaves nothing behind; elsewhere it has a hidden name and a kill may leave that.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._directory = os.path.dirname(target)
        self._name: str | None = None
        self._descriptor = self._open()
        self.written_bytes = 0

    def _open(self) -> int:
        flags = os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
        # /proc is how a nameless file gets its name later on.
        if hasattr(os, "O_TMPFILE") and os.path.isdir("/proc/self/fd"):
            # Which of these it is, where the kernel or the file system cannot, is its own choice.
            with _ignoring(errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                return os.open(self._directory, flags | os.O_TMPFILE, 0o666)
        self._name = self._fresh_name()
        return os.open(self._name, flags | os.O_CREAT | os.O_EXCL, 0o666)

    def _fresh_name(self) -> str:
        # Short on purpose: the target's own name may be as long as the file system allows.
        return os.path.join(self._directory, f".gradwire-{secrets.token_hex(8)}.partial")

    def write(self, values: memoryview) -> None:
        while values:
            count = os.write(self._descriptor, values[:_WRITE_BYTES])
            self.written_bytes += count
            values = values[count:]

    def commit(self) -> None:
        """Give the complete file the target's name, in one step and for good."""
        with suppress(FileNotFoundError):
            # A checkpoint that was made private stays private.
            os.fchmod(self._descriptor, stat.S_IMODE(os.stat(self._target).st_mode))
        os.fsync(self._descriptor)
        if self._name is None:
            name = self._fresh_name()
            # Only with a directory descriptor does os.link follow /proc's link to the file itself.
            os.link(f"/proc/self/fd/{self._descriptor}", name, src_dir_fd=self._descriptor)
            self._name = name
        os.replace(self._name, self._target)
        self._name = None
        # The new file is in place: a directory that cannot be synced is no failure of the save.
        with suppress(OSError):
            _sync_directory(self._directory)

    def close(self) -> None:
        os.close(self._descriptor)
        if self._name is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._name)


@contextmanager
def _ignoring(*numbers: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


def _sync_directory(directory: str) -> None:
    """Force the rename itself to the disk; without it a power cut may bring the old file back."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path, needed_bytes: int) -> Iterator[Callable[[memoryview], None]]:
    """Give a function that writes the next bytes of what will replace `path` on leaving."""
    # A symbolic link keeps pointing where it does; the file behind it is replaced.
    target = os.path.realpath(os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        # Renaming over a device or a pipe would remove it from the system.
        raise CheckpointError(
            errno.EINVAL, f"saving needs the path of a file, or a new one; {target} is a device or a pipe"
        )
    written_bytes = 0
    try:
        aside = _Aside(target)
        try:
            yield aside.write
            aside.commit()
        finally:
            written_bytes = aside.written_bytes
            aside.close()
    except OSError as error:
        message = _save_failure(target, error, needed_bytes, written_bytes)
        raise CheckpointError(error.errno, message) from error


_ADVICE: Final = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some of the quota",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.ENOENT: "make the directory",
    errno.EACCES: "give write permission on the directory",
}


def _save_failure(target: str, error: OSError, needed_bytes: int, written_bytes: int) -> str:
    left = ""
    with suppress(OSError):
        left = f" with {shutil.disk_usage(os.path.dirname(target)).free:,} left on that disk"
    return (
        f"saving {target} needs {needed_bytes:,} bytes; got {str(error.strerror)!r} after "
        f"{written_bytes:,}{left}; what was there before is unchanged; "
        f"{_ADVICE.get(error.errno or 0, 'see to the disk')} or save elsewhere"
    )


# ---------------------------------------------------------------- reading
def read_safetensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Read a whole safetensors file; return its arrays, in the header's order, and its metadata.

    The arrays are fresh, writable and in the host's byte order. The file may come from anywhere:
    it is checked before values are read, so memory use is bounded by its size. Raises
    CheckpointError when it is not a whole and valid one, and what `open` raises when there is none.
    """
    with open(path, "rb") as file:
        try:
            return read(file, os.fstat(file.fileno()).st_size)
        except Invalid as invalid:
            raise CheckpointError(
                f"loading {os.fspath(path)} needs a whole safetensors file; {invalid}; "
                f"load another copy, or convert it to safetensors if it is of another format"
            ) from None
