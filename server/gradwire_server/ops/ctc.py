"""Kernel and gradient of `gradwire_protocol.ops.ctc`: forward and backward variables in logarithms, all samples at a time.

A. Graves et al., "Connectionist temporal classification", 2006. States are the targets with a blank before, between and
after them: 2 L + 1 of them, with L the longest target.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import OPS
from gradwire_server.rules import gradient, kernel

Array = Any

_WHILE = "(while checking arguments for ctc_loss_allocate_outputs)"


def _check_lengths(lengths: Array, target_lengths: Array, targets: Array, steps: int) -> int:
    """Return the longest target; raise RuntimeError for lengths that do not fit. Waits for the device."""
    for name, array, most in (("input_lengths", lengths, steps), ("target_lengths", target_lengths, None)):
        low, high = int(array.min().item()), int(array.max().item())
        if low < 0:
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value {low} {_WHILE}")
        if most is not None and high > most:
            raise RuntimeError(f"Expected {name} to have value at most {most}, but got value {high} {_WHILE}")
    longest, total = int(target_lengths.max().item()), int(target_lengths.sum().item())
    if targets.ndim == 1 and total != targets.shape[0]:
        raise RuntimeError(
            f"Expected tensor to have size {total} at dimension 0, but got size {targets.shape[0]} for argument #2 'targets' "
            f"{_WHILE}"
        )
    if targets.ndim == 2 and longest > targets.shape[1]:
        raise RuntimeError(
            f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.shape[1]} for argument "
            f"#2 'targets' {_WHILE}"
        )
    return longest


class _Lattice:
    """The states of each sample, and the steps between them."""

    def __init__(
        self, xp: Any, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array, blank: int
    ) -> None:
        steps, batch, classes = log_probs.shape
        self.xp, self.log_probs = xp, log_probs
        self.lengths, counts = input_lengths.astype(xp.int64), target_lengths.astype(xp.int64)
        longest = _check_lengths(self.lengths, counts, targets, steps)
        labels = self._labels(targets.astype(xp.int64), counts, longest, classes)
        self.states = xp.full((batch, 2 * longest + 1), blank, xp.int64)
        self.states[:, 1::2] = labels
        # A blank may be skipped between two different labels.
        self.skips = xp.zeros(self.states.shape, xp.bool_)
        self.skips[:, 2:] = self.states[:, 2:] != self.states[:, :-2]
        # The last two states of a sample, in which it may end; an empty target has but one.
        self.last = (2 * counts).reshape(-1, 1)
        place = xp.arange(self.states.shape[1])
        self.ends = xp.logical_or(place == self.last, place == self.last - 1)
        self.nothing = log_probs.dtype.type(-xp.inf)

    def _labels(self, targets: Array, counts: Array, longest: int, classes: int) -> Array:
        """Return targets as (N, L), 0 behind their ends."""
        xp = self.xp
        place = xp.arange(longest)
        inside = place < counts.reshape(-1, 1)
        if targets.ndim == 1:
            starts = (xp.cumsum(counts) - counts).reshape(-1, 1)
            padded = xp.concatenate([targets, xp.zeros((1,), xp.int64)])
            labels = xp.take(padded, xp.where(inside, starts + place, targets.shape[0]))
        else:
            labels = targets[:, :longest]
        labels = xp.where(inside, labels, 0)
        if labels.size and (labels.view(xp.uint64) >= classes).any().item():
            raise RuntimeError(f"ctc_loss needs targets in [0, {classes}), the classes; got another label among them")
        return labels

    def at(self, step: int) -> Array:
        """Return the log probability of each state at a step: (N, S)."""
        return self.xp.take_along_axis(self.log_probs[step], self.states, 1)

    def shifted(self, array: Array, by: int) -> Array:
        """Return what is `by` states before (or, negative, behind) each; -inf where there is none."""
        out = self.xp.full(array.shape, self.nothing, array.dtype)
        if by > 0:
            out[:, by:] = array[:, :-by]
        else:
            out[:, :by] = array[:, -by:]
        return out

    def total(self, *arrays: Array) -> Array:
        """Add probabilities given as logarithms."""
        xp, highest = self.xp, arrays[0]
        for array in arrays[1:]:
            highest = xp.maximum(highest, array)
        highest = xp.where(xp.isneginf(highest), highest.dtype.type(0), highest)
        summed: Any = 0
        for array in arrays:
            summed = summed + xp.exp(array - highest)
        return xp.log(summed) + highest

    def first(self) -> Array:
        """Return the forward variables of the first step: a blank, or the first label of a target that has one."""
        place = self.xp.arange(self.states.shape[1])
        starts = self.xp.logical_and(place < 2, place <= self.last)
        return self.xp.where(starts, self.at(0), self.nothing)

    def forward(self, alpha: Array, step: int) -> Array:
        """Return the forward variables of a step, given those of the step before."""
        skipped = self.xp.where(self.skips, self.shifted(alpha, 2), self.nothing)
        return self.total(alpha, self.shifted(alpha, 1), skipped) + self.at(step)

    def backward(self, beta: Array, step: int) -> Array:
        """Return the backward variables of a step, given those of the step behind; a sample's last step starts them."""
        xp = self.xp
        skipped = self.shifted(xp.where(self.skips, beta, self.nothing), -2)
        found = self.total(beta, self.shifted(beta, -1), skipped) + self.at(step)
        starts = xp.logical_and(self.ends, (self.lengths == step + 1).reshape(-1, 1))
        return xp.where(starts, self.at(step), found)


@kernel("gw::ctc_loss")
def ctc_loss(
    xp: Any,
    log_probs: Array,
    targets: Array,
    input_lengths: Array,
    target_lengths: Array,
    blank: int,
    zero_infinity: bool,
) -> Array:
    """Compute minus the log of the probability that each sample's steps read as its target: (T, N, C) -> (N)."""
    lattice = _Lattice(xp, log_probs, targets, input_lengths, target_lengths, blank)
    alpha = lattice.first()
    # A sample without steps reads as the empty target.
    only_end = xp.where(lattice.last == 0, log_probs.dtype.type(0), lattice.nothing)
    final = xp.where(lattice.ends, only_end, lattice.nothing)
    for step in range(log_probs.shape[0]):
        alpha = lattice.forward(alpha, step) if step else alpha
        final = xp.where((lattice.lengths == step + 1).reshape(-1, 1), alpha, final)
    ending = xp.where(lattice.ends, final, lattice.nothing)
    highest = ending.max(axis=1, keepdims=True)
    highest = xp.where(xp.isneginf(highest), highest.dtype.type(0), highest)
    return -(xp.log(xp.exp(ending - highest).sum(axis=1)) + highest[:, 0])


@kernel("gw::ctc_loss_backward")
def ctc_loss_backward(
    xp: Any, grad: Array, log_probs: Array, targets: Array, input_lengths: Array, target_lengths: Array,
    neg_log_likelihood: Array, blank: int, zero_infinity: bool, result: Meta,
) -> Array:  # fmt: skip
    """Compute g * (exp(log_probs) - the probability of each class at each step, given the target).

    As PyTorch's, this is the gradient by scores whose log_softmax `log_probs` are; passed through that once more, it stays.
    """
    lattice = _Lattice(xp, log_probs, targets, input_lengths, target_lengths, blank)
    steps, batch, classes = log_probs.shape
    alphas = [lattice.first()]
    for step in range(1, steps):
        alphas.append(lattice.forward(alphas[-1], step))
    loss, g = neg_log_likelihood.reshape(-1, 1), grad.reshape(-1, 1)
    impossible = xp.isinf(loss)
    # Where the target cannot be read there is no such probability.
    undefined = xp.where(impossible, g.dtype.type(xp.nan), g.dtype.type(0))
    places = (xp.arange(batch).reshape(-1, 1) * classes + lattice.states).reshape(-1)
    out = xp.zeros(log_probs.shape, log_probs.dtype)
    beta = xp.full(lattice.states.shape, lattice.nothing, log_probs.dtype)
    for step in range(steps - 1, -1, -1):
        beta = lattice.backward(beta, step)
        both = alphas.pop() + beta
        share = xp.where(xp.isneginf(both), lattice.nothing, both - lattice.at(step) + loss)
        by_class = xp.zeros((batch * classes,), log_probs.dtype)
        xp.add.at(by_class, places, xp.exp(share).reshape(-1))
        slope = (xp.exp(log_probs[step]) - by_class.reshape(batch, classes) + undefined) * g
        counts = (step < lattice.lengths).reshape(-1, 1)
        if zero_infinity:
            counts = xp.logical_and(counts, xp.logical_not(impossible))
        out[step] = xp.where(counts, slope, slope.dtype.type(0))
    return out


def _refuse(g: Array, call: Any) -> Array:
    raise RuntimeError("derivative for aten::_ctc_loss_backward is not implemented")


def _gradient(g: Array, call: Any) -> Array:
    given = (call.log_probs, call.targets, call.input_lengths, call.target_lengths, call.result)
    return OPS["gw::ctc_loss_backward"](g, *given, call.blank, call.zero_infinity)


gradient("gw::ctc_loss", log_probs=_gradient)
gradient("gw::ctc_loss_backward", grad=_refuse, log_probs=_refuse)
