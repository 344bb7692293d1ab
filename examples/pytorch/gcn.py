"""A graph convolutional network on the nearest neighbours of digits, as in pytorch/examples/gcn."""

import torch
import torch.nn.functional as F
from common import digits, fill, report
from torch import nn
from torch.optim import Adam


class GraphConv(nn.Module):
    def __init__(self, input_dim, output_dim, use_bias=False):
        super().__init__()
        self.kernel = nn.Parameter(torch.Tensor(input_dim, output_dim))
        nn.init.xavier_normal_(self.kernel)
        self.bias = None
        if use_bias:
            self.bias = nn.Parameter(torch.Tensor(output_dim))
            nn.init.zeros_(self.bias)

    def forward(self, input_tensor, adj_mat):
        output = torch.spmm(adj_mat, torch.mm(input_tensor, self.kernel))
        return output if self.bias is None else output + self.bias


class GCN(nn.Module):
    def __init__(self, input_dim, hidden_dim, output_dim):
        super().__init__()
        self.gc1 = GraphConv(input_dim, hidden_dim)
        self.gc2 = GraphConv(hidden_dim, output_dim, use_bias=True)

    def forward(self, x, adj):
        return F.log_softmax(self.gc2(F.relu(self.gc1(x, adj)), adj), dim=1)


images, classes = digits(256)
features = images.flatten(1)
_, nearest = torch.cdist(features, features).topk(5, largest=False)
adjacency = torch.zeros(256, 256).scatter_(1, nearest, 1.0)
adjacency = ((adjacency + adjacency.t()) > 0).float()
degree = torch.diag(adjacency.sum(1).pow(-0.5)).to_sparse()
adjacency = (degree @ adjacency @ degree).to_sparse()
sparse_features = features.to_sparse()
train = torch.arange(256) % 2 == 0
model = fill(GCN(64, 16, 10))
optimizer = Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
criterion = nn.NLLLoss()
for step in range(15):
    optimizer.zero_grad()
    output = model(sparse_features, adjacency)
    loss = criterion(output[train], classes[train])
    loss.backward()
    optimizer.step()
    report(step, loss)
accuracy = (model(sparse_features, adjacency).argmax(1) == classes)[~train].float().mean()
print(f"accuracy {accuracy.item():.3f}")
