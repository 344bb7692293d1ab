"""Learn to learn: gradients through inner gradient steps on sine waves (MAML, Finn et al. 2017)."""

import numpy as np
import torch
import torch.nn.functional as F
from common import noise, report

weights = [noise(1, 16, seed=1), torch.zeros(16), noise(16, 1, seed=2) / 4, torch.zeros(1)]
weights = [w.requires_grad_() for w in weights]
outer = torch.optim.RMSprop(weights, lr=5e-3)


def net(x, w):
    return torch.tanh(x @ w[0] + w[1]) @ w[2] + w[3]


rng = np.random.default_rng(0)
for step in range(10):
    total = 0.0
    outer.zero_grad()
    for _ in range(3):
        amplitude, phase = float(rng.uniform(0.5, 2)), float(rng.uniform(0, 3))
        x = torch.from_numpy(rng.uniform(-3, 3, (20, 1)).astype(np.float32))
        y = amplitude * torch.sin(x + phase)
        inner = F.mse_loss(net(x[:10], weights), y[:10])
        gradients = torch.autograd.grad(inner, weights, create_graph=True)
        fast = [w - 0.05 * g for w, g in zip(weights, gradients)]
        loss = F.mse_loss(net(x[10:], fast), y[10:])
        loss.backward()
        total += loss.item()
    outer.step()
    report(step, total)
