"""Policy gradients on a corridor, with torch.distributions, as in pytorch/examples/reinforcement_learning."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from common import fill, report
from torch.distributions import Categorical


class Corridor:
    """Walk right to the end of eight places; each step costs, the end pays."""

    def reset(self):
        self.place = 3
        return self.observe()

    def observe(self):
        return np.eye(8, dtype=np.float32)[self.place]

    def step(self, action):
        self.place += 1 if action == 1 else -1
        done = self.place in (0, 7)
        return self.observe(), (1.0 if self.place == 7 else -0.1), done


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(8, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


policy = fill(Policy())
optimizer = optim.Adam(policy.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
env = Corridor()
for episode in range(8):
    state, saved, rewards, done = env.reset(), [], [], False
    while not done and len(rewards) < 20:
        probs, value = policy(torch.from_numpy(state))
        m = Categorical(probs)
        action = torch.tensor(int(rng.random() < float(probs[1])))
        saved.append((m.log_prob(action), value, m.entropy()))
        state, reward, done = env.step(action.item())
        rewards.append(reward)
    returns, R = [], 0.0
    for r in rewards[::-1]:
        R = r + 0.99 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    policy_losses, value_losses = [], []
    for (log_prob, value, entropy), R in zip(saved, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage - 0.01 * entropy)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    report(episode, loss)
