"""Schedules of learning rates: PyTorch's sequences to the last bit, its states, warnings and refusals."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import gradwire as gw
from gradwire.session import Session

STEPS = 60
Make = Callable[[Any, Any], Any]


class Halving:
    """A callable object, whose attributes are part of a schedule's state."""

    def __init__(self, base: float) -> None:
        self.base = base

    def __call__(self, epoch: float) -> float:
        return self.base ** (epoch % 7)


def optimizer(t: Any, name: str = "SGD", **options: Any) -> Any:
    groups = [{"params": [t.nn.Parameter(t.zeros(1))], "lr": 0.3}, {"params": [t.nn.Parameter(t.zeros(2))]}]
    return getattr(t.optim, name)(groups, lr=0.07, **options)


SCHEDULES: dict[str, Make] = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "lambdas": lambda s, o: s.LambdaLR(o, [Halving(0.5), lambda epoch: 1 / (1 + epoch)]),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.95),
    "step": lambda s, o: s.StepLR(o, 7, 0.3),
    "multi step": lambda s, o: s.MultiStepLR(o, [3, 11, 11, 40], 0.3),
    "constant": lambda s, o: s.ConstantLR(o),
    "constant 30": lambda s, o: s.ConstantLR(o, 0.7, 30),
    "linear": lambda s, o: s.LinearLR(o),
    "linear 30": lambda s, o: s.LinearLR(o, 0.1, 0.9, 30),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.93),
    "polynomial": lambda s, o: s.PolynomialLR(o, 40, 1.7),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 13, 0.001),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5),
    "restarts 2": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.01),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 7),
    "cyclic 2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.2, 0.3], 7, 4, "triangular2", base_momentum=0.6),
    "cyclic range": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 7, mode="exp_range", gamma=0.97),
    "cyclic own": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 7, scale_fn=Halving(0.9), scale_mode="iterations"),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.5, 61),
    "one cycle 3": lambda s, o: s.OneCycleLR(
        o, [0.5, 0.6], epochs=8, steps_per_epoch=8, three_phase=True, anneal_strategy="linear"
    ),
    "sequential": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 20), s.ExponentialLR(o, 0.9)], [6, 30]
    ),
    "nested": lambda s, o: s.SequentialLR(
        o, [s.SequentialLR(o, [s.StepLR(o, 2), s.ExponentialLR(o, 0.9)], [8]), s.ConstantLR(o, 0.5, 9)], [20]
    ),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 8), s.ExponentialLR(o, 0.9), s.StepLR(o, 9)]),
    "swa": lambda s, o: s.SWALR(o, [0.01, 0.02], 12),
    "swa linear": lambda s, o: s.SWALR(o, 0.01, 0, "linear"),
}
PLATEAUS: dict[str, dict[str, Any]] = {
    "default": {},
    "short": {"patience": 1, "factor": 0.5, "cooldown": 2, "min_lr": [0.01, 0.02]},
    "max": {"mode": "max", "patience": 2, "threshold": 0.1, "threshold_mode": "abs", "eps": 0.01},
    "relative": {"mode": "max", "patience": 0, "threshold": 0.2},
    "absolute": {"patience": 1, "threshold": 0.3, "threshold_mode": "abs", "min_lr": 0.001},
}


class Namespace:
    """The schedules of a library, SWALR among them."""

    def __init__(self, t: Any) -> None:
        self.t = t

    def __getattr__(self, name: str) -> Any:
        home = self.t.optim.swa_utils if name == "SWALR" else self.t.optim.lr_scheduler
        return getattr(home, name)


def seen(o: Any) -> list[Any]:
    return [{name: value for name, value in group.items() if name != "params"} for group in o.param_groups]


def plain(state: Any) -> Any:
    return [(key, plain(value)) for key, value in state.items()] if isinstance(state, dict) else state


def comparable(state: dict[str, Any]) -> Any:
    """Return a state as pairs in order; the functions in it, the library's own, stand for themselves by name."""
    return plain({key: getattr(value, "__name__", value) for key, value in state.items()})


def run(t: Any, make: Make, name: str, options: dict[str, Any]) -> list[Any]:
    """Return groups and states after each step, and warnings; half way all is made anew and loaded."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = steps(t, make, name, options)
    return [*found, [str(warning.message) for warning in caught]]


def steps(t: Any, make: Make, name: str, options: dict[str, Any]) -> list[Any]:
    o = optimizer(t, name, **options)
    scheduler = make(Namespace(t), o)
    found: list[Any] = [seen(o), scheduler.get_last_lr(), comparable(scheduler.state_dict())]
    for step in range(STEPS):
        if step == STEPS // 2:
            saved = copy.deepcopy((o.state_dict(), scheduler.state_dict()))
            o = optimizer(t, name, **options)
            scheduler = make(Namespace(t), o)
            scheduler.load_state_dict(saved[1])
            o.load_state_dict(saved[0])
        o.step()
        scheduler.step()
        found += [seen(o), scheduler.get_last_lr(), comparable(scheduler.state_dict())]
    return found


@pytest.mark.parity
@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_sequences_and_states(session: Session, schedule: str, name: str, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")
    mine, theirs = (run(t, SCHEDULES[schedule], name, options) for t in (gw, torch))
    assert mine == theirs


@pytest.mark.parity
@pytest.mark.parametrize("options", PLATEAUS.values(), ids=PLATEAUS)
def test_plateaus(session: Session, options: dict[str, Any]) -> None:
    torch: Any = pytest.importorskip("torch")

    def rates(t: Any) -> list[Any]:
        o = optimizer(t)
        scheduler = t.optim.lr_scheduler.ReduceLROnPlateau(o, **options)
        found = []
        for step in range(STEPS):
            if step == 30:
                state = copy.deepcopy(scheduler.state_dict())
                scheduler = t.optim.lr_scheduler.ReduceLROnPlateau(o)
                scheduler.load_state_dict(state)
            scheduler.step(t.tensor(1 / (step % 17 + 1)) if step % 2 else step % 5)
            found.append((seen(o), plain(scheduler.state_dict())))
        return found

    assert rates(gw) == rates(torch)


@pytest.mark.parity
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_an_epoch_out_of_turn(session: Session, schedule: str) -> None:
    torch: Any = pytest.importorskip("torch")
    if schedule in ("sequential", "nested", "chained"):
        return

    def rates(t: Any) -> list[Any]:
        o = optimizer(t, momentum=0.9)
        scheduler = SCHEDULES[schedule](Namespace(t), o)
        o.step()
        found = []
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for epoch in (3, 17, 4, 40, 0):
                scheduler.step(epoch)
                found.append(seen(o))
            scheduler.get_lr()
        return [found, [str(warning.message) for warning in caught]]

    mine, theirs = rates(gw), rates(torch)
    assert mine == theirs


@pytest.mark.parity
def test_signatures(session: Session) -> None:
    torch: Any = pytest.importorskip("torch")
    assert set(torch.optim.lr_scheduler.__all__) <= set(gw.optim.lr_scheduler.__all__)
    for name in torch.optim.lr_scheduler.__all__:
        mine, theirs = (
            [
                (p.name, p.default, p.kind)
                for p in inspect.signature(getattr(t.optim.lr_scheduler, name)).parameters.values()
            ]
            for t in (gw, torch)
        )
        assert mine == theirs, name


def test_a_rate_that_is_a_tensor_stays_that_tensor(t: Any) -> None:
    p, lr = t.nn.Parameter(t.zeros(1)), t.tensor(0.5, dtype=t.float64)
    o = t.optim.SGD([p], lr=lr)
    scheduler = t.optim.lr_scheduler.ExponentialLR(o, 0.5)
    p.grad = t.ones(1)
    o.step()
    scheduler.step()
    o.step()
    assert o.param_groups[0]["lr"] is lr
    assert lr.item() == 0.25
    assert p.item() == -0.75
    assert scheduler.get_last_lr()[0] is not lr
    assert o.param_groups[0]["initial_lr"].item() == 0.5


def test_the_order_of_steps_is_watched(t: Any) -> None:
    o = optimizer(t)
    scheduler = t.optim.lr_scheduler.StepLR(o, 2)
    with pytest.warns(UserWarning, match="Detected call of `lr_scheduler.step\\(\\)` before"):
        scheduler.step()
    o = optimizer(t)
    scheduler = t.optim.lr_scheduler.StepLR(o, 2)
    o.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden after learning rate scheduler"):
        scheduler.step()


def test_an_old_name_is_a_class_of_its_own(t: Any) -> None:
    assert t.optim.lr_scheduler._LRScheduler.__name__ == "_LRScheduler"
    assert issubclass(t.optim.lr_scheduler._LRScheduler, t.optim.lr_scheduler.LRScheduler)


@pytest.mark.parametrize(
    ("error", "make", "text"),
    [
        (TypeError, lambda s, o: s.StepLR(3, 1), "int is not an Optimizer"),
        (TypeError, lambda s, o: s.ReduceLROnPlateau(3), "int is not an Optimizer"),
        (KeyError, lambda s, o: s.StepLR(o, 1, last_epoch=3), "param 'initial_lr' is not specified in param_groups[0]"),
        (ValueError, lambda s, o: s.LambdaLR(o, [abs]), "Expected 2 lr_lambdas, but got 1"),
        (TypeError, lambda s, o: s.MultiplicativeLR(o, 3), "lr_lambda should be a function, but got int"),
        (
            ValueError,
            lambda s, o: s.ConstantLR(o, 1.1),
            "Constant multiplicative factor expected to be between 0 and 1.",
        ),
        (ValueError, lambda s, o: s.LinearLR(o, 0), "expected to be greater than 0 and less or equal to 1."),
        (ValueError, lambda s, o: s.LinearLR(o, 1, 2), "Ending multiplicative factor expected"),
        (ValueError, lambda s, o: s.SequentialLR(o, [], []), "expects at least one scheduler, but got no scheduler."),
        (ValueError, lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [1]), "number of milestones to be equal to 1"),
        (ValueError, lambda s, o: s.ChainedScheduler([s.ReduceLROnPlateau(o)]), "does not support `ReduceLROnPlateau`"),
        (TypeError, lambda s, o: s.SequentialLR(o, [3], []), "at index 0 should have `optimizer` as its attribute."),
        (
            ValueError,
            lambda s, o: s.CyclicLR(o, 0.1, [1]),
            "max_lr must have the same length as optimizer.param_groups.",
        ),
        (ValueError, lambda s, o: s.CyclicLR(o, 0.1, 1, mode="x"), "mode is invalid and scale_fn is None"),
        (ValueError, lambda s, o: s.OneCycleLR(o, 1), "You must define either total_steps OR"),
        (ValueError, lambda s, o: s.OneCycleLR(o, 1, 2.5), "Expected positive integer total_steps, but got 2.5"),
        (ValueError, lambda s, o: s.OneCycleLR(o, 1, 5, pct_start=2), "Expected float between 0 and 1 pct_start"),
        (ValueError, lambda s, o: s.OneCycleLR(o, 1, 5, anneal_strategy="x"), "must be one of 'cos' or 'linear'"),
        (ValueError, lambda s, o: s.CosineAnnealingWarmRestarts(o, 0), "Expected positive integer T_0, but got 0"),
        (ValueError, lambda s, o: s.CosineAnnealingWarmRestarts(o, 1, 0), "Expected integer T_mult >= 1, but got 0"),
        (ValueError, lambda s, o: s.ReduceLROnPlateau(o, factor=1), "Factor should be < 1.0."),
        (ValueError, lambda s, o: s.ReduceLROnPlateau(o, "x"), "mode x is unknown!"),
        (ValueError, lambda s, o: s.ReduceLROnPlateau(o, min_lr=[1]), "expected 2 min_lrs, got 1"),
    ],
)
def test_refusals(t: Any, error: type[Exception], make: Make, text: str) -> None:
    with pytest.raises(error) as caught:
        make(t.optim.lr_scheduler, optimizer(t))
    assert text in str(caught.value).replace("\\n", "\n")


def test_a_cycle_needs_momentum(t: Any) -> None:
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1 with `cycle_momentum`"):
        t.optim.lr_scheduler.CyclicLR(t.optim.Adagrad([t.nn.Parameter(t.zeros(1))]), 0.1, 1)
