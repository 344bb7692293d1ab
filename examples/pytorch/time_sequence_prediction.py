"""Two LSTM cells learn sine waves with LBFGS in double precision, as in pytorch/examples/time_sequence_prediction."""

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim
from common import fill, report


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, 12)
        self.lstm2 = nn.LSTMCell(12, 12)
        self.linear = nn.Linear(12, 1)

    def forward(self, input, future=0):
        outputs = []
        h_t = torch.zeros(input.size(0), 12, dtype=torch.double)
        c_t = torch.zeros(input.size(0), 12, dtype=torch.double)
        h_t2 = torch.zeros(input.size(0), 12, dtype=torch.double)
        c_t2 = torch.zeros(input.size(0), 12, dtype=torch.double)
        for input_t in input.split(1, dim=1):
            h_t, c_t = self.lstm1(input_t, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        for _ in range(future):
            h_t, c_t = self.lstm1(output, (h_t, c_t))
            h_t2, c_t2 = self.lstm2(h_t, (h_t2, c_t2))
            output = self.linear(h_t2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


waves = np.sin((np.arange(20)[None] + np.arange(6)[:, None] * 4) / 4.0).astype("float64")
source, target = torch.from_numpy(waves[:, :-1].copy()), torch.from_numpy(waves[:, 1:].copy())
model = fill(Sequence().double())
criterion = nn.MSELoss()
optimizer = optim.LBFGS(model.parameters(), lr=0.8, max_iter=6)
for step in range(3):

    def closure():
        optimizer.zero_grad()
        loss = criterion(model(source), target)
        report(step, loss)
        loss.backward()
        return loss

    optimizer.step(closure)
with torch.no_grad():
    prediction = model(source, future=5)
    report(99, criterion(prediction[:, :-5], target))
