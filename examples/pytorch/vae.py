"""A variational autoencoder, as in pytorch/examples/vae."""

import torch
from common import batches, digits, fill, noise, report
from torch import nn, optim
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 40)
        self.fc21 = nn.Linear(40, 8)
        self.fc22 = nn.Linear(40, 8)
        self.fc3 = nn.Linear(8, 40)
        self.fc4 = nn.Linear(40, 64)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x, eps):
        mu, logvar = self.encode(x.view(-1, 64))
        return self.decode(mu + eps * torch.exp(0.5 * logvar)), mu, logvar


def loss_function(recon_x, x, mu, logvar):
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 64), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


model = fill(VAE())
optimizer = optim.Adam(model.parameters(), lr=1e-3)
images, _ = digits()
for step, index in enumerate(batches(len(images), 64, epochs=2)):
    data = images[index]
    optimizer.zero_grad()
    recon, mu, logvar = model(data, noise(64, 8, seed=step))
    loss = loss_function(recon, data, mu, logvar)
    loss.backward()
    optimizer.step()
    report(step, loss / len(data))
