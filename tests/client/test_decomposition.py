"""Decompositions as `linalg` and the older names give them, against PyTorch (see test_module.py)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire

Array = np.ndarray[Any, Any]
parity = pytest.mark.parity
NAN, INF = float("nan"), float("inf")


def draws(*sizes: int, seed: int = 0, is_complex: bool = False) -> Array:
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(sizes)
    return real + 1j * rng.standard_normal(sizes) if is_complex else real


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-7, atol=1e-9)


# ---------------------------------------------------------------- what values alone tell
@pytest.mark.parametrize("name", ["svd", "svdvals", "eigh", "eigvalsh", "pinv", "matrix_rank", "cond"])
def test_what_is_not_finite_has_no_decomposition(t: Any, name: str) -> None:
    with pytest.raises(t.linalg.LinAlgError, match="The algorithm failed to converge because the input matrix"):
        found = getattr(t.linalg, name)(t.full((3, 3), NAN))
        (found[0] if isinstance(found, tuple) else found).tolist()


def test_what_is_not_finite_has_no_eigenvalues(t: Any) -> None:
    with pytest.raises(RuntimeError, match=r"torch.linalg.eig: input tensor should not contain infs or NaNs."):
        t.linalg.eig(t.full((2, 2), INF))[0].tolist()


def test_gels_needs_full_rank() -> None:
    # PyTorch's LAPACK divides by a pivot that is zero but for rounding; ours is zero.
    with pytest.raises(gradwire.linalg.LinAlgError, match=r"does not have full rank \(error code: 2\)"):
        gradwire.linalg.lstsq(gradwire.tensor([[1.0, 0], [0, 0]]), gradwire.ones(2), driver="gels").solution.tolist()


@pytest.mark.parametrize("name", ["svd", "eigh", "eig"])
def test_a_loss_of_phases_has_no_gradient(t: Any, name: str) -> None:
    x = t.tensor(draws(3, 3, is_complex=True)).requires_grad_()
    vectors = getattr(t.linalg, name)(x)[0 if name == "svd" else 1]
    with pytest.raises(RuntimeError, match="in the complex case are specified up to multiplication by e"):
        vectors.real.sum().backward()
        x.grad.tolist()


@pytest.mark.parametrize(
    ("mode", "words"),
    [("r", "depends on Q, which is not computed"), ("complete", "not differentiable when mode='complete' and nrows")],
)
def test_qr_without_a_gradient(t: Any, mode: str, words: str) -> None:
    x = t.tensor(draws(4, 2)).requires_grad_()
    with pytest.raises(RuntimeError, match=words):
        t.linalg.qr(x, mode).R.sum().backward()
        x.grad.tolist()


def test_drivers_of_svd(t: Any) -> None:
    for name in ("svd", "svdvals"):
        with pytest.raises(RuntimeError, match="keyword argument `driver=` is only supported on CUDA inputs"):
            getattr(t.linalg, name)(t.eye(2), driver="gesvd")


# ---------------------------------------------------------------- forms
@pytest.mark.filterwarnings("ignore:torch.qr is deprecated")
def test_named_results(t: Any) -> None:
    a = t.tensor(draws(4, 2))
    square = t.tensor(draws(3, 3))
    forms = [
        (t.linalg.svd(a), "linalg_svd", ("U", "S", "Vh")),
        (a.svd(), "svd", ("U", "S", "V")),
        (t.linalg.eigh(square), "linalg_eigh", ("eigenvalues", "eigenvectors")),
        (t.linalg.eig(square), "linalg_eig", ("eigenvalues", "eigenvectors")),
        (t.linalg.qr(a), "linalg_qr", ("Q", "R")),
        (a.qr(), "qr", ("Q", "R")),
        (t.geqrf(a), "geqrf", ("a", "tau")),
        (t.linalg.lstsq(a, a), "linalg_lstsq", ("solution", "residuals", "rank", "singular_values")),
    ]
    for found, name, fields in forms:
        assert type(found).__name__ == name
        assert all(getattr(found, field) is value for field, value in zip(fields, found, strict=True))


@pytest.mark.filterwarnings("ignore:torch.qr is deprecated")
def test_old_names(t: Any) -> None:
    a = t.tensor(draws(4, 2, is_complex=True))
    u, s, v = a.svd()
    close((u * s) @ v.mH, a.numpy())
    assert [tuple(x.shape) for x in t.svd(a, some=False)] == [(4, 4), (2,), (2, 2)]
    bare = t.svd(a, compute_uv=False)
    assert [tuple(x.shape) for x in bare] == [(4, 4), (2,), (2, 2)]
    assert not bare.U.abs().sum().item()
    q, r = a.qr(some=False)
    close(q @ r, a.numpy())
    close(t.pinverse(a), np.linalg.pinv(a.numpy()))
    close(a.pinverse(), np.linalg.pinv(a.numpy()))
    assert not (t.orgqr(*t.geqrf(a)) - t.linalg.householder_product(*a.geqrf())).abs().sum().item()


@parity
def test_householder_vectors_are_pytorch_s() -> None:
    torch = pytest.importorskip("torch")
    for shape, is_complex in itertools.product(((4, 2), (2, 3, 3)), (False, True)):
        a = draws(*shape, is_complex=is_complex)
        ours, theirs = gradwire.geqrf(gradwire.tensor(a)), torch.geqrf(torch.tensor(a))
        for one, other in zip(ours, theirs, strict=True):
            close(one, other.numpy())
        for left, transpose in itertools.product((True, False), (True, False)):
            c = draws(*shape[:-2], *((shape[-2], 3) if left else (3, shape[-2])), seed=1, is_complex=is_complex)
            found = gradwire.ormqr(*ours, gradwire.tensor(c), left, transpose)
            close(found, torch.ormqr(*theirs, torch.tensor(c), left, transpose).numpy())


@pytest.mark.filterwarnings("ignore:An output with one or more elements was resized")
def test_tolerances(t: Any) -> None:
    a = t.tensor(np.diag([4.0, 1.0, 0.1]))
    for form, inverse, rank in (
        ({}, [0.25, 1, 10], 3),
        ({"rtol": 0.1}, [0.25, 1, 0], 2),
        ({"atol": 0.5}, [0.25, 1, 0], 2),
        ({"atol": 0.01, "rtol": 0.5}, [0.25, 0, 0], 1),
        ({"atol": t.tensor(2.0), "hermitian": True}, [0.25, 0, 0], 1),
    ):
        close(t.linalg.pinv(a, **form), np.diag(inverse))
        assert t.linalg.matrix_rank(a, **form).item() == rank
    close(t.linalg.pinv(a, 0.1), np.diag([0.25, 1, 0]))
    close(t.linalg.pinv(a, t.tensor([0.1, 0.9])), np.stack([np.diag([0.25, 1, 0]), np.diag([0.25, 0, 0])]))
    assert t.linalg.matrix_rank(a, 0.5).item() == 2
    assert t.linalg.matrix_rank(a, tol=t.tensor([0.5, 2.0])).tolist() == [2, 1]
    with pytest.raises(TypeError):
        t.linalg.pinv(a, 0.1, rtol=0.1)


def test_what_lstsq_returns(t: Any) -> None:
    a, b = draws(4, 2), draws(4, 3, seed=1)
    residuals = ((a @ np.linalg.pinv(a) @ b - b) ** 2).sum(0)
    for driver, sizes in (
        (None, ((2, 3), (0,), (), (0,))),
        ("gels", ((2, 3), (3,), (0,), (0,))),
        ("gelsd", ((2, 3), (3,), (), (2,))),
    ):
        found = t.linalg.lstsq(t.tensor(a), t.tensor(b), driver=driver)
        assert tuple(tuple(x.shape) for x in found) == sizes
        close(found.solution, np.linalg.pinv(a) @ b)
        if sizes[1] == (3,):
            close(found.residuals, residuals)
    deficient = t.linalg.lstsq(t.ones(3, 2), t.ones(3, 1), driver="gelss")
    assert (deficient.rank.item(), tuple(deficient.residuals.shape)) == (1, (0,))
    close(deficient.solution, np.full((2, 1), 0.5))


def test_low_rank(t: Any) -> None:
    a, mean = draws(2, 9, 3) @ draws(3, 5, seed=1), draws(5, seed=2)
    for matrix in (t.tensor(a), t.tensor(a).mT):
        u, s, v = t.svd_lowrank(matrix, 3)
        close((u * s.unsqueeze(-2)) @ v.mH, matrix.numpy())
    u, s, v = t.svd_lowrank(t.tensor(a), 4, M=t.tensor(mean))
    close((u * s.unsqueeze(-2)) @ v.mH, a - mean)
    found = t.pca_lowrank(t.tensor(a), 3)[1]
    close(found, np.linalg.svd(a - a.mean(-2, keepdims=True), compute_uv=False)[..., :3])
    with pytest.raises(ValueError, match=r"q\(=6\) must be non-negative integer and not greater than min\(m, n\)=5"):
        t.pca_lowrank(t.tensor(a), 6)


# ---------------------------------------------------------------- gradients that no phase is in
def _along(t: Any, *sizes: int) -> Any:
    return t.tensor(draws(*sizes, seed=5, is_complex=True))


def _of_svd(t: Any, x: Any) -> Any:
    u, s, vh = t.linalg.svd(x, full_matrices=False)
    return ((u @ vh) * _along(t, *x.shape)).abs().sum() + (s**2).sum()


def _of_qr(t: Any, x: Any) -> Any:
    return sum((part * _along(t, *part.shape)).abs().sum() for part in t.linalg.qr(x))


def _of_eigh(t: Any, x: Any) -> Any:
    values, v = t.linalg.eigh(x + x.mH)
    return (values**3).sum() + (((v * values.exp()) @ v.mH) * _along(t, *x.shape)).abs().sum()


def _of_eig(t: Any, x: Any) -> Any:
    values, v = t.linalg.eig(x)
    return (v.abs().sum(0) * values.abs()).sum()


def _of_pinv(t: Any, x: Any) -> Any:
    return (t.linalg.pinv(x) * _along(t, x.shape[1], x.shape[0])).abs().sum()


def _of_reflectors(t: Any, x: Any) -> Any:
    return t.linalg.householder_product(x, x[0] * 0.5).abs().sum()


@parity
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (_of_svd, ((4, 2), (2, 4), (3, 3))), (_of_qr, ((4, 2), (2, 4), (3, 3))), (_of_pinv, ((4, 2), (2, 4), (3, 3))),
        (_of_reflectors, ((4, 2), (3, 3))), (_of_eigh, ((3, 3),)), (_of_eig, ((3, 3),)),
        (lambda t, x: (t.linalg.svdvals(x) ** 3).sum(), ((4, 2),)),
        (lambda t, x: (t.linalg.eigvals(x).abs() ** 2).sum(), ((3, 3),)),
        (lambda t, x: (t.linalg.eigvalsh(x) ** 3).sum(), ((3, 3),)),
    ],
)  # fmt: skip
def test_gradients(
    session: Any, function: Callable[[Any, Any], Any], shapes: tuple[tuple[int, int], ...], is_complex: bool
) -> None:
    torch = pytest.importorskip("torch")
    for shape in shapes:
        found = []
        for t in (gradwire, torch):
            x = t.tensor(draws(*shape, is_complex=is_complex)).requires_grad_()
            function(t, x).backward()
            found.append(x.grad)
        close(found[0], found[1].numpy())


def test_equal_values_have_gradients(session: Any) -> None:
    """Of equal singular values or eigenvalues only those of the vectors are undefined; PyTorch's are NaN with them."""
    for name, place in (("svd", 1), ("eigh", 0)):
        x = gradwire.eye(3, dtype=gradwire.float64).requires_grad_()
        getattr(gradwire.linalg, name)(x)[place].sum().backward()
        assert x.grad is not None
        close(x.grad, np.eye(3))
