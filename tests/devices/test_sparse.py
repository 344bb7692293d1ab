"""Sparse tensors on a second device."""

from __future__ import annotations

import gradwire as gw
from gradwire.session import Session


def test_a_sparse_tensor_moves_with_its_places_and_gradients_come_back(fleet: list[Session]) -> None:
    values = gw.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = gw.sparse_coo_tensor([[0, 1, 1], [1, 0, 0]], values, (2, 2)).to("cpu:1")
    assert (x.is_sparse, str(x.device), x.session) == (True, "cpu:1", fleet[1])
    found = gw.sparse.mm(x.coalesce(), gw.full((2, 2), 2.0, device="cpu:1"))
    assert found.session is fleet[1]
    found.sum().backward()
    assert values.grad is not None
    assert values.grad.session is fleet[0]
    assert values.grad.tolist() == [4, 4, 4]


def test_a_sparse_tensor_is_made_where_it_is_asked_for(fleet: list[Session]) -> None:
    x = gw.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2), device="cpu:1")
    dense = gw.eye(2, device="cpu:1")
    made = [
        x, gw.sparse_coo_tensor(size=(2, 2), device="cpu:1"), x @ x, x * dense, dense + x, x.sum(0), gw.sparse.softmax(x, 1),
        gw.zeros_like(x), x.index_select(0, gw.tensor([1], device="cpu:1")), dense.to_sparse(), gw.cat([x, x]), x[0], x.to_dense(),
    ]  # fmt: skip
    assert {tensor.session for tensor in made} == {fleet[1]}
    assert "device='cpu:1'" in repr(x)
    assert (x @ x).to_dense().tolist() == [[2, 0], [0, 2]]
