"""Patches, a class token and encoder layers, as in pytorch/examples/vision_transformer."""

import torch
from common import batches, digits, fill, report
from torch import nn, optim


class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, kernel_size=2, stride=2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 16))
        self.position_embeddings = nn.Parameter(torch.zeros(1, 17, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2)
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 10))

    def forward(self, x):
        x = self.patches(x).flatten(2, 3).permute(0, 2, 1)
        x = torch.cat((self.cls_token.expand(x.size(0), -1, -1), x), dim=1) + self.position_embeddings
        return self.head(self.encoder(x)[:, 0, :])


model = fill(ViT())
criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
optimizer = optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=16)
images, classes = digits()
for step, index in enumerate(batches(len(images), 32)):
    optimizer.zero_grad(set_to_none=True)
    loss = criterion(model(images[index]), classes[index])
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    report(step, loss)
