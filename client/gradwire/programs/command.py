"""`gradwire run-program`: run a saved program on tensors from a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gradwire.credential_flags import add_credential_flags, export_credentials
from gradwire_protocol.errors import GradwireError

__all__ = ["run_program"]

_DESCRIPTION = """Run a program that a compiled function saved, without the script that it is from.

The inputs are named as the function's arguments, the outputs by their places in what it returned: `result`, or `0`, `loss`."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gradwire run-program", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", help="the file that the function's save() wrote")
    parser.add_argument(
        "--address", help="the worker, HOST:PORT or unix:PATH; else GRADWIRE_ADDRESS, else one of its own"
    )
    add_credential_flags(parser)
    parser.add_argument("--inputs", metavar="FILE", help="safetensors file with the arguments' tensors")
    parser.add_argument(
        "--outputs", metavar="FILE", help="safetensors file to write the result's tensors to; else print them"
    )
    parser.add_argument(
        "--values", metavar="FILE", help="safetensors file to write what the program holds to: weights and the like"
    )
    parser.add_argument(
        "--times", type=int, default=1, metavar="N", help="run it so often; the outputs are the last run's"
    )
    return parser


def run_program(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    given = _parser().parse_args(arguments)
    import gradwire
    from gradwire.programs import load

    try:
        if given.times < 1:
            raise ValueError(f"--times is a number of runs, at least 1; got {given.times}")
        export_credentials(given)
        gradwire.connect(given.address)
        loaded = load(given.program)
        inputs = gradwire.load(given.inputs) if given.inputs else {}
        if not isinstance(inputs, dict):
            raise TypeError(
                f"--inputs needs a safetensors file, of names and tensors; {given.inputs} has a {type(inputs).__name__}"
            )
        for _ in range(given.times):
            result = loaded.by_name(inputs)
        if given.outputs:
            gradwire.save(result, _safetensors(given.outputs))
        else:
            for name, tensor in result.items():
                print(f"{name} = {tensor}")
        if given.values:
            gradwire.save(loaded.values, _safetensors(given.values))
    except (GradwireError, OSError, RuntimeError, TypeError, ValueError, IndexError) as error:
        print(f"gradwire run-program: {error}", file=sys.stderr)
        return 1
    finally:
        gradwire.disconnect()
    return 0


def _safetensors(path: str) -> str:
    if not path.endswith(".safetensors"):
        raise ValueError(f"tensors are written to a file whose name ends in .safetensors; got {path}")
    return path
