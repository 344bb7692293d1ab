"""Where checkpoints may lie, and how they are written and read there: the door to fsspec, which reaches whatever a URL names.

A worker writes nowhere unless its operator allows URLs by their beginning; what may follow that is checked letter by letter.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from gradwire_protocol.errors import AccessDenied, CheckpointError

__all__ = ["Places", "Store"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
# No query, no escape, no second URL (`::`), no way up; a name that begins with a dot may be the operator's own.
_REST = re.compile(r"[A-Za-z0-9_=@+,-][A-Za-z0-9._=@+,-]*(?:/[A-Za-z0-9_=@+,-][A-Za-z0-9._=@+,-]*)*")
_SHARD = re.compile(r"[0-9a-f]{16}\.(?:[0-9]{5}|index)")
_LOCAL = ("file://", "local://")


class Places:
    """The URLs that an operator allows: those that begin with one of some prefixes."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        """Allow URLs under these prefixes, `{tenant}` in which is each tenant's name; raise ValueError for what is none."""
        for prefix in prefixes:
            if not _SCHEME.match(prefix) or "::" in prefix:
                raise ValueError(f"--checkpoint-urls needs a URL such as s3://bucket/runs; got {prefix!r}")
            _check_installed(prefix)
        self._prefixes = [prefix.rstrip("/") + "/" for prefix in prefixes]

    def store(self, url: str, tenant: str) -> Store:
        """Return the store of a tenant's checkpoint; raise AccessDenied for a URL that is not allowed."""
        named = bool(tenant.strip("."))
        for prefix in self._prefixes:
            if "{tenant}" in prefix and not named:
                continue
            start = prefix.replace("{tenant}", tenant)
            if url.startswith(start) and _REST.fullmatch(url[len(start) :]):
                return Store(url)
        raise AccessDenied(
            "a worker writes and reads checkpoints only under URLs that its operator allows (gradwire worker "
            f"--checkpoint-urls); got {url:.200}; ask for another, or give a path, where this script's own process writes"
        )


def _check_installed(prefix: str) -> None:
    try:
        import fsspec

        fsspec.get_filesystem_class(prefix.partition("://")[0])
    except ImportError as error:
        raise ValueError(
            f"--checkpoint-urls {prefix} needs what reaches it: install gradwire[urls], and for s3:// gradwire[s3]; {error}"
        ) from None


class Store:
    """One checkpoint: its index at a URL, and its shards beside that."""

    def __init__(self, url: str) -> None:
        """Reach a URL that is allowed."""
        import fsspec

        self._url = url
        with self._told("reaching"):
            self._files, self._path = fsspec.core.url_to_fs(url)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Say of an error what the client needs to know of it, and no path of the worker's."""
        try:
            yield
        except CheckpointError:
            raise
        except FileNotFoundError:
            raise CheckpointError(f"{what} {self._url} needs what is not there; look what its store has") from None
        except Exception as error:
            words = getattr(error, "strerror", None) or type(error).__name__
            raise CheckpointError(
                f"{what} {self._url} needs its store; it said {words!r:.200}; what was there before is unchanged; see to the "
                "store, or save elsewhere"
            ) from error

    def write_shard(self, shard: str, parts: Iterable[memoryview], size_bytes: int) -> None:
        """Write a shard; nothing refers to it yet. Raises CheckpointError, also where fewer bytes are there in the end."""
        self._write(f"{self._path}.{_checked(shard)}", parts, size_bytes)

    def _write(self, path: str, parts: Iterable[memoryview], size_bytes: int) -> None:
        with self._told("writing"):
            if self._is_local:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            file = self._files.open(path, "wb")
            try:
                for part in parts:
                    file.write(part)
                if self._is_local:
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                with suppress(Exception):
                    # An object that is closed is complete, however little was written.
                    (file.close if self._is_local else file.discard)()
                raise
            file.close()
            self._files.invalidate_cache()
            found = int(self._files.info(path)["size"])
            if found != size_bytes:
                raise CheckpointError(
                    f"writing {self._url} needs {size_bytes:,} bytes; its store has {found:,} of them"
                )

    def write_index(self, save: str, content: bytes) -> None:
        """Replace the index in one step: by a rename of a whole file, or as one object."""
        if not self._is_local:
            self._write(self._path, [memoryview(content)], len(content))
            return
        aside = f"{self._path}.{_checked(f'{save}.index')}"
        self._write(aside, [memoryview(content)], len(content))
        with self._told("writing"):
            os.replace(aside, self._path)
            directory = os.open(os.path.dirname(self._path), os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def remove_others(self, save: str) -> None:
        """Remove the shards of other saves: those that this one replaced, and those that were killed. Raises nothing."""
        with suppress(Exception):
            self._files.invalidate_cache()
            for found in self._files.ls(self._files._parent(self._path), detail=False):
                start, _, rest = found.rpartition("/")
                name = self._path.rpartition("/")[2]
                if rest.startswith(name + ".") and _SHARD.fullmatch(rest[len(name) + 1 :]) and f".{save}." not in rest:
                    self._files.rm_file(f"{start}/{rest}")

    @contextmanager
    def reading(self, shard: str) -> Iterator[tuple[Any, int]]:
        """Open a shard, or with "" the index, for reading; yield the file and its size. Raises CheckpointError."""
        path = f"{self._path}.{_checked(shard)}" if shard else self._path
        with self._told("reading"):
            self._files.invalidate_cache()
            size_bytes = int(self._files.info(path)["size"])
            with self._files.open(path, "rb") as file:
                yield file, size_bytes

    @property
    def _is_local(self) -> bool:
        return self._url.startswith(_LOCAL)


def _checked(shard: str) -> str:
    if not _SHARD.fullmatch(shard):
        raise CheckpointError(f"a shard is named by 16 hexadecimal digits, a dot and 5 digits; got {shard!r:.100}")
    return shard
