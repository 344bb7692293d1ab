"""`torch.hub`: weights from an address, kept in a folder. What runs the code of a repository is refused."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, Any, NoReturn, Self
from urllib.parse import urlparse

from gradwire.saving import load as load_file

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

_CHUNK_BYTES = 128 * 1024
_HASH = re.compile(r"-([a-f0-9]*)\.")
_folder: str | None = None


def _get_torch_home() -> str:
    """Return PyTorch's folder in the user's cache, so that what it downloaded is found, and the other way round."""
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """Return the folder of downloads: what `set_dir` set, or `$TORCH_HOME/hub`, or `~/.cache/torch/hub`."""
    return os.path.join(_get_torch_home(), "hub") if _folder is None else _folder


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder of downloads."""
    global _folder
    _folder = os.path.expanduser(d)


class tqdm:
    """PyTorch's stand-in for the package of that name: how far a download is, in one line on the standard error stream."""

    def __init__(
        self, iterable: Iterable[Any] | None = None, *, total: int | None = None, disable: bool = False, unit: str = "it",
        unit_scale: bool = False, unit_divisor: int = 1000,
    ) -> None:  # fmt: skip
        """Count to `total`, or say how much has come where that is not known."""
        self._iterable, self._total, self._disable = iterable, total, disable
        self._unit, self._scale = (f"M{unit}", unit_divisor**2) if unit_scale else (unit, 1)
        self.n = 0

    def update(self, n: int = 1) -> None:
        """Count `n` more."""
        self.n += n
        if self._disable:
            return
        done = f"{100 * self.n / self._total:.1f}%" if self._total else f"{self.n / self._scale:.1f} {self._unit}"
        sys.stderr.write(f"\r{done}")
        sys.stderr.flush()

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        """Write what is being done."""
        if desc and refresh and not self._disable:
            sys.stderr.write(f"\r{desc} ")

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self._iterable or ():
                yield item
                self.update()

    def close(self) -> None:
        """End the line."""
        if not self._disable and self.n:
            sys.stderr.write("\n")
        self._disable = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Fetch `url` into the file `dst`, whole or not at all.

    Raises RuntimeError unless the SHA256 of what came begins with `hash_prefix`.
    """
    target = os.path.expanduser(dst)
    part = f"{target}.{uuid.uuid4().hex}.partial"
    try:
        with open(part, "xb") as file:
            digest = _copy(url, file, progress)
        if hash_prefix is not None and not digest.startswith(hash_prefix):
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        os.replace(part, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)


def _copy(url: str, file: IO[bytes], progress: bool) -> str:
    """Write what comes from `url` and return its SHA256."""
    from urllib.request import Request, urlopen  # here, since it is slow to import, and few scripts download

    digest = hashlib.sha256()
    with urlopen(Request(url, headers={"User-Agent": "torch.hub"})) as source:
        size = source.headers.get("Content-Length")
        with tqdm(
            total=int(size) if size else None, disable=not progress, unit="B", unit_scale=True, unit_divisor=1024
        ) as bar:
            while chunk := source.read(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    return digest.hexdigest()


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """Return what the file at `url` holds; fetch it into `model_dir` (`get_dir()/checkpoints`) unless it is there.

    With `check_hash`, the file's name says how its SHA256 begins: `name-<hash>.pth`.
    """
    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = os.path.basename(urlparse(url).path) if file_name is None else file_name
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stdout.write(f'Downloading: "{url}" to {path}\n')
        found = _HASH.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress=progress)
    return load_file(path, map_location=map_location, weights_only=weights_only)


def load(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise NotImplementedError: it would download a program, and run it."""
    raise NotImplementedError(
        "torch.hub.load, list and help download a repository and run its code, which gradwire does not do; install the "
        "package that defines the model, and give it the weights by load_state_dict_from_url"
    )


list = help = load
