"""Samples of the other updates. References: the update rules of torch.optim's documentation, in plain numpy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tests.ops.samples.record import Case, Refusal, Sample
from tests.ops.samples.update import Arrays, lists, no_torch, numbers, refusals

Array = np.ndarray[Any, Any]
Options = Mapping[str, Any]


def _towards(mean: Array, value: Array, weight: float) -> Array:
    return (1 - weight) * mean + weight * value


def _nadam(p: Array, g: Array, mean: Array, square: Array, o: Options) -> Array:
    p = p * (1 - o["lr"] * o["weight_decay"]) if o["decoupled_weight_decay"] else p
    mean, square = _towards(mean, g, 1 - o["beta1"]), _towards(square, g * g, 1 - o["beta2"])
    ahead = o["mu_next"] * mean / (1 - o["mu_product"] * o["mu_next"]) + (1 - o["mu"]) * g / (1 - o["mu_product"])
    return p - o["lr"] * ahead / (np.sqrt(square / (1 - o["beta2"] ** o["step"])) + o["eps"])


def _radam(p: Array, g: Array, mean: Array, square: Array, o: Options) -> Array:
    p = p * (1 - o["lr"] * o["weight_decay"]) if o["decoupled_weight_decay"] else p
    beta2, t = o["beta2"], o["step"]
    mean, square = _towards(mean, g, 1 - o["beta1"]), _towards(square, g * g, 1 - beta2)
    corrected, most = mean / (1 - o["beta1"] ** t), 2 / (1 - beta2) - 1
    rho = most - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 5:
        return p - o["lr"] * corrected
    scale = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    return p - o["lr"] * corrected * scale * np.sqrt(1 - beta2**t) / (np.sqrt(square) + o["eps"])


def _adamax(p: Array, g: Array, mean: Array, largest: Array, o: Options) -> Array:
    largest = np.maximum(o["beta2"] * largest, np.abs(g) + o["eps"])
    return p - o["lr"] / (1 - o["beta1"] ** o["step"]) * _towards(mean, g, 1 - o["beta1"]) / largest


def _adagrad(p: Array, g: Array, total: Array, o: Options) -> Array:
    return p - o["lr"] / (1 + (o["step"] - 1) * o["lr_decay"]) * g / (np.sqrt(total + g * g) + o["eps"])


def _adadelta(p: Array, g: Array, square: Array, delta: Array, o: Options) -> Array:
    square = _towards(square, g * g, 1 - o["rho"])
    return p - o["lr"] * np.sqrt(delta + o["eps"]) / np.sqrt(square + o["eps"]) * g


def _rmsprop(p: Array, g: Array, square: Array, mean: Array, buffer: Array, o: Options) -> Array:
    square, mean = _towards(square, g * g, 1 - o["alpha"]), _towards(mean, g, 1 - o["alpha"])
    step = g / (np.sqrt(square - mean**2 if o["centered"] else square) + o["eps"])
    return p - o["lr"] * (o["momentum"] * buffer + step if o["momentum"] else step)


def _rprop(p: Array, g: Array, prev: Array, size: Array, o: Options) -> Array:
    turned, same = g * prev < 0, g * prev > 0
    size = size * np.where(turned, o["etaminus"], np.where(same, o["etaplus"], 1))
    return p - np.where(turned, 0, np.sign(g)) * np.clip(size, o["step_size_min"], o["step_size_max"])


def _asgd(p: Array, g: Array, average: Array, o: Options) -> Array:
    return (1 - o["lambd"] * o["eta"]) * p - o["eta"] * g


def _reference(name: str, formula: Callable[..., Any], kept: int) -> Callable[..., Arrays]:
    """Return the update of all parameters; what is not kept stands as zeros in the formula."""
    is_decoupled = {"decoupled_weight_decay"}

    def update(self: Arrays, grads: Arrays, *state: Any, **options: Any) -> Arrays:
        results = []
        for index, (p, grad) in enumerate(zip(self, grads, strict=True)):
            g = -grad if options["maximize"] else grad
            if not any(options.get(option) for option in is_decoupled):
                g = g + options.get("weight_decay", 0.0) * p
            held = [values[index] if values else np.zeros_like(p) for values in state[:kept]]
            results.append(np.asarray(formula(p, g, *held, options), p.dtype))
        return results

    update.__name__ = name
    return update


def _cases(kept: int, counts: int, *options: Options, absent: Callable[[Options], set[int]] = lambda o: set()) -> Any:
    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for dtype in (np.float32, np.float64):
            for chosen in options:
                p, g, *state = lists(rng, 2 + kept, dtype)
                g = [np.asarray(grad - 0.8) for grad in g]
                # A mean square well above the squared mean, as a true one is: centered RMSprop takes their difference.
                state[0] = [np.asarray(values + 20) for values in state[0]]
                state = [[] if index in absent(chosen) else values for index, values in enumerate(state)]
                yield Case((p, g, *state, *[numbers(2.0)] * counts), chosen, differentiable=False)

    return cases


def _vary(base: Options, *changes: Options) -> list[Options]:
    return [base, *({**base, **change} for change in changes)]


_ADAM = {"step": 3, "lr": 0.1, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0, "eps": 1e-8, "maximize": False}
_DECOUPLED = {**_ADAM, "decoupled_weight_decay": False}
_DECAYS: tuple[Options, ...] = (
    {"weight_decay": 0.1, "maximize": True}, {"weight_decay": 0.1, "decoupled_weight_decay": True},
)  # fmt: skip
_OPTIONS: dict[str, list[Options]] = {
    "nadam": _vary({**_DECOUPLED, "mu": 0.46, "mu_next": 0.47, "mu_product": 0.1}, *_DECAYS),
    "radam": _vary(_DECOUPLED, *_DECAYS, {"step": 9}),
    "adamax": _vary(_ADAM, {"weight_decay": 0.1, "maximize": True}),
    "adagrad": _vary(
        {"step": 3, "lr": 0.1, "lr_decay": 0.0, "weight_decay": 0.0, "eps": 1e-10, "maximize": False},
        {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True},
    ),
    "adadelta": _vary(
        {"step": 3, "lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "maximize": False},
        {"weight_decay": 0.1, "maximize": True},
    ),
    "rmsprop": _vary(
        {
            "step": 3, "lr": 0.1, "alpha": 0.9, "eps": 1e-2, "weight_decay": 0.0, "momentum": 0.0, "centered": False,
            "maximize": False,
        },
        {"momentum": 0.9, "weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9, "centered": True},
    ),
    "rprop": _vary(
        {"step": 3, "step_size_min": 0.1, "step_size_max": 1.0, "etaminus": 0.5, "etaplus": 1.2, "maximize": False},
        {"maximize": True},
    ),
    "asgd": _vary(
        {
            "step": 3, "lambd": 0.1, "weight_decay": 0.0, "eta": 0.1, "mu": 1.0, "next_eta": 0.1, "next_mu": 0.5,
            "maximize": False,
        },
        {"mu": 0.5, "weight_decay": 0.1, "maximize": True},
    ),
}  # fmt: skip
_FORMULAS: dict[str, tuple[Callable[..., Any], int]] = {
    "nadam": (_nadam, 2), "radam": (_radam, 1), "adamax": (_adamax, 1), "adagrad": (_adagrad, 1),
    "adadelta": (_adadelta, 1), "rmsprop": (_rmsprop, 1), "rprop": (_rprop, 1), "asgd": (_asgd, 3),
}  # fmt: skip


def _sample(name: str) -> Sample:
    formula, counts = _FORMULAS[name]
    kept = len(inspect.signature(formula).parameters) - 3
    absent = _not_kept if name == "rmsprop" else lambda options: set()
    return Sample(
        f"_fused_{name}_",
        _reference(name, formula, kept),
        _cases(kept, counts, *_OPTIONS[name], absent=absent),
        refusals(kept, counts, dict(_OPTIONS[name][0])),
        torch=no_torch,
    )


def _not_kept(options: Options) -> set[int]:
    """Return which lists RMSprop goes without."""
    return ({1} if not options["centered"] else set()) | ({2} if not options["momentum"] else set())


_ADAFACTOR = {
    "step": 3, "lr": 0.1, "beta2_decay": -0.8, "eps1": 1e-7, "eps2": 1e-3, "d": 1.0, "weight_decay": 0.0, "maximize": False,
}  # fmt: skip


def _adafactor_cases(rng: np.random.Generator) -> Iterator[Case]:
    for dtype in (np.float32, np.float64):
        for options in _vary(_ADAFACTOR, {"weight_decay": 0.1, "maximize": True, "d": 2.0}):
            p, g, variance = lists(rng, 3, dtype)
            yield Case((p, g, [], [], variance, numbers(2.0)), options, differentiable=False)
            shapes = ((2, 4), (3, 2, 5))
            p, g = ([rng.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(2))
            rows = [np.abs(rng.standard_normal((*shape[:-1], 1))).astype(dtype) for shape in shapes]
            columns = [np.abs(rng.standard_normal((*shape[:-2], 1, shape[-1]))).astype(dtype) for shape in shapes]
            yield Case((p, g, rows, columns, [], numbers(2.0)[:2]), options, differentiable=False)


def _adafactor(
    self: Arrays, grads: Arrays, row_vars: Arrays, col_vars: Arrays, variances: Arrays, state_steps: Arrays, **o: Any
) -> Arrays:
    results, weight = [], o["step"] ** o["beta2_decay"]
    for index, (p, grad) in enumerate(zip(self, grads, strict=True)):
        g = -grad if o["maximize"] else grad
        if variances:
            estimate = _towards(variances[index], g * g, weight)
        else:
            row = _towards(row_vars[index], (g * g).mean(-1, keepdims=True), weight)
            column = _towards(col_vars[index], (g * g).mean(-2, keepdims=True), weight)
            estimate = row @ column / np.maximum(row.mean(-2, keepdims=True), o["eps1"])
        update = g / np.sqrt(np.maximum(estimate, o["eps1"] ** 2))
        size = max(o["eps2"], float(np.sqrt((p * p).mean()))) * min(o["lr"], o["step"] ** -0.5) if p.size else 0.0
        clip = max(1.0, float(np.sqrt((update * update).mean())) / o["d"]) if p.size else 1.0
        results.append(np.asarray((1 - o["lr"] * o["weight_decay"]) * p - size / clip * update, p.dtype))
    return results


_MUON = {
    "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "a": 3.4445, "b": -4.775, "c": 2.0315, "eps": 1e-7, "nesterov": True,
    "ns_steps": 5, "adjust_lr_fn": "original",
}  # fmt: skip


def _muon_cases(rng: np.random.Generator) -> Iterator[Case]:
    changes = {"weight_decay": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 2}
    for dtype in (np.float32, np.float64):
        for options in _vary(_MUON, changes):
            arrays = [[rng.standard_normal(shape).astype(dtype) for shape in ((6, 3), (2, 9))] for _ in range(3)]
            yield Case(tuple(arrays), options, differentiable=False)


def _muon(self: Arrays, grads: Arrays, momentum_buffers: Arrays, **o: Any) -> Arrays:
    """The update in full precision, where the kernel rounds to bfloat16: hence the sample's tolerance."""
    results = []
    for p, grad, buffer in zip(self, grads, momentum_buffers, strict=True):
        mean = _towards(buffer, grad, 1 - o["momentum"])
        x = _towards(grad, mean, o["momentum"]) if o["nesterov"] else mean
        x = x / np.linalg.norm(x)
        for _ in range(o["ns_steps"]):
            x = o["a"] * x + (o["b"] * (x @ x.T) + o["c"] * (x @ x.T) @ (x @ x.T)) @ x
        rows, columns = p.shape
        is_plain = o["adjust_lr_fn"] == "original"
        ratio = max(1, rows / columns) ** 0.5 if is_plain else 0.2 * max(rows, columns) ** 0.5
        results.append(np.asarray((1 - o["lr"] * o["weight_decay"]) * p - o["lr"] * ratio * x, p.dtype))
    return results


_FLAT = Refusal(
    ([np.zeros(3)], [np.zeros(3)], [np.zeros(3)]), ValueError, "Muon only supports 2D parameters", _MUON, in_torch=False
)
SAMPLES: list[Sample] = [
    *map(_sample, _FORMULAS),
    Sample("_fused_adafactor_", _adafactor, _adafactor_cases, torch=no_torch),
    Sample("_fused_muon_", _muon, _muon_cases, (_FLAT,), atol=0.1 * 2**-5, torch=no_torch),
]
