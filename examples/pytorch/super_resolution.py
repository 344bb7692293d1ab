"""Sub-pixel convolution doubles images, as in pytorch/examples/super_resolution."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from common import batches, digits, fill, report


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 16, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(16, 8, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        return self.pixel_shuffle(self.conv3(x))


model = fill(Net(2))
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.001)
images, _ = digits()
for step, index in enumerate(batches(len(images), 32)):
    target = images[index]
    source = F.interpolate(target, scale_factor=0.5, mode="bilinear", align_corners=False)
    optimizer.zero_grad()
    loss = criterion(model(source), target)
    loss.backward()
    optimizer.step()
    report(step, loss)
with torch.no_grad():
    error = criterion(model(F.avg_pool2d(images[:32], 2)), images[:32])
print(f"psnr {10 * torch.log10(1 / error).item():.3f}")
