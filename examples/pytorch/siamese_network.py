"""Twin networks compare pairs of digits, as in pytorch/examples/siamese_network."""

import torch
import torch.nn as nn
import torch.optim as optim
from common import digits, fill, report
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset


class Pairs(Dataset):
    def __init__(self):
        self.images, self.classes = digits(256)

    def __len__(self):
        return 128

    def __getitem__(self, index):
        other = index + 128 if index % 2 else (index * 7) % 256
        same = torch.tensor(float(self.classes[index] == self.classes[other]))
        return self.images[index], self.images[other], same


class SiameseNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(64, 16), nn.ReLU(inplace=True), nn.Linear(16, 1))
        self.sigmoid = nn.Sigmoid()

    def forward(self, input1, input2):
        output = torch.cat((self.trunk(input1), self.trunk(input2)), 1)
        return self.sigmoid(self.fc(output))


model = fill(SiameseNetwork())
loader = DataLoader(Pairs(), batch_size=32, shuffle=False)
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
criterion = nn.BCELoss()
for _ in range(2):
    for step, (first, second, targets) in enumerate(loader):
        optimizer.zero_grad()
        loss = criterion(model(first, second).squeeze(), targets)
        loss.backward()
        optimizer.step()
        report(step, loss)
    scheduler.step()
