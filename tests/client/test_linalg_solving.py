"""`gradwire.linalg`'s solving part as a user meets it: forms of calls, named results, what is raised and when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

# PyTorch warns of its older names.
pytestmark = pytest.mark.filterwarnings("ignore:torch.* is deprecated")

A = np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 2.0]])
SINGULAR = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]])


def test_results_have_names(t: Any) -> None:
    a = t.tensor(A)
    fields = {
        "inv_ex": ("inverse", "info"), "slogdet": ("sign", "logabsdet"), "cholesky_ex": ("L", "info"),
        "lu_factor": ("LU", "pivots"), "lu_factor_ex": ("LU", "pivots", "info"), "lu": ("P", "L", "U"),
        "ldl_factor": ("LD", "pivots"), "ldl_factor_ex": ("LD", "pivots", "info"),
    }  # fmt: skip
    for name, wanted in fields.items():
        found = getattr(t.linalg, name)(a)
        assert tuple(found) == tuple(getattr(found, field) for field in wanted)
    assert t.linalg.solve_ex(a, a).info.item() == 0
    assert t.slogdet(a).sign.item() == 1
    assert t.lu(a, get_infos=True).info.item() == 0
    assert type(t.lu(a)) is tuple
    assert a.triangular_solve(a).cloned_coefficient.tolist() == A.tolist()


def test_the_older_names(t: Any) -> None:
    a, inverse = t.tensor(A), np.linalg.inv(A)
    for found in (t.inverse(a), a.inverse(), t.linalg.inv(a), t.cholesky_inverse(t.cholesky(a))):
        np.testing.assert_allclose(found.numpy(), inverse, rtol=1e-12)
    for found in (t.det(a), a.det(), t.linalg.det(a), a.logdet().exp(), t.logdet(a).exp(), a.slogdet()[1].exp()):
        np.testing.assert_allclose(found.numpy(), np.linalg.det(A), rtol=1e-12)
    b = t.tensor(A[:, :2].copy())
    solved = np.linalg.solve(A, A[:, :2])
    factors, pivots = a.lu()
    for found in (
        t.lu_solve(b, factors, pivots), b.lu_solve(factors, pivots), t.linalg.lu_solve(factors, pivots, b),
        t.cholesky_solve(b, a.cholesky()), b.cholesky_solve(a.cholesky(upper=True), upper=True), t.linalg.solve(a, b),
    ):  # fmt: skip
        np.testing.assert_allclose(found.numpy(), solved, rtol=1e-10, atol=1e-12)


def test_lu_multiplies_to_its_matrix(t: Any) -> None:
    for shape in ((3, 3), (2, 5), (5, 2), (2, 3, 4)):
        a = t.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)
        p, lower, upper = t.linalg.lu(a)
        np.testing.assert_allclose((p @ lower @ upper).detach().numpy(), a.detach().numpy(), atol=1e-12)
        assert not p.requires_grad and lower.requires_grad and upper.requires_grad
        again = t.lu_unpack(LU_data=t.linalg.lu_factor(a).LU, LU_pivots=t.linalg.lu_factor(a).pivots)
        assert not again.P.requires_grad and again.L.tolist() == lower.tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t, a: t.linalg.inv(a), r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"),
        (lambda t, a: a.inverse(), r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"),
        (lambda t, a: t.linalg.solve(a, a), r"torch.linalg.solve: \(Batch element 1\): The solver failed"),
        (
            lambda t, a: t.linalg.cholesky(a),
            r"linalg.cholesky: \(Batch element 1\): .*minor of order 2 is not positive",
        ),
        (lambda t, a: t.cholesky(-a), r"cholesky: \(Batch element 0\): .*minor of order 1 is not positive"),
    ],
)
def test_a_matrix_without_inverse_or_factor(t: Any, call: Any, words: str) -> None:
    with pytest.raises(t.linalg.LinAlgError, match=words):
        call(t, t.tensor(SINGULAR)).sum().item()


def test_lu_factor_of_a_singular_matrix(t: Any) -> None:
    a = t.tensor(SINGULAR)
    with pytest.raises(RuntimeError, match=r"torch.linalg.lu_factor: \(Batch element 1\): U\[2,2\] is zero"):
        t.linalg.lu_factor(a).LU.sum().item()
    assert t.linalg.lu_factor_ex(a).info.tolist() == [0, 2]
    assert t.linalg.inv_ex(a).info.tolist() == [0, 2]
    assert t.linalg.det(a).tolist() == [1, 0]
    assert t.linalg.slogdet(a).logabsdet.tolist() == [0, -float("inf")]


def test_the_gradient_of_a_determinant_that_is_zero(session: Any) -> None:
    """It is the matrix of cofactors; PyTorch's is zero where no graph of it is asked for."""
    import gradwire as t

    a = t.tensor(np.diag([1.0, 2.0, 0.0]), requires_grad=True)
    for create_graph in (False, True):
        (found,) = t.autograd.grad(t.linalg.det(a), a, create_graph=create_graph)
        np.testing.assert_allclose(found.detach().numpy(), np.diag([0.0, 0.0, 2.0]), atol=1e-12)


def test_powers(t: Any) -> None:
    a = t.tensor(A)
    for n in (-3, -1, 0, 1, 2, 5, 8):
        np.testing.assert_allclose(t.linalg.matrix_power(a, n).numpy(), np.linalg.matrix_power(A, n), rtol=1e-10)
    assert t.matrix_power(t.tensor([[1, 1], [0, 1]]), 6).tolist() == [[1, 6], [0, 1]]
    assert a.matrix_power(1) is not a
    with pytest.raises(RuntimeError, match="linalg.matrix_power: A must be batches of square matrices"):
        t.linalg.matrix_power(t.ones(2, 3), 2)


def test_tensors_as_maps(t: Any) -> None:
    a = np.random.default_rng(1).standard_normal((2, 3, 6))
    np.testing.assert_allclose(t.linalg.tensorinv(t.tensor(a)).numpy(), np.linalg.tensorinv(a, 2), rtol=1e-9)
    b = a[..., 0]
    np.testing.assert_allclose(
        t.linalg.tensorsolve(t.tensor(a), t.tensor(b)).numpy(), np.linalg.tensorsolve(a, b), atol=1e-9
    )
    moved = np.moveaxis(a, -1, 0)
    np.testing.assert_allclose(
        t.linalg.tensorsolve(t.tensor(moved), t.tensor(b), dims=(0,)).numpy(), np.linalg.tensorsolve(a, b), atol=1e-9
    )


def test_factors_without_pivots(session: Any) -> None:
    """PyTorch has them on GPUs alone."""
    import gradwire as t

    p, lower, upper = t.linalg.lu(t.tensor(A), pivot=False)
    np.testing.assert_allclose((lower @ upper).numpy(), A, rtol=1e-12)
    assert p.tolist() == np.eye(3).tolist()
    assert t.linalg.lu_factor(t.tensor(A), pivot=False).pivots.tolist() == [1, 2, 3]


def test_one_matrix_solves_for_a_batch(t: Any) -> None:
    """A shared matrix is factored, or read, once for all right sides, in whatever axes they lie."""
    a, b = t.tensor(A, requires_grad=True), t.tensor(np.random.default_rng(2).standard_normal((4, 5, 3, 2)))
    wanted = np.linalg.solve(A, b.numpy())
    np.testing.assert_allclose(t.linalg.solve(a, b).detach().numpy(), wanted, rtol=1e-10, atol=1e-12)
    found = t.linalg.solve_triangular(a, b, upper=True)
    np.testing.assert_allclose(found.detach().numpy(), np.linalg.solve(np.triu(A), b.numpy()), rtol=1e-10, atol=1e-12)
    right = t.linalg.solve(a, b.mT, left=False)
    np.testing.assert_allclose(right.detach().numpy(), b.mT.numpy() @ np.linalg.inv(A), rtol=1e-9, atol=1e-12)
    found.sum().backward()
    assert tuple(a.grad.shape) == (3, 3)


def test_the_condition_of_singular_matrices_is_infinite(t: Any) -> None:
    for p in (1, -1, float("inf"), -float("inf"), "fro"):
        batch = t.stack([t.zeros(2, 2), t.ones(2, 2), t.eye(2)])
        found = t.linalg.cond(batch, p).tolist()
        assert found[:2] == [float("inf")] * 2
        assert found[2] == pytest.approx(2 if p == "fro" else 1)
