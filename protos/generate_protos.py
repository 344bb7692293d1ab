"""Write the protobuf and gRPC stubs beside their `.proto` files.

    python protos/generate_protos.py            write, and remove stubs whose `.proto` is gone
    python protos/generate_protos.py --check    exit 1 if a stub is stale, missing or left over

Both modes generate into a temporary folder and compare bytes, so `--check` never touches the tree.
The text depends on the release of grpcio-tools, which pyproject.toml therefore pins.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
_SERVICE = re.compile(r"^\s*service\s+\w+", re.MULTILINE)


def sources(root: Path) -> list[Path]:
    """Return the `.proto` files under `root`, relative to it, sorted."""
    return sorted(path.relative_to(root) for path in root.rglob("*.proto"))


def generate(root: Path, output: Path) -> None:
    """Run protoc on every source, writing under `output`; raise SystemExit where it refuses one."""
    found = sources(root)
    if not found:
        raise SystemExit(f"there must be at least one .proto file under {root}; found none")
    with_services = [path for path in found if _SERVICE.search((root / path).read_text())]
    _protoc(root, found, f"--python_out={output}", f"--pyi_out={output}")
    # Elsewhere the plug-in would write a module that imports grpc for nothing.
    if with_services:
        _protoc(root, with_services, f"--grpc_python_out={output}")


def _protoc(root: Path, paths: Sequence[Path], *options: str) -> None:
    from grpc_tools import protoc

    with resources.as_file(resources.files("grpc_tools") / "_proto") as well_known:
        arguments = ["protoc", f"-I{root}", f"-I{well_known}", *options]
        code = protoc.main([*arguments, *(path.as_posix() for path in paths)])
    if code != 0:
        raise SystemExit(f"protoc must accept {', '.join(map(str, paths))}; it exited with {code}")


def contents(root: Path) -> dict[str, bytes]:
    """Return the generated files under `root`, by their path relative to it."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*_pb2*"))
        if path.name.endswith(SUFFIXES)
    }


def stale(wanted: dict[str, bytes], present: dict[str, bytes]) -> list[str]:
    """Return the paths that differ, are missing or are left over from a `.proto` that is gone."""
    return sorted(path for path in wanted.keys() | present.keys() if wanted.get(path) != present.get(path))


def write(root: Path, wanted: dict[str, bytes], paths: Sequence[str]) -> None:
    """Write each of `paths` as wanted, and remove those that nothing wants."""
    for path in paths:
        if path in wanted:
            (root / path).write_bytes(wanted[path])
        else:
            (root / path).unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate, then write or compare; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the protobuf and gRPC stubs.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    parser.add_argument("--root", type=Path, default=PROTOS, help="the folder of the .proto files")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    with tempfile.TemporaryDirectory() as folder:
        generate(root, Path(folder))
        wanted = contents(Path(folder))
    changed = stale(wanted, contents(root))
    if options.check:
        if changed:
            print(f"stale: {', '.join(changed)}; run `make generate`", file=sys.stderr)
        return 1 if changed else 0
    write(root, wanted, changed)
    print(f"{len(changed)} of {len(wanted)} generated files differed; they are as wanted now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
