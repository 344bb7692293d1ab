"""Optimizer updates: one call updates all tensors of a parameter group. Written tensors change all together or not at all."""

from __future__ import annotations

from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import check_no_overlap, op

Metas = tuple[Meta, ...]


def _update(self: Metas, grads: Metas, *rest: object) -> tuple[()]:
    """Check that every list is empty or matches the parameters one to one."""
    for values in (grads, *(value for value in rest if isinstance(value, tuple))):
        if values and len(values) != len(self):
            raise RuntimeError(
                f"an update needs one tensor per parameter in each list; got {len(self)} parameters and {len(values)}"
            )
        for parameter, value in zip(self, values, strict=False):
            if value.shape != parameter.shape or value.dtype is not parameter.dtype:
                raise RuntimeError(
                    f"an update needs tensors of the parameter's shape and dtype; got {value} for {parameter}"
                )
    for parameter in self:
        check_no_overlap(parameter)
        if not parameter.dtype.is_floating_point:
            raise RuntimeError(f"an update needs floating-point parameters; got {parameter}")
    return ()


op(
    "_fused_sgd_(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] momentum_buffer_list, *, float weight_decay, "
    "float momentum, float lr, float dampening, bool nesterov, bool maximize, bool is_first_step) -> ()",
    _update,
)
for _name in ("_fused_adam_", "_fused_adamw_"):
    op(
        f"{_name}(Tensor(a!)[] self, Tensor[] grads, Tensor(b!)[] exp_avgs, Tensor(c!)[] exp_avg_sqs, "
        "Tensor(d!)[] max_exp_avg_sqs, *, SymInt step, float lr, float beta1, float beta2, float weight_decay, float eps, "
        "bool amsgrad, bool maximize) -> ()",
        _update,
    )
