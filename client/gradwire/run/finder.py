"""The import hook: `import torch`, and any module under it, gives the module of gradwire that has its names.

PyTorch itself is never imported, even where it is installed: the hook stands first, and refuses what gradwire lacks.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from gradwire.run.names import counterpart, inner, missing, overrides, submodule
from gradwire_protocol.shown import show_as

__all__ = ["TorchFinder", "TorchModule", "install"]


class TorchModule(ModuleType):
    """A module under PyTorch's name with the names of one of gradwire's, and words for those that it lacks."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.__dict__["_target"] = target
        self.__dict__.update(overrides(name))

    def __getattr__(self, name: str) -> Any:
        target = self.__dict__["_target"]
        if name == "__all__":
            return getattr(target, name, [known for known in dir(target) if not known.startswith("_")])
        if name.startswith("__"):
            return getattr(target, name)
        value = getattr(target, name, self)
        if value is self and name.startswith("_"):
            value = inner(target, name) or self
        if value is self or _is_ours(value):
            value = self._submodule(name)
        if name in vars(target):
            # Found without this method from now on. What a module computes anew at each look is not in its dict.
            self.__dict__[name] = value
        return value

    def _submodule(self, name: str) -> Any:
        try:
            return submodule(self.__name__, name)
        except ModuleNotFoundError as error:
            # Without `name` and `obj`, of which Python would make a second hint.
            raise AttributeError(str(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system's own attributes, and the submodules that it binds, are this module's alone; all else is a
        # script's setting, which has to reach gradwire.
        if not name.startswith("__") and not isinstance(value, TorchModule):
            setattr(self.__dict__["_target"], name, value)
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self.__dict__["_target"]), *self.__dict__} - {"_target"})

    def __repr__(self) -> str:
        return f"<module '{self.__name__}' (gradwire's)>"


def _is_ours(value: Any) -> bool:
    return isinstance(value, ModuleType) and value.__name__.startswith("gradwire.")


class TorchFinder(MetaPathFinder, Loader):
    """Finds `torch` and what is under it in gradwire."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to make the module; raise ModuleNotFoundError, with the nearest name, if gradwire lacks it."""
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        if counterpart(fullname) is None:
            package, _, name = fullname.rpartition(".")
            # Without the name of the module, by which `from torch import x` would take these words for its own cue to
            # say less.
            raise ModuleNotFoundError(missing(package, name))
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        found = counterpart(spec.name)
        assert found is not None, "find_spec looked"
        return TorchModule(spec.name, found)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the names are gradwire's."""


def install() -> None:
    """Make `import torch` give gradwire in this process from now on.

    Raises RuntimeError if PyTorch was imported before: objects of both would meet.
    """
    present = sys.modules.get("torch")
    if present is not None and not isinstance(present, TorchModule):
        raise RuntimeError("gradwire.run.install() needs a process that has not imported torch; it has; call it first")
    if not any(isinstance(finder, TorchFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, TorchFinder())
        # A script that prints a dtype, or takes its name apart, knows the package as torch.
        show_as("torch")
