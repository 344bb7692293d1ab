"""Sparse tensors as a user meets them: made, joined, multiplied, summed, differentiated, printed; and what is refused."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import gradwire

# PyTorch says once that it does not check places, that FloatTensor is old, and that products use another layout inside.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Sparse invariant checks", "ignore:torch.sparse.SparseTensor", "ignore:Sparse CSR tensor support"
)

PLACES = [[0, 1, 1, 0, 2], [2, 0, 2, 2, 3]]  # (0, 2) twice
VALUES = [3.0, 4.0, -5.0, 1.0, 0.5]
DENSE = np.array([[0, 0, 4, 0], [4, 0, -5, 0], [0, 0, 0, 0.5]])
WEIGHT = np.arange(8.0).reshape(4, 2) / 3 - 1


def made(t: Any, *, requires_grad: bool = False) -> tuple[Any, Any]:
    """Return a sparse matrix with a double place, and its values."""
    values = t.tensor(VALUES, dtype=t.float64, requires_grad=requires_grad)
    return t.sparse_coo_tensor(t.tensor(PLACES), values, (3, 4)), values


def shown(value: Any) -> Any:
    """Return what a sparse or dense tensor holds."""
    if not value.is_sparse:
        return value.tolist()
    value = value.detach()
    return tuple(value.shape), value.is_coalesced(), value._indices().tolist(), value._values().tolist()


def test_what_it_holds(t: Any) -> None:
    x, _ = made(t)
    assert (x.is_sparse, x.layout, x.shape, x._nnz()) == (True, t.sparse_coo, (3, 4), 5)
    assert (x.sparse_dim(), x.dense_dim(), x.is_coalesced(), x.requires_grad) == (2, 0, False, False)
    assert shown(x.coalesce()) == ((3, 4), True, [[0, 1, 1, 2], [2, 0, 2, 3]], [4.0, 4.0, -5.0, 0.5])
    assert x.coalesce().indices().shape == (2, 4)
    np.testing.assert_array_equal(x.to_dense().numpy(), DENSE)
    with pytest.raises(RuntimeError, match="Cannot get values on an uncoalesced tensor, please call .coalesce"):
        x.values()


def test_slices_that_are_kept_whole(t: Any) -> None:
    x = t.tensor(DENSE).to_sparse(1)
    assert (x.sparse_dim(), x.dense_dim(), tuple(x.values().shape)) == (1, 1, (3, 4))
    assert x.transpose(0, 0).shape == (3, 4)
    np.testing.assert_array_equal(x.to_dense().numpy(), DENSE)
    np.testing.assert_array_equal(x.sum(1).to_dense().numpy(), DENSE.sum(1))
    y = t.sparse_coo_tensor([[1, 1]], t.tensor([[1.0, 2], [3, 4]]), (3, 2)).coalesce()
    assert shown(y) == ((3, 2), True, [[1]], [[4.0, 6.0]])


def test_sizes_are_found_from_the_places(t: Any) -> None:
    assert t.sparse_coo_tensor([[0, 1], [1, 0]], [1, 2]).shape == (2, 2)
    assert t.sparse_coo_tensor((2, 3))._nnz() == t.sparse_coo_tensor(size=(2, 3))._nnz() == 0
    old = t.sparse.FloatTensor(t.LongTensor([[0], [1]]), t.FloatTensor([2]), t.Size([2, 2]))
    assert old.to_dense().tolist() == [[0, 2], [0, 0]]


PRODUCTS = {
    "mm": lambda t, x, w: t.mm(x, w),
    "sparse.mm": lambda t, x, w: t.sparse.mm(x, w),
    "spmm": lambda t, x, w: t.spmm(x, w),
    "matmul": lambda t, x, w: x @ w,
    "from the right": lambda t, x, w: (w.t() @ x.t()).t(),
    "addmm": lambda t, x, w: t.sparse.addmm(w[:3] * 0, x, w, beta=2, alpha=1),
    "mv": lambda t, x, w: t.stack([t.mv(x, w[:, 0]), x @ w[:, 1]], 1),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_and_their_gradients(t: Any, name: str) -> None:
    for coalesced in (False, True):
        x, values = made(t, requires_grad=True)
        w = t.tensor(WEIGHT, requires_grad=True)
        found = PRODUCTS[name](t, x.coalesce() if coalesced else x, w)
        np.testing.assert_allclose(found.detach().numpy(), DENSE @ WEIGHT)
        g = np.arange(6.0).reshape(3, 2)
        found.backward(t.tensor(g))
        np.testing.assert_allclose(w.grad.numpy(), DENSE.T @ g)
        np.testing.assert_allclose(values.grad.numpy(), (g @ WEIGHT.T)[tuple(PLACES)])


def test_a_product_of_sparse_matrices_is_sparse(t: Any) -> None:
    x, values = made(t, requires_grad=True)
    found = t.sparse.mm(x.coalesce(), x.coalesce().t())
    assert found.is_sparse
    np.testing.assert_allclose(found.to_dense().detach().numpy(), DENSE @ DENSE.T)
    found.to_dense().sum().backward()
    # Of sum(A @ A.T) by A: twice the sums of the columns, at the places of A.
    np.testing.assert_allclose(values.grad.numpy(), 2 * DENSE.sum(0)[PLACES[1]])


def test_second_gradients(session: Any) -> None:
    def product(values: Any, w: Any) -> Any:  # PyTorch does not differentiate it twice
        return gradwire.sparse.mm(gradwire.sparse_coo_tensor(PLACES, values, (3, 4)), w)

    values = gradwire.tensor(VALUES, dtype=gradwire.float64, requires_grad=True)
    inputs = values, gradwire.tensor(WEIGHT, requires_grad=True)
    assert gradwire.autograd.gradcheck(product, inputs)
    assert gradwire.autograd.gradgradcheck(product, inputs)


def test_arithmetic_keeps_what_is_sparse_sparse(t: Any) -> None:
    x = made(t)[0].coalesce()
    d = t.tensor(np.arange(12.0).reshape(3, 4))
    for found, wanted in (
        (x * 2, DENSE * 2), (x / 2, DENSE / 2), (-x, -DENSE), (x + x, DENSE * 2), (x - x * 3, DENSE * -2),
        (x * d, DENSE * d.numpy()), (x * x, DENSE**2), (x.pow(2), DENSE**2), (x.abs(), abs(DENSE)), (x.sin(), np.sin(DENSE)),
        (x // 2, DENSE // 2), (t.div(x, 2, rounding_mode="trunc"), np.trunc(DENSE / 2)), (x.T, DENSE.T),
        (t.cat([x, x], 1), np.concatenate([DENSE, DENSE], 1)), (t.stack([x, x]), np.stack([DENSE, DENSE])),
        (x.index_select(1, t.tensor([2, 0])), DENSE[:, [2, 0]]), (x[1], DENSE[1]), (x[..., 2], DENSE[:, 2]),
    ):  # fmt: skip
        assert found.is_sparse
        np.testing.assert_allclose(found.to_dense().numpy(), wanted)
    assert not (d + x).is_sparse
    np.testing.assert_allclose((d - x).numpy(), d.numpy() - DENSE)
    assert x.norm().item() == pytest.approx(np.linalg.norm(DENSE))


def test_sums(t: Any) -> None:
    x, values = made(t, requires_grad=True)
    assert t.sparse.sum(x).item() == x.sum().item() == DENSE.sum()
    rows = t.sparse.sum(x, dim=1)
    assert shown(rows) == ((3,), True, [[0, 1, 2]], [4.0, -1.0, 0.5])
    assert shown(t.sparse.sum(x, [0, 1])) == DENSE.sum()
    (rows.to_dense() * t.tensor([1.0, 2, 3], dtype=t.float64)).sum().backward()
    assert values.grad.tolist() == [1, 2, 2, 1, 3]


def test_softmax_takes_what_is_not_kept_as_minus_infinity(t: Any) -> None:
    x, values = made(t, requires_grad=True)
    found = t.sparse.softmax(x, 1)
    e = np.exp([4.0, -5.0])
    np.testing.assert_allclose(found.values().detach().numpy(), [1, *(e / e.sum()), 1])
    logs = t.sparse.log_softmax(x, 0).to_dense()
    e = np.exp(9.0)  # column 2 holds 4 and -5
    (logs * t.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=t.float64)).sum().backward()
    np.testing.assert_allclose(values.grad.numpy(), [1 / (1 + e), 0, -1 / (1 + e), 1 / (1 + e), 0], atol=1e-12)


def test_a_sparse_leaf_has_a_sparse_gradient(t: Any) -> None:
    x = t.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2), requires_grad=True)
    assert x.is_leaf
    (found,) = t.autograd.grad(t.sparse.mm(x, t.ones(2, 2)).sum(), x)
    t.sparse.mm(x, t.ones(2, 2)).sum().backward()
    for gradient in (found, x.grad):
        assert gradient.is_sparse
        assert gradient.to_dense().tolist() == [[0, 2], [2, 0]]


def test_dense_to_sparse_is_differentiable(t: Any) -> None:
    d = t.tensor(DENSE, requires_grad=True)
    (d.to_sparse().to_dense() * 3).sum().backward()
    np.testing.assert_array_equal(d.grad.numpy(), 3 * (DENSE != 0))
    x = made(t)[0].coalesce()
    assert t.ones(3, 4).sparse_mask(x)._values().tolist() == [1, 1, 1, 1]


def test_a_module_with_a_sparse_buffer(t: Any) -> None:
    layer = t.nn.Linear(2, 2)
    layer.register_buffer("adjacency", t.eye(3).to_sparse())
    assert layer.to("cpu").double().adjacency.dtype is t.float64
    assert "adjacency" in layer.state_dict()
    twin = copy.deepcopy(layer)
    assert twin.load_state_dict(layer.state_dict())
    assert twin.adjacency.is_sparse


def test_it_prints_as_in_pytorch(t: Any) -> None:
    x = t.sparse_coo_tensor(t.tensor(PLACES), t.tensor(VALUES, requires_grad=True), (3, 4))
    assert repr(x.coalesce()) == (
        "tensor(indices=tensor([[0, 1, 1, 2],\n"
        "                       [2, 0, 2, 3]]),\n"
        "       values=tensor([ 4.0000,  4.0000, -5.0000,  0.5000]),\n"
        "       size=(3, 4), nnz=4, layout=torch.sparse_coo, grad_fn=<CoalesceBackward0>)"
    )
    assert repr(t.eye(2).to_sparse()) == (
        "tensor(indices=tensor([[0, 1],\n"
        "                       [0, 1]]),\n"
        "       values=tensor([1., 1.]),\n"
        "       size=(2, 2), nnz=2, layout=torch.sparse_coo)"
    )


REFUSED: dict[str, tuple[type[Exception], Any]] = {
    "coalesce expected sparse coordinate tensor layout but got Strided": (RuntimeError, lambda t, x: t.ones(2).coalesce()),
    "add.sparse, dense. is not supported. Use add.dense, sparse. instead": (RuntimeError, lambda t, x: x + t.ones(3, 4)),
    "self has size ..  ?while other": (RuntimeError, lambda t, x: 1 - x),
    "Sparse division requires a scalar or zero-dim dense tensor divisor": (RuntimeError, lambda t, x: x / x),
    "Could not run 'aten::exp' with arguments from the 'SparseCPU' backend": (NotImplementedError, lambda t, x: x.exp()),
    "reshape is not implemented for sparse tensors": (RuntimeError, lambda t, x: x.reshape(4, 3)),
    "expand is unsupported for Sparse tensors": (RuntimeError, lambda t, x: x.expand(2, 3, 4)),
    "with arguments from the 'SparseCPU' backend": (NotImplementedError, lambda t, x: t.rand_like(x)),
    "can't convert Sparse layout tensor to numpy. Use Tensor.to_dense": (TypeError, lambda t, x: x.numpy()),
    "cannot raise to zeroth power": (RuntimeError, lambda t, x: x**0),
    "Argument #3 .dense.: Expected dim 0 size 4, got 3": (RuntimeError, lambda t, x: x @ t.ones(3, 2, dtype=t.float64)),
    "expected scalar type Double but found Float": (RuntimeError, lambda t, x: t.mm(x, t.ones(4, 2))),
    "same nnz, but got nnz from indices: 2, nnz from values: 1": (
        RuntimeError, lambda t, x: t.sparse_coo_tensor([[0, 1], [1, 0]], [1.0], (2, 2)),
    ),
    "size is inconsistent with indices: for dim 0, size is 2 but found index 5": (
        RuntimeError, lambda t, x: t.sparse_coo_tensor([[5], [1]], [1.0], (2, 2), check_invariants=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(t: Any, words: str) -> None:
    kind, act = REFUSED[words]
    with pytest.raises(kind, match=words):
        act(t, made(t)[0])


def test_what_only_gradwire_refuses(session: Any) -> None:
    x = made(gradwire)[0]
    with pytest.raises(TypeError, match="sparse tensors are not saved"):
        gradwire.save({"x": x}, io.BytesIO())
    with pytest.raises(
        NotImplementedError, match=r"to_sparse makes torch.sparse_coo tensors; got layout=torch.sparse_csr"
    ):
        gradwire.ones(2).to_sparse(layout=gradwire.sparse_csr)
    with pytest.raises(RuntimeError, match="index 14 is out of bounds"):
        gradwire.sparse_coo_tensor([[7], [0]], [1.0], (2, 2)).to_dense().sum().item()


def test_a_place_outside_is_found_where_checks_are_on(t: Any) -> None:
    with t.sparse.check_sparse_tensor_invariants():
        assert t.sparse.check_sparse_tensor_invariants.is_enabled()
        with pytest.raises(RuntimeError, match="found negative index -1 for dim 1"):
            t.sparse_coo_tensor([[0], [-1]], [1.0], (2, 2))
    assert not t.sparse.check_sparse_tensor_invariants.is_enabled()


def test_a_dense_call_pays_nothing_and_a_sparse_one_leaves_no_signature(session: Any) -> None:
    x, w = made(gradwire)[0].coalesce(), gradwire.tensor(WEIGHT)
    gradwire.mm(x, w)
    before = len(session.signatures)
    for _ in range(3):
        gradwire.mm(x, w)
    assert len(session.signatures) == before


def test_a_compiled_function_follows_another_sparse_argument(session: Any) -> None:
    total = gradwire.compile(lambda x, w: gradwire.sparse.mm(x, w).sum())
    w = gradwire.ones(2, 2)
    for scale in (1.0, 2.0, 3.0, 4.0):
        assert total((gradwire.eye(2) * scale).to_sparse(), w).item() == 4 * scale
