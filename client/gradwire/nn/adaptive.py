"""Adaptive softmax: classes in clusters by frequency, of which rare ones get less capacity.

E. Grave et al., "Efficient softmax approximation for GPUs", 2017.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from gradwire.creation import arange
from gradwire.functions.joining import cat, where
from gradwire.nn import functional as F
from gradwire.nn.container import ModuleList, Sequential
from gradwire.nn.linear import Linear
from gradwire.nn.module import Module
from gradwire.tensor import Tensor

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    """The log probability of each target, and the mean of their negatives."""

    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log probabilities of targets among many classes, which are sorted by frequency: (N, in_features), (N) -> (N), ().

    Classes below `cutoffs[0]` are in the head; cluster i > 0 has those from `cutoffs[i - 1]` on, and features divided by
    `div_value**i`. Waits for which targets are in which cluster, since only those rows are computed.
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        _check_cutoffs(cutoffs, n_classes)
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        made = {"device": device, "dtype": dtype}
        self.head = Linear(in_features, self.head_size, bias=head_bias, **made)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            classes = self.cutoffs[i + 1] - self.cutoffs[i]
            down = Linear(in_features, hidden, bias=False, **made)
            self.tail.append(Sequential(down, Linear(hidden, classes, bias=False, **made)))

    def reset_parameters(self) -> None:
        """Draw new starting values."""
        self.head.reset_parameters()
        for down, up in self.tail:
            down.reset_parameters()
            up.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """Return (log probabilities of the targets, loss); one sample may come without the axis N."""
        _check_samples(input_, target_)
        single = target_.dim() == 0
        input, target = (input_.unsqueeze(0), target_.unsqueeze(0)) if single else (input_, target_)
        output, index, found = self._tails(input, target)
        if found != target.size(0):
            low, high = target.min().item(), target.max().item()
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{low}, {high}] were found. "
            )
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, index.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _tails(self, input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, int]:
        """Return (log probabilities within clusters, index of class or cluster in the head, number of valid targets)."""
        rows, found = target.size(0), 0
        output, index = input.new_zeros(rows), target.new_zeros(rows)
        places = arange(rows)
        for i, (low, high) in enumerate(zip([0, *self.cutoffs[:-1]], self.cutoffs, strict=True)):
            inside = target.ge(low).logical_and(target.lt(high))
            chosen = places[inside]
            found += chosen.numel()
            if not chosen.numel():
                continue
            if i == 0:
                index = where(inside, target, index)
                continue
            index = index.masked_fill(inside, self.shortlist_size + i - 1)
            logs = F.log_softmax(self.tail[i - 1](input.index_select(0, chosen)), dim=1)
            local = target.index_select(0, chosen).unsqueeze(1) - low
            output = output.index_add(0, chosen, logs.gather(1, local).squeeze(1))
        return output, index, found

    def _full(self, input: Tensor, scores: Tensor) -> Tensor:
        """Return the log probabilities of all classes: (N, n_classes)."""
        head = F.log_softmax(scores, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, projection in enumerate(self.tail):
            cluster = F.log_softmax(projection(input), dim=1)
            parts.append(cluster + head[:, self.shortlist_size + i].unsqueeze(1))
        logs: Tensor = cat(parts, 1)
        return logs

    def log_prob(self, input: Tensor) -> Tensor:
        """Return the log probabilities of all classes: (N, in_features) -> (N, n_classes)."""
        return self._full(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """Return the most probable class of each sample: (N, in_features) -> (N). Waits where the head leads to a tail."""
        scores: Tensor = self.head(input)
        best: Tensor = scores.argmax(1)
        elsewhere = best.ge(self.shortlist_size)
        rows = arange(best.size(0))[elsewhere]
        if not rows.numel():
            return best
        logs = self._full(input.index_select(0, rows), scores.index_select(0, rows))
        predicted: Tensor = best.index_put((rows,), logs.argmax(1))
        return predicted


def _check_cutoffs(cutoffs: list[int], n_classes: int) -> None:
    if not cutoffs:
        raise ValueError("cutoffs should be a sequence of length larger than 0")
    increasing = all(one < other for one, other in itertools.pairwise(cutoffs))
    if not increasing or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1 or any(int(c) != c for c in cutoffs):
        raise ValueError(
            "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is "
            "between 1 and n_classes-1"
        )


def _check_samples(input: Tensor, target: Tensor) -> None:
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and input.size(0) != target.size(0):
        raise RuntimeError("Input and target should have the same size in the batch dimension.")
    if input.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found inputs with size "
            f"{input.shape}"
        )
