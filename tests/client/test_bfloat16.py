"""bfloat16: no sample record has it, since numpy lacks it. Values, gradients, updates and files are compared with PyTorch's."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire_protocol import limits
from gradwire_protocol.dtypes import bfloat16
from gradwire_protocol.meta import Meta
from gradwire_server.backend import open_backend
from gradwire_server.engine import Engine

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

# Eight bits: PyTorch rounds some results once more on their way.
RTOL, ATOL = 2e-2, 1e-2


def both(*shapes: tuple[int, ...], positive: bool = False) -> tuple[list[Any], list[Any]]:
    """Return the same bfloat16 tensors of gradwire and of PyTorch."""
    rng = np.random.default_rng(0)
    drawn = [torch.tensor(rng.standard_normal(shape)).to(torch.bfloat16) for shape in shapes]
    theirs = [x.abs() + 0.5 if positive else x for x in drawn]
    return [gw.from_torch(x) for x in theirs], theirs


def agree(ours: Any, theirs: Any) -> None:
    """Compare tensors of one dtype, alone or in tuples."""
    if not isinstance(theirs, torch.Tensor):
        for one, other in zip(ours, theirs, strict=True):
            agree(one, other)
        return
    assert f"torch.{ours.dtype.name}" == str(theirs.dtype)
    torch.testing.assert_close(gw.to_torch(ours), theirs, rtol=RTOL, atol=ATOL, check_stride=False)


UNARY: list[Callable[[Any, Any], Any]] = [
    lambda t, x: x.exp(), lambda t, x: x.log(), lambda t, x: x.rsqrt(), lambda t, x: x.tanh(), lambda t, x: x.sigmoid(),
    lambda t, x: x.relu(), lambda t, x: -x, lambda t, x: x + 1, lambda t, x: 2.5 * x, lambda t, x: x**2, lambda t, x: x > 1,
    lambda t, x: x.sum(), lambda t, x: x.mean(1), lambda t, x: x.var(0), lambda t, x: x.amax(1), lambda t, x: x.cumsum(1),
    lambda t, x: x.max(1), lambda t, x: x.sort(1)[0], lambda t, x: x.softmax(1), lambda t, x: x.logsumexp(1),
    lambda t, x: x.sum(dtype=t.float32), lambda t, x: x.float().sum(dtype=t.bfloat16), lambda t, x: x.to(t.int64),
    lambda t, x: x.half(), lambda t, x: x + x.half(), lambda t, x: x + x.double().sum(), lambda t, x: x[:, 1:3].t(),
    lambda t, x: t.cat((x, x.float())), lambda t, x: t.stack((x, x)), lambda t, x: x.clamp(0.6, 0.9),
    lambda t, x: t.where(x > 1, x, 0.0), lambda t, x: x.index_select(1, t.tensor([2, 0])), lambda t, x: t.nn.functional.gelu(x),
    lambda t, x: t.nn.functional.layer_norm(x, (6,)), lambda t, x: x @ x.t(), lambda t, x: x.norm(),
    lambda t, x: x.to(t.complex64), lambda t, x: t.nn.functional.cross_entropy(x, t.tensor([0, 1, 2, 3])),
    lambda t, x: t.ones_like(x), lambda t, x: x.new_full((2,), 3),
    lambda t, x: t.arange(4, dtype=t.bfloat16), lambda t, x: t.full((2,), 0.1, dtype=t.bfloat16),
    lambda t, x: x.masked_fill(x > 1, -1), lambda t, x: x.split(3, 1), lambda t, x: x.expand(2, 4, 6).reshape(8, 6),
    lambda t, x: t.nn.functional.one_hot(x.argmax(1), 6),
]  # fmt: skip


@pytest.mark.parametrize("function", UNARY)
def test_forward(session: Session, function: Callable[[Any, Any], Any]) -> None:
    (ours,), (theirs,) = both((4, 6), positive=True)
    agree(function(gw, ours), function(torch, theirs))


SEVERAL: list[tuple[tuple[tuple[int, ...], ...], Callable[..., Any]]] = [
    (((2, 3, 4), (2, 4, 5)), lambda t, a, b: a.bmm(b)),
    (((5,), (3, 4), (4, 5)), lambda t, a, b, c: t.addmm(a, b, c)),
    (((2, 3, 8, 8), (4, 3, 3, 3), (4,)), lambda t, x, w, b: t.nn.functional.conv2d(x, w, b, padding=1)),
    (((2, 4, 5, 8), (2, 4, 6, 8), (2, 4, 6, 8)), lambda t, q, k, v: t.nn.functional.scaled_dot_product_attention(q, k, v)),
    (((3, 4), (5, 4), (5,)), lambda t, x, w, b: t.nn.functional.linear(x, w, b)),
    (((7, 3),), lambda t, w: t.nn.functional.embedding(t.tensor([1, 5, 1]), w)),
    (((4, 3, 6), (3,), (3,)), lambda t, x, m, v: t.nn.functional.batch_norm(x, m.detach(), v.detach().abs(), training=False)),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "function"), SEVERAL)
def test_forward_and_gradients_of_several(session: Session, shapes: Any, function: Callable[..., Any]) -> None:
    ours, theirs = both(*shapes)
    for x in (*ours, *theirs):
        x.requires_grad_(True)
    left, right = function(gw, *ours), function(torch, *theirs)
    agree(left, right)
    if shapes[-1] == (3,):
        return
    left.sum().backward()
    right.sum().backward()
    agree([x.grad for x in ours], [x.grad for x in theirs])


def test_writes_reach_the_memory_that_views_share(session: Session) -> None:
    (ours,), (theirs,) = both((4, 6))
    for x in (ours, theirs):
        x[1] = 3
        x[:, 2].add_(1.5)
        x.t().mul_(2)
        x.view(-1)[::5].copy_(x.view(-1)[1::5].float())
        x[x > 4] = 0
    agree(ours, theirs)


def test_it_promotes_as_in_pytorch(session: Session) -> None:
    one = gw.ones(2, dtype=gw.bfloat16)
    assert (one + one.half()).dtype is gw.float32
    assert (one + gw.tensor(1.0)).dtype is gw.bfloat16
    assert (one + 1.5).dtype is gw.bfloat16
    assert (one * gw.ones(2, dtype=gw.int64)).dtype is gw.bfloat16
    assert (one + 1j).dtype is gw.complex64


def test_values_on_the_host(session: Session) -> None:
    x = gw.tensor([1.1, 2.0, float("inf")], dtype=gw.bfloat16)
    assert x.tolist() == [1.1015625, 2.0, float("inf")]
    assert (x[0].item(), float(x[1]), bool(x[0])) == (1.1015625, 2.0, True)
    assert repr(x) == repr(torch.tensor([1.1, 2.0, float("inf")], dtype=torch.bfloat16)).replace("torch.", "gradwire.")
    for function in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(TypeError, match="^Got unsupported ScalarType BFloat16$"):
            function()
    assert gw.from_numpy(np.array([1.1], bfloat16.numpy)).dtype is gw.bfloat16
    assert (x.type(), x.element_size()) == ("torch.BFloat16Tensor", 2)
    theirs = torch.finfo(torch.bfloat16)
    assert [getattr(gw.finfo(gw.bfloat16), name) for name in ("bits", "eps", "max", "tiny", "resolution", "dtype")] == [
        getattr(theirs, name) for name in ("bits", "eps", "max", "tiny", "resolution", "dtype")
    ]


def test_uniform_numbers_stay_below_one(session: Session) -> None:
    drawn = gw.rand(5000, dtype=gw.bfloat16)
    assert drawn.max().item() < 1
    assert drawn.min().item() >= 0
    assert gw.empty(5000, dtype=gw.bfloat16).uniform_(2, 3).float().mean().item() == pytest.approx(2.5, abs=0.02)


@pytest.mark.parametrize("numel", [3, limits.INLINE_BYTES])
def test_files_and_the_wire_keep_every_bit(session: Session, tmp_path: Path, numel: int) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 15, numel).astype(np.uint16)
    theirs = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16).nan_to_num()
    ours = gw.from_torch(theirs)
    assert torch.equal(gw.to_torch(ours), theirs)
    file = io.BytesIO()
    gw.save([ours], file)
    file.seek(0)
    assert torch.equal(torch.load(file)[0], theirs)
    gw.save({"x": ours}, tmp_path / "x.safetensors")
    assert torch.equal(gw.to_torch(gw.load(tmp_path / "x.safetensors")["x"]), theirs)


def trained(t: Any, optimizer: str, state: dict[str, Any], data: Any) -> list[Any]:
    """Train a small network for three steps in bfloat16."""
    model = t.nn.Sequential(t.nn.Linear(4, 8), t.nn.Tanh(), t.nn.Linear(8, 2)).to(t.bfloat16)
    model.load_state_dict(state)
    update = getattr(t.optim, optimizer)(model.parameters(), lr=0.01)
    for _ in range(3):
        update.zero_grad()
        (model(data) ** 2).mean().backward()
        update.step()
    return [*model.parameters(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_training(session: Session, optimizer: str) -> None:
    (ours,), (theirs,) = both((6, 4))
    torch.manual_seed(0)
    state = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).bfloat16().state_dict()
    agree(trained(gw, optimizer, gw.from_torch(state), ours), trained(torch, optimizer, state, theirs))


def test_kernels_run_under_the_strict_namespace() -> None:
    """What widens and rounds may use nothing that a GPU lacks."""
    engine = Engine(open_backend("strict"))
    with engine.backend.active():
        host = np.arange(6).reshape(2, 3).astype(bfloat16.numpy)
        x = engine.new(engine.backend.from_host(host), Meta.of((2, 3), bfloat16))
        y = (x @ x.t()).exp().add_(x.sum())
    assert engine.backend.to_host(y.data).dtype == bfloat16.numpy
