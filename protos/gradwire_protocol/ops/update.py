"""Optimizer updates: one call updates all tensors of a parameter group. Written tensors change all together or not at all.

Beside the parameters go their gradients, tensors of their shape that the optimizer keeps, and 0-dim tensors that hold a
number each, such as the count of steps. The numbers themselves come with the call: a kernel only writes those tensors,
since reading one would wait for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradwire_protocol.dtypes import float32, float64, int32
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import Rule, check_no_overlap, op

Metas = tuple[Meta, ...]


def _check_count(self: Metas, values: Metas) -> None:
    if values and len(values) != len(self):
        raise RuntimeError(
            f"an update needs one tensor per parameter in each list; got {len(self)} parameters and {len(values)}"
        )


def _check_like(self: Metas, values: Metas) -> None:
    _check_count(self, values)
    for parameter, value in zip(self, values, strict=False):
        if value.shape != parameter.shape or value.dtype is not parameter.dtype:
            raise RuntimeError(
                f"an update needs tensors of the parameter's shape and dtype; got {value} for {parameter}"
            )


def _check_numbers(self: Metas, values: Metas) -> None:
    _check_count(self, values)
    for value in values:
        if value.ndim or value.dtype not in (float32, float64):
            raise RuntimeError(f"an update needs its numbers in 0-dim tensors of float32 or float64; got {value}")


def _check_parameters(self: Metas) -> None:
    for parameter in self:
        check_no_overlap(parameter)
        if not (parameter.dtype.is_floating_point or parameter.dtype.is_complex):
            raise RuntimeError(f"an update needs floating-point or complex parameters; got {parameter}")


def _check_real(name: str, self: Metas) -> None:
    if any(parameter.dtype.is_complex for parameter in self):
        raise RuntimeError(f"{name} does not support complex parameters")


def _rule(kept: int) -> Rule:
    """Return the rule of an update with so many lists of the parameters' shapes; other lists hold numbers."""

    def update(self: Metas, grads: Metas, *rest: object) -> tuple[()]:
        lists = [value for value in rest if isinstance(value, tuple)]
        for values in (grads, *lists[:kept]):
            _check_like(self, values)
        for values in lists[kept:]:
            _check_numbers(self, values)
        _check_parameters(self)
        return ()

    return update


def _fused(name: str, kept: str, numbers: str, options: str, rule: Rule | None = None) -> None:
    """Declare an update that writes the parameters and all lists but the gradients."""
    lists = [*kept.split(), *numbers.split()]
    written = [f"Tensor({letter}!)[] {listed}" for letter, listed in zip("bcdefg", lists, strict=False)]
    schema = f"_fused_{name}_(Tensor(a!)[] self, Tensor[] grads, {', '.join(written)}, *, {options}) -> ()"
    op(schema, rule or _rule(len(kept.split())))


_MOMENTS = "SymInt step, float lr, float beta1, float beta2, float weight_decay, float eps"

_fused(
    "sgd",
    "momentum_buffer_list",
    "",
    "float weight_decay, float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step",
)
for _name in ("adam", "adamw"):
    _fused(_name, "exp_avgs exp_avg_sqs max_exp_avg_sqs", "state_steps", f"{_MOMENTS}, bool amsgrad, bool maximize")
_fused(
    "nadam",
    "exp_avgs exp_avg_sqs",
    "mu_products state_steps",
    # mu_product: of all steps up to this one, as the tensors are to hold it.
    f"{_MOMENTS}, float mu, float mu_next, float mu_product, bool decoupled_weight_decay, bool maximize",
)
_fused("radam", "exp_avgs exp_avg_sqs", "state_steps", f"{_MOMENTS}, bool decoupled_weight_decay, bool maximize")
_fused("adamax", "exp_avgs exp_infs", "state_steps", f"{_MOMENTS}, bool maximize")
_fused(
    "adagrad",
    "state_sums",
    "state_steps",
    "SymInt step, float lr, float lr_decay, float weight_decay, float eps, bool maximize",
)
_fused(
    "adadelta",
    "square_avgs acc_deltas",
    "state_steps",
    "SymInt step, float lr, float rho, float eps, float weight_decay, bool maximize",
)
_fused(
    "rmsprop",
    "square_avgs grad_avgs momentum_buffer_list",
    "state_steps",
    "SymInt step, float lr, float alpha, float eps, float weight_decay, float momentum, bool centered, bool maximize",
)
_fused(
    "rprop",
    "prevs step_sizes",
    "state_steps",
    "SymInt step, float step_size_min, float step_size_max, float etaminus, float etaplus, bool maximize",
)
_fused(
    "asgd",
    "axs",
    "mus etas state_steps",
    # next_eta and next_mu: what the tensors are to hold after this step.
    "SymInt step, float lambd, float weight_decay, float eta, float mu, float next_eta, float next_mu, bool maximize",
)


def _factored_shapes(parameter: Meta) -> Sequence[tuple[int, ...]]:
    shape = parameter.shape
    return ((*shape[:-1], 1), (*shape[:-2], 1, shape[-1]))


def _adafactor(
    self: Metas, grads: Metas, row_vars: Metas, col_vars: Metas, variances: Metas, state_steps: Metas, *rest: object
) -> tuple[()]:
    """Check: parameters of two axes and more keep a row and a column, all of them in one call; others a variance."""
    _check_like(self, grads)
    _check_like(self, variances)
    _check_numbers(self, state_steps)
    _check_parameters(self)
    _check_real("Adafactor", self)
    _check_count(self, row_vars)
    if not variances and not (len(self) == len(row_vars) == len(col_vars)):
        raise RuntimeError(
            "an update by Adafactor needs variances, or rows and columns; got neither for each parameter"
        )
    for parameter, *factors in zip(self, row_vars, col_vars, strict=False):
        if parameter.ndim < 2 or [factor.shape for factor in factors] != list(_factored_shapes(parameter)):
            raise RuntimeError(f"an update by Adafactor needs a row and a column of the parameter; got {factors}")
    return ()


_fused(
    "adafactor",
    "row_vars col_vars variances",
    "state_steps",
    "SymInt step, float lr, float beta2_decay, float eps1, float eps2, float d, float weight_decay, bool maximize",
    _adafactor,
)


def _muon(self: Metas, grads: Metas, momentum_buffers: Metas, *rest: object) -> tuple[()]:
    _rule(1)(self, grads, momentum_buffers)
    _check_real("Muon", self)
    for parameter in self:
        if parameter.ndim != 2:
            raise ValueError(f"Muon only supports 2D parameters; got {parameter}")
    ns_steps = rest[-2]
    assert isinstance(ns_steps, int)
    if ns_steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    return ()


_fused(
    "muon",
    "momentum_buffers",
    "",
    "float lr, float weight_decay, float momentum, float a, float b, float c, float eps, bool nesterov, int ns_steps, "
    "str adjust_lr_fn",
    _muon,
)


# ---------------------------------------------------------------- scales of losses, which keep small gradients from vanishing
def _unscale(self: Metas, found_inf: Meta, inv_scale: Meta) -> tuple[()]:
    for name, value in (("found_inf", found_inf), ("inv_scale", inv_scale)):
        if value.numel != 1 or value.dtype is not float32:
            raise RuntimeError(f"{name} must be a 1-element tensor of float32; got {value}")
    for gradient in self:
        check_no_overlap(gradient)
        if not (gradient.dtype.is_floating_point or gradient.dtype.is_complex):
            raise RuntimeError(f"gradients to unscale must be floating-point or complex; got {gradient}")
    return ()


def _update_scale(self: Meta, growth_tracker: Meta, found_inf: Meta, *rest: object) -> tuple[()]:
    for name, value, dtype in (
        ("growth_tracker", growth_tracker, int32), ("current_scale", self, float32), ("found_inf", found_inf, float32),
    ):  # fmt: skip
        if value.numel != 1:
            raise RuntimeError(f"{name} must be a 1-element tensor.")
        if value.dtype is not dtype:
            kind = "an int" if dtype is int32 else "a float"
            raise RuntimeError(f"{name} must be {kind} tensor.")
    return ()


op(
    "_amp_foreach_non_finite_check_and_unscale_(Tensor(a!)[] self, Tensor(b!) found_inf, Tensor inv_scale) -> ()",
    _unscale,
)
op(
    "_amp_update_scale_(Tensor(a!) self, Tensor(b!) growth_tracker, Tensor found_inf, float scale_growth_factor, "
    "float scale_backoff_factor, int growth_interval) -> Tensor(a!)",
    _update_scale,
)
