"""The generated files are what the generators write today; one that is not, is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout.source import ROOT

SCALE = 'syntax = "proto3";\npackage toy;\nmessage Scale { double factor = 1; }\n'
WORKER = (
    'syntax = "proto3";\npackage toy;\nimport "toy/scale.proto";\n'
    "service Worker { rpc Apply(Scale) returns (Scale); }\n"
)


def generate(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a generator as `make` does."""
    command = [sys.executable, str(ROOT / "protos" / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("script", ["generate_protos.py", "generate_methods.py"])
def test_the_tree_holds_what_the_generator_writes(script: str) -> None:
    result = generate(script, "--check")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return a folder with two protos, one with a service, and their stubs."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "scale.proto").write_text(SCALE)
    (tmp_path / "toy" / "worker.proto").write_text(WORKER)
    result = generate("generate_protos.py", "--root", str(tmp_path))
    assert result.returncode == 0, result.stderr
    return tmp_path


def check(root: Path) -> tuple[int, str]:
    """Return the exit code and the message of `--check`."""
    result = generate("generate_protos.py", "--check", "--root", str(root))
    return result.returncode, result.stderr


def test_fresh_stubs_pass_and_only_a_service_has_grpc_stubs(toy: Path) -> None:
    assert check(toy)[0] == 0
    assert [path.name for path in toy.rglob("*_pb2_grpc.py")] == ["worker_pb2_grpc.py"]


def test_a_changed_proto_is_stale(toy: Path) -> None:
    (toy / "toy" / "scale.proto").write_text(SCALE.replace("double", "float"))
    code, message = check(toy)
    assert code == 1
    assert "toy/scale_pb2.py" in message
    assert "make generate" in message


def test_a_missing_stub_is_stale(toy: Path) -> None:
    (toy / "toy" / "scale_pb2.pyi").unlink()
    code, message = check(toy)
    assert code == 1
    assert "toy/scale_pb2.pyi" in message


def test_a_stub_without_its_proto_is_stale_and_is_removed(toy: Path) -> None:
    (toy / "toy" / "worker.proto").unlink()
    code, message = check(toy)
    assert code == 1
    assert "toy/worker_pb2_grpc.py" in message
    assert generate("generate_protos.py", "--root", str(toy)).returncode == 0
    assert not list(toy.rglob("worker_pb2*"))


def test_a_folder_without_protos_is_refused(tmp_path: Path) -> None:
    code, message = check(tmp_path)
    assert code == 1
    assert "found none" in message
