"""A convolutional classifier, as in pytorch/examples/mnist."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from common import batches, digits, fill, report
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3, 1)
        self.conv2 = nn.Conv2d(8, 16, 3, 1)
        self.dropout = nn.Dropout(0.0)
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.dropout(torch.flatten(x, 1))
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def main():
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = fill(Net()).to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    images, classes = digits()
    for epoch in range(2):
        model.train()
        for step, index in enumerate(batches(len(images), 64, seed=epoch)):
            data, target = images[index].to(device), classes[index].to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
            report(step, loss)
        scheduler.step()
    model.eval()
    with torch.no_grad():
        predicted = model(images.to(device)).argmax(dim=1, keepdim=True)
        correct = predicted.eq(classes.to(device).view_as(predicted)).sum().item()
    print(f"accuracy {correct / len(images):.3f}")


if __name__ == "__main__":
    main()
