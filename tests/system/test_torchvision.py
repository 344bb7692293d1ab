"""torchvision, where it is installed: it is written for PyTorch, and under `gradwire run` its `torch` is gradwire."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.system.test_run import run

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed"),
]

SCRIPT = """
import torch
import torchvision
from torchvision import datasets, models, transforms, tv_tensors
from torchvision.transforms import v2
from torchvision.utils import make_grid, save_image

assert not torchvision.extension._has_ops()
steps = transforms.Compose([transforms.Resize(32), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
images = datasets.FakeData(8, (3, 40, 40), 10, transform=steps)
model = models.resnet18(num_classes=10)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for x, y in torch.utils.data.DataLoader(images, batch_size=4):
    loss = torch.nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
save_image(make_grid(x, normalize=True), "grid.png")
boxes = tv_tensors.BoundingBoxes([[1, 2, 10, 12]], format="XYXY", canvas_size=(32, 32))
image, flipped = v2.RandomHorizontalFlip(1.0)(tv_tensors.Image(x[0]), boxes)
assert type(image.clone()) is tv_tensors.Image and type(image + 1) is torch.Tensor
print(type(flipped).__name__, flipped.tolist(), bool(loss.isfinite()))
"""


def test_a_script_with_torchvision(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    done = run(tmp_path, str(tmp_path / "train.py"))
    assert done.stdout == "BoundingBoxes [[22, 2, 31, 12]] True\n", done.stderr
