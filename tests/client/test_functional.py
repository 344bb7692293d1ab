"""`nn.functional` and the layers over it, against formulas in numpy, and against PyTorch.

The formulas run on both, so that PyTorch proves them (see test_module.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def draws(*sizes: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(sizes)


def log_softmax(x: Array, axis: int) -> Array:
    shifted = x - x.max(axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def nll(logs: Array, target: Array, weight: Array, ignore: int, reduction: str) -> Any:
    """Compute the loss by hand; the classes lie along axis 1."""
    rows = np.moveaxis(logs, 1, -1)
    kept = target != ignore
    safe = np.where(kept, target, 0)
    scale = np.where(kept, weight[safe], 0.0)
    loss = -scale * np.take_along_axis(rows, safe[..., None], -1)[..., 0]
    return {"none": loss, "sum": loss.sum(), "mean": loss.sum() / scale.sum()}[reduction]


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------- linear
@pytest.mark.parametrize("lead", [(), (5,), (2, 5), (0, 5), (2, 0, 3)])
@pytest.mark.parametrize("with_bias", [False, True])
def test_linear(t: Any, lead: tuple[int, ...], with_bias: bool) -> None:
    x, w, b = draws(*lead, 4), draws(3, 4, seed=1), draws(3, seed=2)
    bias = t.tensor(b) if with_bias else None
    out = t.nn.functional.linear(t.tensor(x), t.tensor(w), bias)
    assert tuple(out.shape) == (*lead, 3)
    close(out, x @ w.T + (b if with_bias else 0))


def test_the_gradients_of_linear(t: Any) -> None:
    x, w, b = (t.tensor(a, requires_grad=True) for a in (draws(2, 5, 4), draws(3, 4, seed=1), draws(3, seed=2)))
    g = draws(2, 5, 3, seed=3)
    t.nn.functional.linear(x, w, b).backward(t.tensor(g))
    close(x.grad, g @ w.detach().numpy())
    close(w.grad, np.einsum("abn,abk->nk", g, x.detach().numpy()))
    close(b.grad, g.sum((0, 1)))


# ---------------------------------------------------------------- dropout
def test_dropout_scales_what_it_keeps(t: Any) -> None:
    t.manual_seed(0)
    x = t.ones(1000, requires_grad=True)
    out = t.nn.functional.dropout(x, 0.25)
    values = out.detach().numpy()
    assert set(np.unique(values.round(5))) == {0.0, np.float32(1 / 0.75).round(5)}
    assert 200 < (values == 0).sum() < 300
    out.sum().backward()
    close(x.grad, values)


def test_dropout_in_place_and_in_evaluation(t: Any) -> None:
    x = t.ones(100, requires_grad=True)
    y = x * 2
    assert t.nn.functional.dropout(y, 0.5, True, True) is y
    y.sum().backward()
    close(x.grad, y.detach().numpy())
    layer = t.nn.Dropout(0.5)
    assert layer.eval()(x) is x
    assert (t.nn.functional.dropout(x, 1.0).detach().numpy() == 0).all()


def test_dropout_needs_a_probability(t: Any) -> None:
    text = "dropout probability has to be between 0 and 1, but got 2"
    with pytest.raises(ValueError, match=text):
        t.nn.Dropout(2)
    with pytest.raises(ValueError, match=text):
        t.nn.functional.dropout(t.ones(1), 2)


# ---------------------------------------------------------------- activations
def test_activations(t: Any) -> None:
    x, nn = draws(3, 4), t.nn
    sigmoid = 1 / (1 + np.exp(-x))
    close(nn.ReLU()(t.tensor(x)), np.maximum(x, 0))
    close(nn.Tanh()(t.tensor(x)), np.tanh(x))
    close(nn.Sigmoid()(t.tensor(x)), sigmoid)
    close(nn.SiLU()(t.tensor(x)), x * sigmoid)
    close(nn.Softmax(1)(t.tensor(x)), np.exp(log_softmax(x, 1)))
    close(nn.LogSoftmax(0)(t.tensor(x)), log_softmax(x, 0))
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    close(nn.GELU("tanh")(t.tensor(x)), 0.5 * x * (1 + np.tanh(inner)))


def test_activations_in_place(t: Any) -> None:
    x = t.tensor([-1.0, 2.0])
    assert t.nn.ReLU(inplace=True)(x) is x
    assert x.tolist() == [0.0, 2.0]
    assert t.nn.SiLU(inplace=True)(x) is x


def test_softmax_picks_a_dim_with_a_warning(t: Any) -> None:
    x = draws(2, 3)
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        close(t.nn.Softmax()(t.tensor(x)), np.exp(log_softmax(x, 1)))
    out = t.nn.functional.softmax(t.ones(2), dim=0, dtype=t.float64)
    assert out.dtype is t.float64


# ---------------------------------------------------------------- losses
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_elementwise_losses(t: Any, reduction: str) -> None:
    x, y, nn = draws(3, 4), np.random.default_rng(1).random((3, 4)), t.nn
    w, p = draws(4, seed=2) ** 2, draws(4, seed=3) ** 2
    reduce: Callable[[Array], Any] = {"none": lambda a: a, "sum": np.sum, "mean": np.mean}[reduction]
    close(nn.MSELoss(reduction=reduction)(t.tensor(x), t.tensor(y)), reduce((x - y) ** 2))
    close(nn.L1Loss(reduction=reduction)(t.tensor(x), t.tensor(y)), reduce(np.abs(x - y)))
    loss = nn.BCEWithLogitsLoss(t.tensor(w), pos_weight=t.tensor(p), reduction=reduction)
    by_hand = w * (p * y * np.log1p(np.exp(-x)) + (1 - y) * np.log1p(np.exp(x)))
    close(loss(t.tensor(x), t.tensor(y)), reduce(by_hand))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]


def test_losses_broadcast_with_a_warning(t: Any) -> None:
    x, y = draws(2, 3), draws(3, seed=1)
    for name, by_hand in (("mse_loss", (x - y) ** 2), ("l1_loss", np.abs(x - y))):
        with pytest.warns(UserWarning, match="different to the input size"):
            close(getattr(t.nn.functional, name)(t.tensor(x), t.tensor(y)), by_hand.mean())


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("sizes", [(4, 5), (2, 5, 3), (2, 5, 3, 2), (2, 5, 1, 2, 3)])
def test_cross_entropy_of_indices(t: Any, sizes: tuple[int, ...], smoothing: float, reduction: str) -> None:
    x = draws(*sizes)
    target = np.random.default_rng(1).integers(0, 5, (sizes[0], *sizes[2:]))
    target.flat[0] = -7
    weight = np.arange(1.0, 6.0)
    logs = log_softmax(x, 1)
    expected = nll(logs, target, weight, -7, reduction)
    if smoothing:
        shape = (1, 5, *(1,) * (x.ndim - 2))
        even = -(logs * weight.reshape(shape)).sum(1) * (target != -7)
        total = weight[np.where(target == -7, 0, target)][target != -7].sum()
        even = {"none": even, "sum": even.sum(), "mean": even.sum() / total}[reduction]
        expected = (1 - smoothing) * expected + smoothing / 5 * even
    loss = t.nn.CrossEntropyLoss(t.tensor(weight), ignore_index=-7, reduction=reduction, label_smoothing=smoothing)
    close(loss(t.tensor(x), t.tensor(target)), expected)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("sizes", [(5,), (4, 5), (2, 5, 3)])
def test_cross_entropy_of_probabilities(t: Any, sizes: tuple[int, ...], smoothing: float, reduction: str) -> None:
    x, axis = draws(*sizes), min(1, len(sizes) - 1)
    target = np.exp(log_softmax(draws(*sizes, seed=1), axis))
    weight = np.arange(1.0, 6.0)
    smooth = target * (1 - smoothing) + smoothing / 5
    scale = weight.reshape((5, *(1,) * max(len(sizes) - 2, 0)))
    each = -(log_softmax(x, axis) * smooth * scale).sum(axis)
    expected = {"none": each, "sum": each.sum(), "mean": each.mean()}[reduction]
    found = t.nn.functional.cross_entropy(
        t.tensor(x),
        t.tensor(target),
        t.tensor(weight),
        reduction=reduction,
        label_smoothing=smoothing,
    )
    close(found, expected)


def test_nll_loss_of_one_sample_and_of_many(t: Any) -> None:
    logs = log_softmax(draws(5), 0)
    close(t.nn.functional.nll_loss(t.tensor(logs), t.tensor(2)), -logs[2])
    logs = log_softmax(draws(4, 5), 1)
    target = np.array([1, 0, 4, 4])
    close(t.nn.NLLLoss()(t.tensor(logs), t.tensor(target)), -logs[range(4), target].mean())


def test_the_gradient_of_cross_entropy(t: Any) -> None:
    x = t.tensor(draws(3, 4), requires_grad=True)
    target = np.array([0, 3, 1])
    t.nn.functional.cross_entropy(x, t.tensor(target)).backward()
    close(x.grad, (np.exp(log_softmax(draws(3, 4), 1)) - np.eye(4)[target]) / 3)


def test_the_flags_that_reduction_replaced(t: Any) -> None:
    mse, x, y = t.nn.functional.mse_loss, t.ones(2), t.zeros(2)
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        assert mse(x, y, size_average=False).item() == 2
    with pytest.warns(UserWarning, match="please use reduction='none' instead"):
        assert mse(x, y, reduce=False).tolist() == [1, 1]
    with pytest.warns(UserWarning, match="please use reduction='mean' instead"):
        assert t.nn.L1Loss(True)(x, y).item() == 1


@pytest.mark.parametrize(
    ("error", "act", "text"),
    [
        (
            ValueError,
            lambda F, t: F.mse_loss(t.ones(1), t.ones(1), reduction="x"),
            "x is not a valid value for reduction",
        ),
        (
            ValueError,
            lambda F, t: F.cross_entropy(t.ones(2, 3), t.tensor([0, 1, 2])),
            "Expected input batch_size (2) to match target batch_size (3).",
        ),
        (
            RuntimeError,
            lambda F, t: F.cross_entropy(t.ones(2, 3, 4), t.zeros(2, 5, dtype=t.int64)),
            "Expected target size [2, 4], got [2, 5]",
        ),
        (
            RuntimeError,
            lambda F, t: F.cross_entropy(t.ones(2, 3), t.ones(2, 3), ignore_index=1),
            "ignore_index is not supported for floating point target",
        ),
        (
            RuntimeError,
            lambda F, t: F.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), label_smoothing=2),
            "label_smoothing must be between 0.0 and 1.0. Got: 2",
        ),
    ],
)
def test_refusals(t: Any, error: type[Exception], act: Callable[[Any, Any], Any], text: str) -> None:
    with pytest.raises(error) as caught:
        act(t.nn.functional, t)
    assert str(caught.value) == text


def test_a_target_of_another_size_is_refused(t: Any) -> None:
    with pytest.raises(ValueError, match="must be the same as input size"):
        t.nn.functional.binary_cross_entropy_with_logits(t.ones(2), t.ones(3))


# ---------------------------------------------------------------- shape
def test_flatten_and_unflatten(t: Any) -> None:
    x = t.tensor(draws(2, 3, 4))
    assert tuple(t.nn.Flatten()(x).shape) == (2, 12)
    assert tuple(t.nn.Flatten(0, 1)(x).shape) == (6, 4)
    assert tuple(t.nn.Unflatten(2, (2, -1))(x).shape) == (2, 3, 2, 2)
    assert t.nn.Identity()(x) is x
    with pytest.raises(TypeError, match="unflattened_size must be a tuple of ints, but found type"):
        t.nn.Unflatten(1, 3)
    with pytest.raises(TypeError, match="found element of type str at pos 0"):
        t.nn.Unflatten(1, ("a",))


# ---------------------------------------------------------------- indices
def test_one_hot(t: Any) -> None:
    one_hot, classes = t.nn.functional.one_hot, np.array([[1, 0], [2, 1]])
    found = one_hot(t.tensor(classes))
    assert found.dtype is t.int64
    assert (found.numpy() == np.eye(3)[classes]).all()
    assert (one_hot(t.tensor(classes), 5).numpy() == np.eye(5)[classes]).all()
    with pytest.raises(RuntimeError, match="Can not infer total number of classes from empty"):
        one_hot(t.zeros(0, dtype=t.int64))
