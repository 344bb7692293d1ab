"""`autocast`: dtypes and values of every listed op, of networks and of their gradients, on both."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire import autocasting
from gradwire.autocast_lists import LISTS, Policy
from gradwire.session import Session
from gradwire.utils.checkpoint import checkpoint
from tests.client.graphs import refusal


def values(t: Any, *shape: int, dtype: Any = None, seed: int = 0) -> Any:
    drawn = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return t.tensor(drawn.tolist()).to(dtype or t.float32)


def numbers(x: Any) -> Any:
    return x.detach().float().numpy()


# ---------------------------------------------------------------- the lists of the CPU
Case = Callable[[Any, Any], Any]
CASES: dict[str, Case] = {
    "mm": lambda t, x: x.mm(x.t()),
    "matmul": lambda t, x: x @ x.t(),
    "vector matmul": lambda t, x: x @ x[0],
    "mv": lambda t, x: x.mv(t.ones(4)),
    "bmm": lambda t, x: t.bmm(x[None], x.t()[None]),
    "addmm": lambda t, x: t.addmm(t.ones(3), x, t.ones(4, 3)),
    "baddbmm": lambda t, x: t.baddbmm(t.ones(1, 3, 3), x[None], x.t()[None]),
    "linear": lambda t, x: t.nn.functional.linear(x, t.ones(2, 4), t.ones(2)),
    "conv1d": lambda t, x: t.nn.functional.conv1d(x[None], t.ones(2, 3, 2), t.ones(2)),
    "conv_transpose1d": lambda t, x: t.nn.functional.conv_transpose1d(x[None], t.ones(3, 2, 2)),
    "prelu": lambda t, x: t.nn.functional.prelu(x, t.ones(1)),
    "attention": lambda t, x: t.nn.functional.scaled_dot_product_attention(x[None, None], x[None, None], x[None, None]),
    "masked attention": lambda t, x: t.nn.functional.scaled_dot_product_attention(
        x[None, None], x[None, None], x[None, None], t.ones(3, 3)
    ),
    "cross_entropy": lambda t, x: t.nn.functional.cross_entropy(x, t.tensor([0, 1, 2])),
    "nll_loss": lambda t, x: t.nn.functional.nll_loss(x, t.tensor([0, 1, 2])),
    "mse_loss": lambda t, x: t.nn.functional.mse_loss(x, x + 1),
    "l1_loss": lambda t, x: t.nn.functional.l1_loss(x, x + 1),
    "smooth_l1_loss": lambda t, x: t.nn.functional.smooth_l1_loss(x, x + 1),
    "huber_loss": lambda t, x: t.nn.functional.huber_loss(x, x + 1),
    "kl_div": lambda t, x: t.nn.functional.kl_div(x, x.exp(), reduction="sum"),
    "bce": lambda t, x: t.nn.functional.binary_cross_entropy(x.sigmoid(), t.ones(3, 4)),
    "bce_with_logits": lambda t, x: t.nn.functional.binary_cross_entropy_with_logits(x, t.ones_like(x)),
    "soft_margin_loss": lambda t, x: t.nn.functional.soft_margin_loss(x, t.ones(3, 4)),
    "triplet_margin_loss": lambda t, x: t.nn.functional.triplet_margin_loss(x, x + 1, x - 1),
    "cosine_embedding_loss": lambda t, x: t.nn.functional.cosine_embedding_loss(x, x + 1, t.ones(3)),
    "cdist": lambda t, x: t.cdist(x, x + 1),
    "prod": lambda t, x: x.prod(),
    "quantile": lambda t, x: x.quantile(0.3) if x.dtype is t.float32 else x,
    "fft": lambda t, x: t.fft.fft(x).abs(),
    "avg_pool3d": lambda t, x: t.nn.functional.avg_pool3d(x[None, None], (1, 1, 2)),
    "max_pool3d": lambda t, x: t.nn.functional.max_pool3d(x[None, None], (1, 1, 2)),
    "reflection_pad1d": lambda t, x: t.nn.functional.pad(x[None], (1, 1), "reflect"),
    "grid_sample": lambda t, x: t.nn.functional.grid_sample(
        x[None, None], t.zeros(1, 2, 2, 2).to(x.dtype), align_corners=False
    ),
    "stack": lambda t, x: t.stack([x, x.float()]),
    "cat": lambda t, x: t.cat([x, x.float()]),
    "same cat": lambda t, x: t.cat([x, x]),
    "softmax": lambda t, x: x.softmax(1),
    "layer_norm": lambda t, x: t.nn.functional.layer_norm(x, (4,)),
    "sum": lambda t, x: x.sum(),
    "exp": lambda t, x: x.exp(),
    "add": lambda t, x: x + x.float(),
    "norm": lambda t, x: x.norm(),
    "in place": lambda t, x: t.ones(3, 3).to(x.dtype).addmm_(x, x.t()),
    "LSTM": lambda t, x: t.nn.LSTM(4, 2)(x.float())[0] * 0,
    "RNN": lambda t, x: t.nn.RNN(4, 2)(x.float())[0] * 0,
    "GRU": lambda t, x: t.nn.GRU(4, 2)(x.float())[0] * 0,
    "LSTMCell": lambda t, x: t.nn.LSTMCell(4, 2)(x.float())[0] * 0,
}


@pytest.mark.parity
@pytest.mark.parametrize("lower", ["bfloat16", "float16"])
@pytest.mark.parametrize("given", ["float32", "bfloat16", "float16", "float64"])
def test_every_op_gives_pytorch_s_dtype_and_values(session: Session, given: str, lower: str) -> None:
    torch = pytest.importorskip("torch")
    if {given, lower} == {"bfloat16", "float16"}:
        pytest.skip("two lower precisions never meet: PyTorch refuses most of what would mix them")
    wrong = []
    for name, case in CASES.items():
        made = []
        for t in (gw, torch):
            x = values(t, 3, 4, dtype=getattr(t, given))
            with t.autocast("cpu", dtype=getattr(t, lower)):
                try:
                    y = case(t, x)
                except (RuntimeError, NotImplementedError) as error:
                    made.append((type(error).__name__, None))
                    continue
            made.append((str(y.dtype).partition(".")[2], numbers(y)))
        (ours, found), (theirs, expected) = made
        if expected is None:  # PyTorch cannot mix, or has no kernel
            continue
        if ours != theirs or not np.allclose(found, expected, rtol=3e-2, atol=3e-2):
            wrong.append((name, ours, theirs))
    assert wrong == []


# ---------------------------------------------------------------- networks
def perceptron(t: Any) -> Any:
    return t.nn.Sequential(t.nn.Linear(6, 8), t.nn.ReLU(), t.nn.LayerNorm(8), t.nn.Linear(8, 3)), (5, 6)


def convolutions(t: Any) -> Any:
    layers = (
        t.nn.Conv2d(2, 4, 3, padding=1), t.nn.BatchNorm2d(4), t.nn.GELU(), t.nn.MaxPool2d(2), t.nn.Conv2d(4, 3, 2),
        t.nn.AdaptiveAvgPool2d(1), t.nn.Flatten(),
    )  # fmt: skip
    return t.nn.Sequential(*layers), (5, 2, 6, 6)


def attention(t: Any) -> Any:
    class Net(t.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.attention = t.nn.MultiheadAttention(6, 2, batch_first=True)
            self.last = t.nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            return self.last(self.attention(x, x, x, need_weights=False)[0].mean(1))

    return Net(), (5, 4, 6)


@pytest.mark.parity
@pytest.mark.parametrize("build", [perceptron, convolutions, attention])
def test_networks_and_their_gradients(session: Session, build: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    state = build(torch)[0].state_dict()
    found = []
    for t in (gw, torch):
        model, shape = build(t)
        model.load_state_dict(gw.from_torch(state) if t is gw else state)
        x = values(t, *shape)
        with t.autocast("cpu"):
            y = model(x)
            loss = t.nn.functional.cross_entropy(y, t.tensor([0, 1, 2, 0, 1]))
        loss.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        assert (y.dtype, loss.dtype) == (t.bfloat16, t.float32)
        assert {g.dtype for g in gradients} == {t.float32}
        found.append([numbers(z) for z in (y, loss, *gradients)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=5e-2, atol=2e-2)


# ---------------------------------------------------------------- the switch
def test_contexts_nest(t: Any) -> None:
    x = t.ones(2, 2)
    assert not t.is_autocast_enabled("cpu")
    with t.autocast("cpu"):
        assert t.is_autocast_enabled("cpu")
        assert not t.is_autocast_enabled()
        assert (x @ x).dtype == t.bfloat16
        with t.autocast("cpu", enabled=False):
            assert (x @ x).dtype == t.float32
            with t.amp.autocast("cpu", dtype=t.float16):
                assert t.get_autocast_dtype("cpu") == t.float16
                assert (x @ x).dtype == t.float16
        assert (x @ x).dtype == t.bfloat16
        assert t.get_autocast_dtype("cpu") == t.bfloat16
    assert (x @ x).dtype == t.float32


def test_it_decorates(t: Any) -> None:
    @t.autocast("cpu")
    def product(x: Any) -> Any:
        return x @ x

    assert product(t.ones(2, 2)).dtype == t.bfloat16
    assert product.__name__ == "product"
    assert not t.is_autocast_enabled("cpu")
    assert "requires a callable, but got int" in refusal(lambda: t.autocast("cpu")(3))


def test_it_ends_with_an_error(t: Any) -> None:
    with pytest.raises(KeyError), t.autocast("cpu"):
        raise KeyError
    assert not t.is_autocast_enabled("cpu")


def test_float64_and_integers_are_left_alone(t: Any) -> None:
    with t.autocast("cpu"):
        x = t.ones(2, 2, dtype=t.float64)
        assert (x @ x).dtype == t.float64
        y = t.ones(2, 2, dtype=t.int64)
        assert (y @ y).dtype == t.int64


def test_it_is_of_one_thread(t: Any) -> None:
    dtypes = []
    with t.autocast("cpu"):
        thread = threading.Thread(target=lambda: dtypes.append((t.ones(2, 2) @ t.ones(2, 2)).dtype))
        thread.start()
        thread.join()
    assert dtypes == [t.float32]


@pytest.mark.filterwarnings("ignore:torch.*is deprecated")
def test_the_switches(t: Any) -> None:
    t.set_autocast_enabled("cpu", True)
    t.set_autocast_dtype("cpu", t.float16)
    assert (t.ones(2, 2) @ t.ones(2, 2)).dtype == t.float16
    t.set_autocast_dtype("cpu", t.bfloat16)
    t.set_autocast_enabled("cpu", False)
    assert (t.get_autocast_dtype("cpu"), t.get_autocast_dtype("cuda")) == (t.bfloat16, t.float16)
    t.set_autocast_cpu_enabled(True)
    assert (t.is_autocast_cpu_enabled(), t.get_autocast_cpu_dtype()) == (True, t.bfloat16)
    t.set_autocast_cpu_enabled(False)
    assert t.get_autocast_gpu_dtype() == t.float16
    assert t.is_autocast_cache_enabled()
    assert t.amp.is_autocast_available("cpu")


def test_refusals_and_warnings(t: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with t.autocast("cpu", dtype=t.float64), t.autocast("cuda"):
            assert (t.ones(2, 2) @ t.ones(2, 2)).dtype == t.float32
    words = [str(warning.message) for warning in caught]
    assert words[0].startswith(
        "In CPU autocast, but the target dtype is not supported. Disabling autocast.\nCPU Autocast only"
    )
    assert words[1] == "CUDA is not available or torch_xla is imported. Disabling autocast."
    assert refusal(lambda: t.autocast(t.float16)).startswith("ValueError: Expected `device_type` of type `str`, got: ")


def test_weights_are_cast_once(session: Session) -> None:
    layer, x = gw.nn.Linear(2, 2), gw.ones(1, 2)
    with gw.autocast("cpu"):
        layer(x)
        kept = dict(autocasting.settings.cache)
        layer(x)
        assert len(kept) == 2
        assert autocasting.settings.cache == kept
        with gw.no_grad():
            before = layer(x)
            layer.weight.add_(1)
            assert (layer(x) != before).all()
        layer(x).sum().backward()
        layer(x).sum().backward()
    assert layer.weight.grad.tolist() == [[2.0, 2.0]] * 2
    assert autocasting.settings.cache == {}
    with gw.autocast("cpu", cache_enabled=False):
        layer(x)
        assert autocasting.settings.cache == {}


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_computes_again_in_the_same_dtypes(session: Session, use_reentrant: bool) -> None:
    seen = []

    def product(x: Any) -> Any:
        y = x @ x
        seen.append(y.dtype)
        return y

    x = gw.ones(2, 2, requires_grad=True)
    with gw.autocast("cpu"):
        y = checkpoint(product, x, use_reentrant=use_reentrant)
    y.float().sum().backward()
    assert seen == [gw.bfloat16] * 2
    assert x.grad.tolist() == [[4.0, 4.0]] * 2


@pytest.mark.parametrize("cast", [None, "float32"])
def test_custom_functions(t: Any, cast: str | None) -> None:
    seen = []

    class Product(t.autograd.Function):  # type: ignore[misc]
        @staticmethod
        @t.amp.custom_fwd(device_type="cpu", cast_inputs=None if cast is None else getattr(t, cast))
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            seen.append((x.dtype, (x @ y).dtype, t.is_autocast_enabled("cpu")))
            return x @ y

        @staticmethod
        @t.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            seen.append((g.dtype, t.is_autocast_enabled("cpu")))
            return (g @ y.t()).float(), (x.t() @ g).float()

    x, y = (t.ones(2, 2, requires_grad=True) for _ in range(2))
    with t.autocast("cpu"):
        made = Product.apply(x, y)
    made.sum().backward()
    lower = t.bfloat16 if cast is None else t.float32
    assert seen == [(t.float32, lower, cast is None), (lower, cast is None)]
    assert x.grad.tolist() == [[2.0, 2.0]] * 2


def test_older_names(t: Any) -> None:
    with t.cpu.amp.autocast() if t is gw else t.autocast("cpu"):
        assert (t.ones(2, 2) @ t.ones(2, 2)).dtype == t.bfloat16
    with t.cuda.amp.autocast(enabled=False) if t is gw else t.autocast("cuda", enabled=False):
        pass


# ---------------------------------------------------------------- the lists
@pytest.mark.parity
@pytest.mark.parametrize(("device_type", "key"), [("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")])
def test_what_pytorch_lists_is_listed(device_type: str, key: str) -> None:
    torch = pytest.importorskip("torch")
    names = {name.partition("::")[2] for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")}
    listed = {
        name.partition(".")[0] for name in names if torch._C._dispatch_has_kernel_for_dispatch_key(f"aten::{name}", key)
    }
    # Composites of listed ops, ops that we have under other names, and internal ones.
    other = {
        "_addmm_activation", "_convolution", "_native_multi_head_attention", "mkldnn_rnn_layer", "_thnn_fused_gru_cell",
        "_thnn_fused_lstm_cell", "cudnn_convolution", "cudnn_convolution_transpose", "_scaled_dot_product_flash_attention",
        "_grid_sampler_2d_cpu_fallback", "fake_quantize_per_tensor_affine", "multilabel_margin_loss_forward",
        *(name for name in listed if name.startswith("fft_")),
    }  # fmt: skip
    lists = LISTS[device_type]
    assert listed - other - set(lists) == set()
    assert set(lists.values()) <= set(Policy)


# ---------------------------------------------------------------- a GPU, as far as dtypes go without one
CUDA_DTYPES: dict[str, tuple[Case, str]] = {
    "matmul": (lambda t, x: x @ x, "float16"),
    "addmv": (lambda t, x: t.addmv(x[0], x, x[0]), "float16"),
    "mv": (lambda t, x: x.mv(x[0]), "float16"),
    "linear": (lambda t, x: t.nn.functional.linear(x, x), "float16"),
    "LSTM": (lambda t, x: t.nn.LSTM(2, 2)(x)[0], "float16"),
    "GRU": (lambda t, x: t.nn.GRU(2, 2)(x)[0], "float16"),
    "LSTMCell": (lambda t, x: t.nn.LSTMCell(2, 2)(x)[0], "float16"),
    "softmax": (lambda t, x: x.half().softmax(1), "float32"),
    "sum": (lambda t, x: x.half().sum(), "float32"),
    "norm": (lambda t, x: x.half().norm(), "float32"),
    "exp": (lambda t, x: x.half().exp(), "float32"),
    "pow": (lambda t, x: x.half() ** 2, "float32"),
    "layer_norm": (lambda t, x: t.nn.functional.layer_norm(x.half(), (2,)), "float32"),
    "cross_entropy": (lambda t, x: t.nn.functional.cross_entropy(x.half(), t.tensor([0, 1])), "float32"),
    "mean": (lambda t, x: x.half().mean(), "float16"),
    "relu": (lambda t, x: x.half().relu(), "float16"),
    "addcmul": (lambda t, x: t.addcmul(x.half(), x, x.half()), "float32"),
    "dot": (lambda t, x: x[0].half().dot(x[0].half()), "float16"),
}


@pytest.mark.parametrize("name", CUDA_DTYPES)
def test_the_lists_of_a_gpu(session: Session, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(type(session), "device", property(lambda self: "cuda:0"))
    case, wanted = CUDA_DTYPES[name]
    x = gw.ones(2, 2)
    with gw.autocast("cuda"):
        assert gw.is_autocast_enabled()
        assert case(gw, x).dtype.name == wanted
    with gw.autocast("cpu"):
        assert (x @ x).dtype is gw.float32


def test_what_float16_cannot_hold_is_refused_on_a_gpu(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(session), "device", property(lambda self: "cuda:0"))
    x = gw.full((2,), 0.5)
    with gw.cuda.amp.autocast():
        assert "torch.nn.BCELoss are unsafe to autocast." in refusal(
            lambda: gw.nn.functional.binary_cross_entropy(x, x)
        )
    assert gw.nn.functional.binary_cross_entropy(x, x).dtype is gw.float32
