"""Special functions: error, gamma and Bessel functions, and orthogonal polynomials. ATen's names, `torch.special`'s maths.

Most take any real dtype and compute integers in the default one; some of PyTorch's kernels lack float16.
"""

from __future__ import annotations

from typing import Any

from gradwire_protocol import infer, limits
from gradwire_protocol.errors import LimitExceeded
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.pointwise import FLOAT, binary, only, unary, unsupported
from gradwire_protocol.registry import check_no_overlap, op, torch_type_name


def _real(kernel: str, half: bool = True) -> infer.Rule:
    """Return the rule of a real function that promotes integers; without `half`, one that lacks the 16-bit dtypes."""
    promoted = only((FLOAT,), kernel, infer.floating)

    def rule(*arguments: Any) -> Meta:
        result: Meta = promoted(*arguments)
        if result.dtype.itemsize == 2 and not half:
            raise unsupported(kernel, result.dtype)
        return result

    return rule


# --- of one tensor ---------------------------------------------------------------------------------------------------

for _name, _kernel in (
    ("erf", "erf_vml_cpu"), ("erfc", "erfc_vml_cpu"), ("erfinv", "erfinv_vml_cpu"), ("lgamma", "lgamma_vml_cpu"),
    ("digamma", "digamma"), ("i0", "i0_vml_cpu"),
):  # fmt: skip
    unary(_name, _real(_kernel), "self")
for _name, _half, _keeps, _node in (
    ("entr", True, "self", None), ("ndtri", False, "result", None), ("log_ndtr", False, "self", None),
    ("erfcx", False, "self result", None), ("i0e", True, "self result", "SpecialI0EBackward0"), ("i1", True, "self result", None),
    ("i1e", True, "self result", "SpecialI1EBackward0"),
):  # fmt: skip
    op(f"special_{_name}(Tensor self) -> Tensor", _real(f"{_name}_cpu", _half), {"self": _keeps}, node=_node,
       pointwise=True)  # fmt: skip
# PyTorch has no gradients of these.
for _name in (
    "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0",
    "modified_bessel_k1",
):  # fmt: skip
    op(f"special_{_name}(Tensor self) -> Tensor", _real(f"{_name}_cpu", False), pointwise=True)
for _name in ("airy_ai", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0"):
    op(f"special_{_name}(Tensor x) -> Tensor", _real(f"{_name}_cpu", False), pointwise=True)


# --- of a tensor and a static number ---------------------------------------------------------------------------------


def _polygamma(n: int, self: Meta) -> Meta:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return _real("digamma" if n == 0 else "trigamma" if n == 1 else "polygamma")(self)  # type: ignore[no-any-return]


def _polygamma_into(self: Meta, n: int) -> tuple[()]:
    result = _polygamma(n, self)
    if result.dtype is not self.dtype:
        raise RuntimeError(
            f"result type {torch_type_name(result.dtype)} can't be cast to the desired output type "
            f"{torch_type_name(self.dtype)}"
        )
    check_no_overlap(self)
    return ()


def _mvlgamma(self: Meta, p: int) -> Meta:
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if p > limits.MAX_TERMS:
        raise LimitExceeded(f"mvlgamma sums p terms, {limits.MAX_TERMS} at most; got {p}")
    return _real("arange_cpu")(self)  # type: ignore[no-any-return]


op("polygamma(int n, Tensor self) -> Tensor", _polygamma, {"self": "self"}, pointwise=True)
op("polygamma_(Tensor(a!) self, int n) -> Tensor(a!)", _polygamma_into, {"self": "self"}, node="PolygammaBackward0")
unary("mvlgamma", _mvlgamma, "self", arguments=", int p")

# --- of two tensors --------------------------------------------------------------------------------------------------

for _name in ("igamma", "igammac"):
    # The gradient of self, the order, raises NotImplementedError, as PyTorch's does; so does zeta's.
    binary(_name, only((FLOAT,), f"{_name}_cpu", infer.pointwise), "", "self other")
op("special_xlog1py(Tensor self, Tensor other) -> Tensor", _real("xlog1py_cpu"),
   {"self": "self other", "other": "self other"}, node="SpecialXlog1PyBackward0", pointwise=True)  # fmt: skip
op("special_zeta(Tensor self, Tensor other) -> Tensor", _real("zeta_cpu", False),
   {"self": "", "other": "self other"}, pointwise=True)  # fmt: skip
for _name in (
    "chebyshev_polynomial_t", "chebyshev_polynomial_u", "chebyshev_polynomial_v", "chebyshev_polynomial_w",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p",
):  # fmt: skip
    op(f"special_{_name}(Tensor x, Tensor n) -> Tensor", _real(f"{_name}_cpu", False), pointwise=True)
