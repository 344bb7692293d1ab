"""Products and norms of matrices as a user meets them: names of arguments, what is refused, and exact values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

# PyTorch warns of its older names.
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated", "ignore:Using torch.cross without", "ignore:An output")

M = np.arange(12.0).reshape(3, 4) - 5
SQUARE = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])


def test_the_exponential_of_a_nilpotent_matrix(t: Any) -> None:
    wanted = np.eye(3) + SQUARE + SQUARE @ SQUARE / 2
    a = t.tensor(SQUARE)
    for found in (t.matrix_exp(a), a.matrix_exp(), t.linalg.matrix_exp(a), t.linalg.matrix_exp(input=a)):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-14)


def test_the_exponential_of_large_and_of_nan_matrices_in_one_batch(t: Any) -> None:
    batch = np.stack([np.diag([-700.0, 700.0]), np.full((2, 2), np.nan), np.eye(2) * 1e-20])
    found = t.linalg.matrix_exp(t.tensor(batch)).numpy()
    np.testing.assert_allclose(found[0], np.diag(np.exp([-700.0, 700.0])), rtol=1e-10)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(found[2], np.eye(2))


def test_the_exponential_of_complex_matrices_is_differentiable_twice(t: Any) -> None:
    values = np.random.default_rng(0).standard_normal((2, 2, 3, 3))
    a = t.tensor(values[0] + 1j * values[1], requires_grad=True)
    assert t.autograd.gradcheck(t.linalg.matrix_exp, (a,))
    assert t.autograd.gradgradcheck(t.linalg.matrix_exp, (a,))


def test_names_of_arguments(t: Any) -> None:
    m, wanted = t.tensor(M), np.linalg.norm(M, axis=0, keepdims=True).tolist()
    assert t.linalg.norm(x=m, axis=0, keepdims=True).tolist() == wanted
    assert t.linalg.vector_norm(input=m, dim=0, keepdim=True).tolist() == wanted
    assert t.frobenius_norm(m, axis=0, keepdims=True).tolist() == wanted
    assert t.linalg.matrix_norm(m, 1, axis=(0, 1)).item() == t.linalg.norm(input=m, ord=1).item() == 10
    assert t.nuclear_norm(m, True).shape == (1, 1)
    with pytest.raises(TypeError):
        t.linalg.norm(m, dim=0, axis=0)
    with pytest.raises(TypeError):
        t.linalg.norm(m, x=m)


def test_addr_drops_a_nan_but_not_the_gradient_where_beta_is_0(t: Any) -> None:
    m = t.full((2, 2), math.nan, requires_grad=True)
    v = t.ones(2)
    for found in (t.addr(m, v, v, beta=0), t.addbmm(m, t.ones(1, 2, 1), t.ones(1, 1, 2), beta=0)):
        assert found.tolist() == [[1, 1], [1, 1]]
        (gradient,) = t.autograd.grad(found.sum(), m)
        assert gradient.tolist() == [[0, 0], [0, 0]]


def test_addr_promotes_and_its_inplace_form_does_not(t: Any) -> None:
    whole, v = t.ones(2, 2, dtype=t.int64), t.tensor([0.5, 1.0])
    assert t.addr(whole, v, v).tolist() == [[1.25, 1.5], [1.5, 2]]
    assert t.addr(t.ones(2, 2), whole[0], whole[0], alpha=0.5).tolist() == [[1.5, 1.5], [1.5, 1.5]]
    true = t.tensor([True, False])
    assert t.addr(whole, true, true).tolist() == [[2, 1], [1, 1]]
    assert t.addr(t.zeros(2, 2, dtype=t.bool), true, true).tolist() == [[True, False], [False, False]]
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        whole.addr_(v, v)
    assert whole.addr_(whole[0].clone(), whole[0].clone(), beta=2, alpha=3).tolist() == [[5, 5], [5, 5]]


def test_the_default_axis_of_cross_is_that_of_its_first_argument(t: Any) -> None:
    one, other = t.tensor([[1.0, 0.0, 0.0]]), t.tensor([[0.0, 1.0, 0.0]] * 3)
    assert t.cross(one, other).tolist() == [[0, 0, 1]] * 3


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda t, m: t.linalg.cross(m[:, :3], m[:, :3].float()),
            RuntimeError,
            "expected scalar type Double but found",
        ),
        (lambda t, m: t.linalg.cross(m, 2), TypeError, "linalg_cross.*'other' .position 2. must be Tensor, not int"),
        (lambda t, m: t.kron(m, 2), TypeError, "kron.*must be Tensor, not int"),
        (lambda t, m: t.trace(m > 0), NotImplementedError, "\"trace\" not implemented for 'Bool'"),
        (lambda t, m: t.inner(m, m.float()), RuntimeError, "both inputs should have same dtype"),
        (lambda t, m: [1, 2, 3] @ m, TypeError, "unsupported operand type"),
        (lambda t, m: t.addbmm(m, m[None], m[None]), RuntimeError, "Incompatible matrix sizes for bmm .3x4 and 3x4."),
        (lambda t, m: m.addr_(m[0], m[0]), RuntimeError, r"size mismatch, input: \[3, 4\], v1: \[4\], v2: \[4\]"),
        (lambda t, m: t.linalg.vecdot(m.long(), m.long()), RuntimeError, "Expected a floating point or complex"),
        (lambda t, m: t.linalg.vecdot(m, m.float()), RuntimeError, "x of type Double and y of type Float"),
        (lambda t, m: t.linalg.vander(m > 0), RuntimeError, "linalg.vander supports .* but got Bool"),
        (lambda t, m: t.linalg.vander(m, N=2.0), TypeError, "argument 'N' must be int, not float"),
        (lambda t, m: t.linalg.multi_dot(m), TypeError, "argument 'tensors' .* must be tuple of Tensors, not Tensor"),
        (lambda t, m: t.linalg.multi_dot([m, m.float()]), RuntimeError, "tensor 0 is double and tensor 1 float"),
        (lambda t, m: t.chain_matmul(m[0], m.T), RuntimeError, "Tensor dimension is 1, expected 2 instead."),
        (lambda t, m: t.linalg.matrix_norm(m, 3), RuntimeError, "linalg.matrix_norm: Order 3 not supported."),
        (lambda t, m: t.linalg.matrix_norm(m, 2, (1, -1)), RuntimeError, r"dims must be different. Got \(1, 1\)"),
        (lambda t, m: t.linalg.matrix_norm(m.half(), 2), RuntimeError, "Low precision dtypes not supported. Got Half"),
        (lambda t, m: t.linalg.norm(m, dtype=t.float32), RuntimeError, "vector_norm: the dtype of the input .Double."),
        (lambda t, m: t.linalg.norm(m, dtype=t.complex128), RuntimeError, "dtype should be real for real inputs"),
        (lambda t, m: t.linalg.vector_norm(m, 1j), RuntimeError, "Expected a non-complex scalar as the order of norm"),
        (lambda t, m: t.linalg.vector_norm(m, "fro"), TypeError, "argument 'ord' .position 2. must be Number, not str"),
        (lambda t, m: t.frobenius_norm(m, (0, 1, 2)), RuntimeError, "Expected at most 2 dimensions, but got 3"),
    ],
)
def test_refusals(t: Any, call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call(t, t.tensor(M))
