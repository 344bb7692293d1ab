"""A transformer learns to reverse sequences: encoder, decoder and masks of nn.Transformer."""

import numpy as np
import torch
from common import fill, report
from torch import nn


class Reverser(nn.Module):
    def __init__(self, vocab=12, d_model=16):
        super().__init__()
        self.embed = nn.Embedding(vocab, d_model)
        self.position = nn.Embedding(10, d_model)
        self.transformer = nn.Transformer(d_model, 2, 1, 1, 32, dropout=0.0, batch_first=True)
        self.out = nn.Linear(d_model, vocab)

    def forward(self, source, target):
        place = torch.arange(source.size(1))
        mask = nn.Transformer.generate_square_subsequent_mask(target.size(1))
        hidden = self.transformer(
            self.embed(source) + self.position(place), self.embed(target) + self.position(place), tgt_mask=mask
        )
        return self.out(hidden)


model = fill(Reverser())
optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)
rng = np.random.default_rng(0)
for step in range(15):
    source = torch.from_numpy(rng.integers(1, 12, (16, 6)))
    wanted = source.flip(1)
    shifted = torch.cat((torch.zeros(16, 1, dtype=torch.long), wanted[:, :-1]), dim=1)
    loss = nn.functional.cross_entropy(model(source, shifted).transpose(1, 2), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    report(step, loss)
