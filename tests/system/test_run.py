"""`gradwire run`: unmodified PyTorch scripts, in a process of their own, as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

IMPORTS = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import nn as same, optim
from torch.nn.modules.linear import Linear
from torch.nn.parameter import Parameter
from torch.utils.data import DataLoader, TensorDataset
import beside

assert __name__ == "__main__" and __file__ == sys.argv[0]
assert sys.argv[1:] == ["--lr", "0.5", "-m", "--address"], sys.argv
assert sys.path[0] == beside.folder()
assert torch.nn is nn is same and nn.functional is F and Linear is nn.Linear is beside.Linear
assert torch.__version__ >= "2.4" and "gradwire" in torch.__version__
assert "gradwire.nn" in sys.modules and "torch._C" not in sys.modules
for statement in ("import torch.matmull", "from torch import matmull", "from torch.nn import Linera"):
    try:
        exec(statement)
    except ImportError as error:
        print(error)
try:
    torch.nn.functional.relux
except AttributeError as error:
    print(error)
"""

BESIDE = """
import os
from torch.nn import *

def folder():
    return os.path.dirname(__file__)
"""

TEXTS = """
import torch
print(torch.ones(2, dtype=torch.int8), str(torch.float32).removeprefix("torch."))
print(torch.ones(1, 2).max(1), torch.__name__, torch.jit.script(len) is len)
"""

TRAINING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.fc2 = nn.Linear(8, 2)
    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))

torch.manual_seed(1)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = Net().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
x = torch.randn(64, 4, device=device)
y = (x.sum(1) > 0).long()
for step in range(30):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
assert loss.item() < 0.4, loss.item()
with torch.no_grad():
    print((model(x).argmax(dim=1) == y).float().mean().item() > 0.85)
raise SystemExit(3)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "GRADWIRE_ADDRESS"}
    return subprocess.run(
        [sys.executable, "-m", "gradwire", "run", *arguments],
        env=environment,
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_imports_are_gradwires(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(IMPORTS)
    (tmp_path / "beside.py").write_text(BESIDE)
    done = run(tmp_path, str(tmp_path / "script.py"), "--lr", "0.5", "-m", "--address")
    assert done.returncode == 0, done.stderr
    matmull, again, linera, relux = done.stdout.splitlines()
    assert (
        matmull
        == again
        == (
            "gradwire has no torch.matmull; the nearest name it has is torch.matmul; docs/coverage.md lists what it covers"
        )
    )
    assert "has no torch.nn.Linera; the nearest name it has is torch.nn.Linear;" in linera
    assert "has no torch.nn.functional.relux; the nearest name it has is torch.nn.functional.relu;" in relux


def test_a_script_trains_and_its_exit_status_is_kept(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAINING)
    done = run(tmp_path, str(tmp_path / "train.py"))
    assert (done.returncode, done.stdout) == (3, "True\n"), done.stderr


def test_a_trace_begins_in_the_script_and_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import torch\n\ntorch.matmull(1, 2)\n")
    done = run(tmp_path, str(tmp_path / "broken.py"))
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[:2] == ["Traceback (most recent call last):", f'  File "{tmp_path}/broken.py", line 3, in <module>']
    assert lines[-1].startswith(
        "AttributeError: gradwire has no torch.matmull; the nearest name it has is torch.matmul;"
    )


def test_a_worker_that_is_named_is_used(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import torch\ntorch.ones(2).sum().item()")
    done = run(tmp_path, "--address", "127.0.0.1:1", str(tmp_path / "one.py"))
    assert done.returncode == 1
    assert "WorkerUnreachable" in done.stderr
    assert "127.0.0.1:1" in done.stderr


def test_texts_name_the_package_as_the_script_does(tmp_path: Path) -> None:
    (tmp_path / "texts.py").write_text(TEXTS)
    done = run(tmp_path, str(tmp_path / "texts.py"))
    assert done.stdout.splitlines() == [
        "tensor([1, 1], dtype=torch.int8) float32",
        "torch.return_types.max(",
        "values=tensor([1.]),",
        "indices=tensor([0])) torch True",
    ], done.stderr


def test_a_module_runs_as_python_m_does(tmp_path: Path) -> None:
    package = tmp_path / "cats"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text("import torch, sys\nfrom cats import train\nprint(__name__, sys.argv[1:])")
    done = subprocess.run(
        [sys.executable, "-m", "gradwire", "run", "-m", "cats.train", "--fast"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "__main__ ['--fast']", done.stderr


def test_a_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, "absent.py")
    assert done.returncode == 2
    assert "absent.py" in done.stderr
