"""Loss layers and distances against PyTorch, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire
from tests.client.twins import Twins, compare

RNG = np.random.default_rng(0)
X, Y, Z = (RNG.standard_normal((4, 5)) for _ in range(3))
CLASSES, SIGNS = np.array([0, 4, 2, 2]), np.where(RNG.random((4, 5)) > 0.5, 1, -1)
LABELS = np.array([[1, 3, -1, 0, 0], [-1, 0, 0, 0, 0], [0, 1, 2, 3, 4], [4, 4, 0, -1, 2]])
POSITIVE = np.abs(Y) + 0.1
SHARES = 1 / (1 + np.exp(-Y))

# Name, arguments, inputs.
LOSSES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("SmoothL1Loss", {"beta": 0.5}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.0}, (X, Y)),
    ("HuberLoss", {"delta": 0.5}, (X, Y)),
    ("NLLLoss", {}, (X, CLASSES)),
    ("CrossEntropyLoss", {"label_smoothing": 0.2}, (X, CLASSES)),
    ("LinearCrossEntropyLoss", {"in_features": 5, "num_classes": 6}, (X, CLASSES)),
    ("BCELoss", {}, (1 / (1 + np.exp(-X)), SHARES)),
    ("KLDivLoss", {}, (X, SHARES)),
    ("KLDivLoss", {"log_target": True}, (X, Y)),
    ("PoissonNLLLoss", {"full": True}, (X, POSITIVE * 3)),
    ("PoissonNLLLoss", {"log_input": False}, (POSITIVE, POSITIVE)),
    ("GaussianNLLLoss", {"full": True}, (X, Z, POSITIVE)),
    ("GaussianNLLLoss", {}, (X, Z, POSITIVE[:, :1])),
    ("HingeEmbeddingLoss", {"margin": 0.7}, (X, SIGNS)),
    ("MultiLabelMarginLoss", {}, (X, LABELS)),
    ("SoftMarginLoss", {}, (X, SIGNS)),
    ("MultiLabelSoftMarginLoss", {}, (X, (SIGNS > 0).astype(float))),
    ("CosineEmbeddingLoss", {"margin": 0.1}, (X, Y, SIGNS[:, 0])),
    ("MarginRankingLoss", {"margin": 0.3}, (X, Y, SIGNS)),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5}, (X, CLASSES)),
    ("TripletMarginLoss", {"p": 3.0, "swap": True}, (X, Y, Z)),
    ("TripletMarginWithDistanceLoss", {"swap": True}, (X, Y, Z)),
]


@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(("name", "kwargs", "inputs"), LOSSES)
def test_a_loss(session: Any, name: str, kwargs: dict[str, Any], inputs: tuple[Any, ...], reduction: str) -> None:
    torch = pytest.importorskip("torch")
    if name == "LinearCrossEntropyLoss":  # whose print names an option that gradwire does not have
        layers = [getattr(library.nn, name)(reduction=reduction, **kwargs).double() for library in (gradwire, torch)]
        layers[0].load_state_dict({k: gradwire.tensor(v.numpy()) for k, v in layers[1].state_dict().items()})
        compare(layers[0](*(gradwire.tensor(value) for value in inputs)), layers[1](*(torch.tensor(v) for v in inputs)))
        return
    twins = Twins(name, reduction=reduction, **kwargs)

    def call(layer: Any, *tensors: Any) -> Any:
        # Of some losses PyTorch has no gradient by the target.
        fixed = tensors[1] if name in ("MultiLabelSoftMarginLoss", "SoftMarginLoss") else None
        return layer(tensors[0], fixed.detach()) if fixed is not None else layer(*tensors)

    twins.check(*inputs, call=call)


def test_weights_of_elements(t: Any) -> None:
    weight = t.tensor([1.0, 3.0])
    given, target = t.tensor([1.0, 2.0]), t.tensor([0.0, 4.0])
    functional = t.nn.functional
    assert functional.mse_loss(given, target, weight=weight).item() == (1 + 12) / 4
    assert functional.l1_loss(given, target, weight=weight, reduction="sum").item() == 7
    assert functional.huber_loss(given, target, weight=weight).item() == (0.5 + 4.5) / 2
    with pytest.raises(ValueError, match="Weights and input must have the same size"):
        functional.mse_loss(given, target, weight=weight[:1])


def test_the_mean_of_kl_div_warns(t: Any) -> None:
    x, y = t.tensor(X), t.tensor(SHARES)
    with pytest.warns(UserWarning, match="'mean' divides the total loss by both the batch size and the support size"):
        mean = t.nn.functional.kl_div(x, y)
    assert mean.item() == pytest.approx(t.nn.functional.kl_div(x, y, reduction="batchmean").item() / 5)


def test_refusals(t: Any) -> None:
    functional, x, y = t.nn.functional, t.tensor(X), t.tensor(Y)
    with pytest.raises(ValueError, match="margin must be greater than 0"):
        functional.triplet_margin_loss(x, y, y, margin=0.0)
    with pytest.raises(ValueError, match="var has negative entry/entries"):
        functional.gaussian_nll_loss(x, y, -t.ones(4, 5))
    with pytest.raises(ValueError, match="is deprecated. Please ensure they have the same size"):
        functional.binary_cross_entropy(x, y[:1])
    with pytest.raises(RuntimeError, match="0D or 1D target tensor expected, multi-target not supported"):
        functional.cosine_embedding_loss(x, y, y)
    with pytest.raises(ValueError, match="mode is not a valid value for reduction"):
        functional.soft_margin_loss(x, y, reduction="mode")
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        functional.ctc_loss(t.zeros(3, 2, 4), t.ones(2, 1).long(), [3, 3], [1, 1], blank=4)


# ---------------------------------------------------------------- sequences
@pytest.mark.parity
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc(session: Any, reduction: str, zero_infinity: bool) -> None:
    twins = Twins("CTCLoss", blank=1, reduction=reduction, zero_infinity=zero_infinity)
    scores = np.random.default_rng(0).standard_normal((6, 3, 5))
    targets, lengths, counts = np.array([[0, 0, 2], [3, 4, 0], [2, 2, 2]]), (6, 5, 4 if zero_infinity else 6), (2, 0, 3)

    def call(layer: Any, scores: Any, targets: Any) -> Any:
        return layer(scores.log_softmax(-1), targets, lengths, counts)

    twins.check(scores, targets, call=call)
    twins.check(scores, np.array([0, 0, 2, 2, 2]), call=call)
    twins.check(scores[:, 0], targets[0, :2], np.array(6), np.array(2))


def test_lengths_of_ctc_must_fit(t: Any) -> None:
    functional, targets = t.nn.functional, t.tensor([[2, 3], [1, 1]])
    with pytest.raises(RuntimeError, match="input_lengths to have value at most 3, but got value 4"):
        functional.ctc_loss(t.zeros(3, 2, 4), targets, t.tensor([3, 4]), t.tensor([1, 1])).item()
    with pytest.raises(RuntimeError, match="to have size at least 3 at dimension 1, but got size 2"):
        functional.ctc_loss(t.zeros(3, 2, 4), targets, t.tensor([3, 3]), t.tensor([3, 1])).item()


# ---------------------------------------------------------------- distances, adaptive softmax
@pytest.mark.parity
def test_layers_of_distances(session: Any) -> None:
    Twins("PairwiseDistance", p=3.0, keepdim=True).check(X, Y)
    Twins("CosineSimilarity", dim=-1).check(X, Y)
    Twins("Bilinear", 5, 5, 3).check(X, Y)
    Twins("Bilinear", 5, 5, 3, bias=False).check(X[0], Y[0])


def test_the_second_gradient_of_cdist(session: Any) -> None:
    x, y = (gradwire.tensor(a, requires_grad=True) for a in (X, Z[:3]))
    for p in (1.5, 2.0, 3.0):
        whole = (x.unsqueeze(1) - y.unsqueeze(0)).norm(p, -1)
        found = []
        for distances in (x.cdist(y, p), whole):
            (first,) = gradwire.autograd.grad(distances.sin().sum(), x, create_graph=True)
            found.append(gradwire.autograd.grad(first.cos().sum(), (x, y)))
        compare(*found)


@pytest.mark.parity
def test_adaptive_softmax(session: Any) -> None:
    twins = Twins("AdaptiveLogSoftmaxWithLoss", 8, 20, [4, 10], div_value=2.0, head_bias=True)
    rng = np.random.default_rng(0)
    x, classes = rng.standard_normal((30, 8)) * 4, rng.integers(0, 20, 30)
    twins.check(x, classes, call=lambda layer, x, y: tuple(layer(x, y)))
    twins.check(x[0], classes[0:1].reshape(()), call=lambda layer, x, y: tuple(layer(x, y)))
    twins.check(x, call=lambda layer, x: layer.log_prob(x))
    mine, given = twins.ours.predict(gradwire.tensor(x)), twins.theirs.predict(twins.torch.tensor(x))
    assert mine.tolist() == given.tolist()
    with pytest.raises(RuntimeError, match=r"Target values should be in \[0, 19\]"):
        twins.ours(gradwire.tensor(x[:2]), gradwire.tensor([3, 20]))
