"""A multilayer perceptron over character embeddings with batch norm by hand, as makemore."""

import numpy as np
import torch
import torch.nn.functional as F
from common import characters, noise, report

data, vocab = characters()
block = 3
X = torch.stack([data[i : i + block] for i in range(len(data) - block)])
Y = data[block:]
C = noise(vocab, 6, seed=1)
W1 = noise(6 * block, 32, seed=2) * (5 / 3) / (6 * block) ** 0.5
W2 = noise(32, vocab, seed=3) * 0.01
b2 = torch.zeros(vocab)
bngain, bnbias = torch.ones((1, 32)), torch.zeros((1, 32))
bnmean_running, bnstd_running = torch.zeros((1, 32)), torch.ones((1, 32))
parameters = [C, W1, W2, b2, bngain, bnbias]
for p in parameters:
    p.requires_grad = True
rng = np.random.default_rng(0)
for step in range(20):
    ix = torch.from_numpy(rng.integers(0, len(X), 32))
    Xb, Yb = X[ix], Y[ix]
    emb = C[Xb]
    hpreact = emb.view(emb.shape[0], -1) @ W1
    bnmeani, bnstdi = hpreact.mean(0, keepdim=True), hpreact.std(0, keepdim=True)
    h = torch.tanh(bngain * (hpreact - bnmeani) / bnstdi + bnbias)
    with torch.no_grad():
        bnmean_running = 0.9 * bnmean_running + 0.1 * bnmeani
        bnstd_running = 0.9 * bnstd_running + 0.1 * bnstdi
    loss = F.cross_entropy(h @ W2 + b2, Yb)
    for p in parameters:
        p.grad = None
    loss.backward()
    for p in parameters:
        p.data += -0.1 * p.grad
    report(step, loss)
print(f"running {bnmean_running.mean().item():.5f} {bnstd_running.mean().item():.5f}")
