"""Who may import what. The edges are few and named; a new one is a decision, made here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.layout.source import PACKAGES, Import, imports, is_generated, parsed, python_files

# Besides the standard library and the package itself. The client and the worker never meet; the
# contract meets neither.
MAY_IMPORT = {
    "gradwire_protocol": {"google", "ml_dtypes", "numpy"},
    "gradwire": {"gradwire_protocol", "google", "grpc", "numpy", "torch", "tensorboard", "locust", "gevent"},
    "gradwire_server": {
        "gradwire_protocol",
        "google",
        "grpc",
        "grpc_health",
        "numpy",
        "cupy",
        "cupyx",
        "scipy",
        "numba",
        "torch",
        "nccl",
        "llvmlite",
        "prometheus_client",
        "fsspec",
    },
    # Starts workers as processes, by their command line; its gateway has a worker's doors.
    "gradwire_pool": {"gradwire_protocol", "gradwire_server", "google", "grpc", "ray"},
}
# Libraries with one door: the only files that may import them.
DOORS = {
    "grpc": {
        "client/gradwire/transport.py",
        "client/gradwire/channels.py",
        "client/gradwire/credentials.py",
        "client/gradwire/bulk.py",
        "server/gradwire_server/own_queue.py",
        "server/gradwire_server/bulk.py",
        "server/gradwire_server/peers/plane.py",
        "server/gradwire_server/peers/reach.py",
        "server/gradwire_server/service.py",
        "server/gradwire_server/doors/tls.py",
        "server/gradwire_server/doors/doorkeeper.py",
        "server/gradwire_server/doors/quiet.py",
        "server/gradwire_pool/doors.py",
        "server/gradwire_pool/gateway.py",
        "server/gradwire_pool/probes.py",
        "client/gradwire/pool.py",
    },
    # Ray runs code for whoever holds its token: what touches it is kept small.
    "ray": {
        "server/gradwire_pool/cluster.py",
        "server/gradwire_pool/controller.py",
        "server/gradwire_pool/worker_actor.py",
    },
    # They change the process that imports them.
    "locust": {"client/gradwire/loadtest/swarm.py"},
    "gevent": {"client/gradwire/loadtest/swarm.py"},
    "prometheus_client": {"server/gradwire_server/metrics.py"},
    # Reaches any file and any host that its URL names.
    "fsspec": {"server/gradwire_server/stores.py"},
    "grpc_health": {"server/gradwire_server/service.py"},
    "cupy": {
        "server/gradwire_server/backend.py",
        "server/gradwire_server/collectives/nccl.py",
        "server/gradwire_server/lapack/device.py",
    },
    "cupyx": {
        "server/gradwire_server/backend.py",
        "server/gradwire_server/scientific.py",
        "server/gradwire_server/lapack/device.py",
    },
    "scipy": {"server/gradwire_server/scientific.py", "server/gradwire_server/lapack/host.py"},
    "numba": {"server/gradwire_server/loops/jit.py"},
    "llvmlite": {"server/gradwire_server/native/machine.py"},
    "ml_dtypes": {"protos/gradwire_protocol/dtypes.py"},
    # Only to convert a user's PyTorch tensors, where it is installed; nothing needs it.
    # A CPU worker's collectives are gloo's, which comes inside of it.
    "torch": {"client/gradwire/pytorch.py", "server/gradwire_server/collectives/gloo.py"},
    "nccl": {"server/gradwire_server/collectives/nccl.py"},
    # Only to write its files, for a script that logs to it.
    "tensorboard": {"client/gradwire/utils/tensorboard.py"},
}
# They import by names that are computed: a package's parts at their first use, and what stands for PyTorch's modules in `gradwire
# run`.
COMPUTED = {"client/gradwire/late.py", "client/gradwire/run/names.py"}
# The contract speaks of dtypes and shapes; arrays are the business of the two sides, but for how their bytes travel.
CONTRACT_NUMPY = {
    "protos/gradwire_protocol/bulk.py",
    "protos/gradwire_protocol/checksums.py",
    "protos/gradwire_protocol/dtypes.py",
    "protos/gradwire_protocol/safetensors.py",
    "protos/gradwire_protocol/shared_memory.py",
}
# They run code that the data names, or hide it; nothing here may read such data.
CODE_RUNNING = {
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "dill",
    "cloudpickle",
    "shelve",
    "joblib",
}

FILES = [
    (package, path) for package, folder in PACKAGES.items() for path in python_files(folder) if not is_generated(path)
]
each_file = pytest.mark.parametrize(("package", "path"), FILES, ids=[path for _, path in FILES])


def law_breaches(package: str, found: list[Import]) -> list[str]:
    """Return what the package must not import, a line each."""
    allowed = MAY_IMPORT[package] | {package} | sys.stdlib_module_names
    return [f"line {i.line}: {package} must not import {i.module}" for i in found if i.top not in allowed]


def door_breaches(path: str, found: list[Import]) -> list[str]:
    """Return the imports that have to go through another file, a line each."""
    return [
        f"line {i.line}: only {', '.join(sorted(DOORS[i.top]))} may import {i.top}"
        for i in found
        if i.top in DOORS and path not in DOORS[i.top]
    ]


def running_breaches(tree: ast.AST) -> Iterator[str]:
    """Yield each way in which the tree could run code that came as data."""
    for found in imports(tree):
        for name in CODE_RUNNING & {*found.module.split("."), *found.names}:
            yield f"line {found.line}: {name} runs code that its input names; use protobuf or JSON"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_evaluation(node.func):
            yield f"line {node.lineno}: eval and exec must not be called"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is_false(node.value):
            yield f"line {node.value.lineno}: allow_pickle must be the literal False"


def _is_evaluation(function: ast.expr) -> bool:
    # `model.eval()` is PyTorch's word for another thing; `builtins.eval` is not.
    return ast.unparse(function) in ("eval", "exec", "builtins.eval", "builtins.exec")


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@each_file
def test_each_package_imports_only_what_it_may(package: str, path: str) -> None:
    found = [i for i in imports(parsed(path)) if not (path in COMPUTED and i.module == "<computed>")]
    assert law_breaches(package, found) == []


@each_file
def test_a_library_with_a_door_is_imported_there_only(package: str, path: str) -> None:
    assert door_breaches(path, imports(parsed(path))) == []


@each_file
def test_nothing_runs_code_that_came_as_data(package: str, path: str) -> None:
    assert list(running_breaches(parsed(path))) == []


def test_the_contract_uses_numpy_in_one_file() -> None:
    users = {
        path
        for package, path in FILES
        if package == "gradwire_protocol" and any(i.top == "numpy" for i in imports(parsed(path)))
    }
    assert users <= CONTRACT_NUMPY


def test_generated_stubs_are_the_only_generated_importers_of_grpc() -> None:
    users = {
        path
        for folder in PACKAGES.values()
        for path in python_files(folder)
        if is_generated(path) and any(i.top == "grpc" for i in imports(parsed(path)))
    }
    assert {path for path in users if not path.endswith("_pb2_grpc.py")} == set()


def test_every_package_was_walked() -> None:
    assert {package for package, _ in FILES} == set(PACKAGES)


# --- the walk itself ---


@pytest.mark.parametrize(
    "source",
    [
        "import gradwire_server",
        "from gradwire_server.engine import Engine",
        "def f():\n    import pandas",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gradwire_server",
        "import importlib\nimportlib.import_module('gradwire_server.engine')",
        "import importlib\nimportlib.import_module('gradwire_' + 'server')",
        "__import__('cupy')",
        "from . import tensor",
    ],
)
def test_a_breach_of_the_import_law_is_seen(source: str) -> None:
    assert law_breaches("gradwire", imports(ast.parse(source)))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from multiprocessing import pickle",
        "def f():\n    import marshal as m",
        "eval('1')",
        "exec(code)",
        "import builtins\nbuiltins.exec(code)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
    ],
)
def test_a_way_to_run_data_as_code_is_seen(source: str) -> None:
    assert list(running_breaches(ast.parse(source)))


@pytest.mark.parametrize("source", ["model.eval()", "np.load(path, allow_pickle=False)", "executor(1)"])
def test_what_only_looks_like_it_is_let_through(source: str) -> None:
    assert list(running_breaches(ast.parse(source))) == []


def test_a_library_imported_beside_its_door_is_seen() -> None:
    found = imports(ast.parse("import grpc.aio\nfrom cupy import cuda"))
    assert len(door_breaches("client/gradwire/cli.py", found)) == 2
    assert door_breaches("client/gradwire/transport.py", found[:1]) == []
