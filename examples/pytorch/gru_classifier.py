"""A bidirectional GRU over packed sequences of digit rows, with checkpointing in its head."""

import numpy as np
import torch
from common import batches, digits, fill, report
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 12, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.Linear(24, 16), nn.Tanh(), nn.Linear(16, 10))

    def forward(self, rows, lengths):
        packed = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
        output, _ = self.gru(packed)
        padded, _ = pad_packed_sequence(output, batch_first=True)
        return checkpoint(self.head, padded.sum(1) / 8, use_reentrant=False)


images, classes = digits(256)
rows = images.squeeze(1)
rng = np.random.default_rng(0)
model = fill(Classifier())
optimizer = torch.optim.RAdam(model.parameters(), lr=5e-3)
scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
for step, index in enumerate(batches(256, 32, epochs=2)):
    lengths = torch.from_numpy(rng.integers(5, 9, 32))
    loss = nn.functional.cross_entropy(model(rows[index], lengths), classes[index])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step(loss.item())
    report(step, loss)
