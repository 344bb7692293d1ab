"""Graph attention on the nearest neighbours of digits, as in pytorch/examples/gat."""

import torch
import torch.nn.functional as F
from common import digits, fill, report
from torch import nn
from torch.optim import Adam


class GraphAttentionLayer(nn.Module):
    def __init__(self, in_features, out_features, n_heads, concat=False):
        super().__init__()
        self.n_heads, self.concat = n_heads, concat
        self.n_hidden = out_features // n_heads if concat else out_features
        self.W = nn.Parameter(torch.empty(size=(in_features, self.n_hidden * n_heads)))
        self.a = nn.Parameter(torch.empty(size=(n_heads, 2 * self.n_hidden, 1)))
        self.leakyrelu = nn.LeakyReLU(0.2)
        nn.init.xavier_normal_(self.W)
        nn.init.xavier_normal_(self.a)

    def scores(self, h):
        source = torch.matmul(h, self.a[:, : self.n_hidden, :])
        target = torch.matmul(h, self.a[:, self.n_hidden :, :])
        return self.leakyrelu(source + target.mT)

    def forward(self, h, adj_mat):
        nodes = h.shape[0]
        h = torch.mm(h, self.W).view(nodes, self.n_heads, self.n_hidden).permute(1, 0, 2)
        e = self.scores(h)
        e = torch.where(adj_mat > 0, e, -9e16 * torch.ones_like(e))
        attention = F.softmax(e, dim=-1)
        h_prime = torch.matmul(attention, h)
        if self.concat:
            return h_prime.permute(1, 0, 2).contiguous().view(nodes, self.n_heads * self.n_hidden)
        return h_prime.mean(dim=0)


class GAT(nn.Module):
    def __init__(self):
        super().__init__()
        self.gat1 = GraphAttentionLayer(64, 16, 4, concat=True)
        self.gat2 = GraphAttentionLayer(16, 10, 1)

    def forward(self, x, adj):
        return F.log_softmax(self.gat2(F.elu(self.gat1(x, adj)), adj), dim=1)


images, classes = digits(128)
features = images.flatten(1)
distances = torch.cdist(features, features)
adjacency = (distances < distances.kthvalue(8, dim=1, keepdim=True).values).float()
model = fill(GAT())
optimizer = Adam(model.parameters(), lr=0.005, weight_decay=5e-4)
for step in range(12):
    optimizer.zero_grad()
    loss = F.nll_loss(model(features, adjacency)[:64], classes[:64])
    loss.backward()
    optimizer.step()
    report(step, loss)
