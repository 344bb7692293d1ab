"""`gradwire run script.py`: run a script as Python would, with gradwire under PyTorch's name."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence
from types import TracebackType

from gradwire.credential_flags import add_credential_flags, export_credentials

__all__ = ["run"]

_DESCRIPTION = """Run a PyTorch script, unmodified, on a worker: its `import torch` gives gradwire.

PyTorch need not be installed, and is not imported if it is. A name that gradwire lacks raises AttributeError, or
ImportError, with the nearest name that it has."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwire run",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="gradwire run [--address ADDRESS] (SCRIPT | -m MODULE) [ARGUMENT ...]",
    )
    parser.add_argument(
        "--address", help="the worker, HOST:PORT or unix:PATH; else GRADWIRE_ADDRESS, else one of its own"
    )
    add_credential_flags(parser)
    parser.add_argument("-m", dest="module", action="store_true", help="run a module of the path, as python -m does")
    parser.add_argument("script", metavar="SCRIPT", help="the script, or with -m the module's dotted name")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the script's own arguments")
    return parser


def _begin_traces_at(script: str) -> None:
    """Print an uncaught error's trace from the script on, without the frames that lead to it here."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        own = trace
        while own is not None and own.tb_frame.f_code.co_filename != script:
            own = own.tb_next
        sys.__excepthook__(kind, error.with_traceback(own or trace), own or trace)

    sys.excepthook = hook


def run(arguments: Sequence[str]) -> int:
    """Run a script; its exceptions and its SystemExit pass through."""
    given = _parser().parse_args(arguments)
    if not given.module and not os.path.isfile(given.script):
        print(f"gradwire run: there must be a script to run; {given.script} is no file", file=sys.stderr)
        return 2
    if given.address:
        # In the environment, so that processes which the script starts find the same worker.
        os.environ["GRADWIRE_ADDRESS"] = given.address
    try:
        export_credentials(given)
    except (OSError, ValueError) as error:
        print(f"gradwire run: --token-file must be readable text; {error}", file=sys.stderr)
        return 2
    from gradwire.run.finder import install

    install()
    sys.argv[:] = [given.script, *given.arguments]
    if given.module:
        sys.path[0] = os.getcwd()
        runpy.run_module(given.script, run_name="__main__", alter_sys=True)
    else:
        # As Python does: the script's folder, not the caller's, is where its own modules are looked for.
        sys.path[0] = os.path.dirname(os.path.realpath(given.script))
        _begin_traces_at(given.script)
        runpy.run_path(given.script, run_name="__main__")
    return 0
