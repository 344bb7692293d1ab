"""What a script asks about devices, memory, limits and settings. Every test with `t` also runs with PyTorch."""

from __future__ import annotations

import contextlib
import itertools
import operator
import warnings
from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from gradwire_protocol.v1 import worker_pb2
from tests.client.graphs import refusal


# ---------------------------------------------------------------- devices
def test_the_idiom_that_picks_a_device(session: Session) -> None:
    device = gw.device("cuda" if gw.cuda.is_available() else "mps" if gw.backends.mps.is_available() else "cpu")
    assert gw.ones(2).to(device).device == device == gw.get_default_device()
    assert (gw.cuda.device_count(), gw.accelerator.is_available(), gw.accelerator.current_accelerator()) == (
        0,
        False,
        None,
    )
    assert (gw.mps.is_available(), gw.xpu.is_available(), gw.backends.cudnn.is_available()) == (False, False, False)
    assert gw.cuda.memory_allocated() == gw.cuda.max_memory_allocated() == 0
    gw.cuda.empty_cache()
    gw.cuda.manual_seed_all(3)
    for call in (gw.cuda.current_device, gw.cuda.synchronize, gw.cuda.get_device_name):
        assert "AssertionError: Torch not compiled with CUDA enabled" in refusal(call)
    assert "start one with --device cuda:0" in refusal(lambda: gw.ones(2).cuda())
    assert refusal(gw.accelerator.synchronize) == (
        "RuntimeError: Cannot access accelerator device when none is available."
    )


def test_a_gpu_worker_answers_for_itself(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = "cupy=14.2.0; device=NVIDIA H100 80GB HBM3; capability=9.0; runtime=12090"
    monkeypatch.setattr(
        session, "welcome", worker_pb2.Welcome(device="cuda:1", fingerprint=facts, max_unacked_batches=4)
    )
    assert gw.cuda.is_available()
    assert (gw.cuda.device_count(), gw.cuda.current_device()) == (1, 1)
    assert gw.cuda.get_device_name() == gw.cuda.get_device_name(1) == "NVIDIA H100 80GB HBM3"
    assert gw.cuda.get_device_capability("cuda") == (9, 0)
    assert gw.cuda.get_device_properties(1).name == gw.cuda.get_device_name()
    assert str(gw.accelerator.current_accelerator()) == "cuda"
    gw.cuda.set_device(1)
    with gw.cuda.device(1):
        gw.cuda.synchronize()
    assert "invalid device ordinal: cuda:0" in refusal(lambda: gw.cuda.set_device(0))
    assert "NotImplementedError" in refusal(gw.cuda.memory_allocated)
    x = gw.ones(2)
    assert (x.type(), x.is_cuda, x.is_cpu, x.get_device()) == ("torch.cuda.FloatTensor", True, False, 1)
    assert isinstance(x, gw.cuda.FloatTensor)
    assert not isinstance(x, gw.FloatTensor)
    assert "scatter and index sums" in refusal(lambda: gw.use_deterministic_algorithms(True))
    first, last = gw.cuda.Event(enable_timing=True), gw.cuda.Event(enable_timing=True)
    with gw.cuda.stream(gw.cuda.current_stream()):
        first.record()
        last.record()
    assert 0 <= first.elapsed_time(last) < 10_000
    gw.cuda.manual_seed_all(5)
    assert gw.initial_seed() == 5


# ---------------------------------------------------------------- settings
def test_settings_are_kept_and_checked(t: Any) -> None:
    threads = t.get_num_threads()
    t.set_num_threads(2)
    assert t.get_num_threads() == 2
    t.set_num_threads(threads)
    assert refusal(lambda: t.set_num_threads(0)) == "RuntimeError: set_num_threads expects a positive integer"
    assert refusal(lambda: t.set_num_threads(1.5)) == "RuntimeError: set_num_threads expects an int, but got float"
    t.use_deterministic_algorithms(True)
    assert t.are_deterministic_algorithms_enabled()
    t.use_deterministic_algorithms(False)
    assert not t.are_deterministic_algorithms_enabled()
    assert t.get_float32_matmul_precision() == "highest"
    t.set_float32_matmul_precision("high")
    assert t.get_float32_matmul_precision() == "high"
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        t.set_float32_matmul_precision("highest")
    before = t.backends.cudnn.benchmark
    # PyTorch's operator samples, once imported in this process, forbid it to set such flags but in its own block.
    with getattr(t.backends, "__allow_nonbracketed_mutation", contextlib.nullcontext)():
        t.backends.cudnn.benchmark = True
        with t.backends.cudnn.flags(enabled=True, benchmark=False):
            assert not t.backends.cudnn.benchmark
        assert t.backends.cudnn.benchmark
        t.backends.cudnn.benchmark = before
    t.backends.cuda.matmul.allow_tf32 = False
    assert "AttributeError" in refusal(lambda: setattr(t.backends.cuda.matmul, "allow_tf23", True))


@pytest.mark.filterwarnings("ignore:.*set_default_tensor_type.*is deprecated:UserWarning")
def test_the_default_type(t: Any) -> None:
    t.set_default_tensor_type(t.DoubleTensor)
    try:
        assert t.ones(2).dtype is t.get_default_dtype() is t.float64
        t.set_default_tensor_type("torch.FloatTensor")
        assert t.get_default_dtype() is t.float32
        assert refusal(lambda: t.set_default_tensor_type(t.LongTensor)) == (
            "TypeError: only floating-point types are supported as the default type"
        )
    finally:
        t.set_default_dtype(t.float32)


def test_limits_of_dtypes(t: Any) -> None:
    names = ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype")
    shown = [repr(t.finfo(getattr(t, name))) for name in ("float16", "float32", "float64", "complex64", "complex128")]
    assert shown == [
        repr(gw.finfo(getattr(gw, name))) for name in ("float16", "float32", "float64", "complex64", "complex128")
    ]
    for name in ("float16", "float32", "float64"):
        theirs, ours = t.finfo(getattr(t, name)), gw.finfo(getattr(gw, name))
        assert [getattr(theirs, each) for each in names] == [getattr(ours, each) for each in names]
    for name in ("uint8", "int8", "int16", "int32", "int64"):
        info = t.iinfo(getattr(t, name))
        assert (repr(info), info.bits) == (repr(gw.iinfo(getattr(gw, name))), gw.iinfo(getattr(gw, name)).bits)
    assert repr(t.finfo()) == repr(t.finfo(t.float32))
    assert refusal(lambda: t.finfo(t.int8)).startswith("TypeError: torch.finfo() requires a floating point input type.")
    assert refusal(lambda: t.iinfo(t.float32)).startswith("TypeError: torch.iinfo() requires an integer input type.")
    assert refusal(lambda: t.iinfo(t.bool)) == "TypeError: torch.bool is not supported by torch.iinfo"


@pytest.mark.parity
def test_which_dtypes_can_be_cast() -> None:
    torch = pytest.importorskip("torch")
    names = ("bool", "uint8", "int8", "int64", "float16", "float64", "complex64")
    for one, other in itertools.product(names, repeat=2):
        ours = gw.can_cast(getattr(gw, one), getattr(gw, other))
        assert ours == torch.can_cast(getattr(torch, one), getattr(torch, other)), (one, other)


# ---------------------------------------------------------------- tensor types and memory
def test_legacy_constructors(t: Any) -> None:
    assert tuple(t.FloatTensor(2, 3).shape) == tuple(t.FloatTensor(t.Size([2, 3])).shape) == (2, 3)
    assert t.LongTensor([1, 2]).tolist() == [1, 2]
    assert t.LongTensor([1, 2]).dtype is t.int64
    assert t.ByteTensor([[1, 0]]).dtype is t.uint8
    assert tuple(t.IntTensor().shape) == (0,)
    assert t.FloatTensor.dtype is t.float32
    x = t.ones(2)
    assert isinstance(x, t.FloatTensor)
    assert not isinstance(x, t.LongTensor)
    assert x.type() == t.typename(x) == "torch.FloatTensor"
    assert x.type(t.LongTensor).type() == x.type("torch.LongTensor").type() == "torch.LongTensor"
    assert x.type(t.float64).dtype is t.float64
    assert t.typename(3) == "int"
    assert refusal(lambda: t.FloatTensor(3.0)) == "TypeError: new(): data must be a sequence (got float)"
    assert refusal(lambda: t.FloatTensor(x.long())).startswith("TypeError: expected ")
    assert refusal(lambda: x.type("torch.NoTensor")) == "ValueError: invalid type: 'torch.NoTensor'"
    assert tuple(x.new(2, 3).shape) == (2, 3)


def test_the_class_is_a_constructor_too(t: Any) -> None:
    assert tuple(t.Tensor(2, 3).shape) == tuple(t.Tensor(t.Size([2, 3])).shape) == (2, 3)
    assert tuple(t.Tensor().shape) == (0,)
    assert t.Tensor((2, 3)).tolist() == t.Tensor(range(2, 4)).tolist() == t.Tensor(np.array([2, 3])).tolist() == [2, 3]
    assert t.Tensor([1, 2]).dtype is t.float32
    assert t.Tensor(t.ones(2, dtype=t.int64)).dtype is t.int64
    assert refusal(lambda: t.Tensor(3.5)) == "TypeError: new(): data must be a sequence (got float)"
    assert refusal(lambda: t.Tensor("a")) == "TypeError: new(): invalid data type 'str'"


def test_sizes_stay_sizes(t: Any) -> None:
    size = t.ones(2, 3, 4).shape
    for made, shown in (
        (size[1:], [3, 4]),
        (operator.add(size, (1,)), [2, 3, 4, 1]),
        (operator.add((1,), size), [1, 2, 3, 4]),
        (size[:1] + size[:1], [2, 2]),
        (size[:1] * 2, [2, 2]),
        (2 * size[:1], [2, 2]),
    ):
        assert repr(made) == f"torch.Size({shown})"
    assert (type(size[0]), size[-1], size == (2, 3, 4), hash(size) == hash((2, 3, 4))) == (int, 4, True, True)
    assert refusal(lambda: operator.add(size, [1])) == "TypeError: can only concatenate tuple (not list) to torch.Size"


def test_odds_and_ends(t: Any) -> None:
    x = t.tensor([1, 2])
    assert [y.item() for y in reversed(x)] == [2, 1]
    assert t.ones(1).is_nonzero()
    assert "ambiguous" in refusal(x.is_nonzero)
    assert x.is_set_to(x.view(2))
    assert not x.is_set_to(x[:1])
    assert (x.is_conj(), x.is_neg(), x.is_distributed(), t.is_storage(x)) == (False, False, False, False)
    with t.device("cpu"):
        assert t.ones(1).device == t.device("cpu")
    t.set_deterministic_debug_mode("error")
    assert t.get_deterministic_debug_mode() == 2
    t.set_deterministic_debug_mode(0)
    assert not t.is_autocast_enabled()


def test_memory_formats_are_wishes(t: Any) -> None:
    x = t.ones(2, 3, 4, 5)
    for same in (x.to(memory_format=t.preserve_format), x.contiguous(memory_format=t.contiguous_format)):
        assert same is x
    assert x.to(memory_format=t.channels_last).tolist() == x.clone(memory_format=t.contiguous_format).tolist()
    assert x.is_contiguous(memory_format=t.contiguous_format)
    assert not x.is_contiguous(memory_format=t.channels_last)
    assert x.permute(0, 3, 1, 2).is_contiguous(memory_format=t.channels_last)
    for like in (t.zeros_like, t.ones_like, t.empty_like, t.rand_like, t.randn_like):
        assert like(x, memory_format=t.preserve_format).shape == x.shape
    assert x.layout is t.strided
    assert repr((t.channels_last, x.layout)) == "(torch.channels_last, torch.strided)"
    assert refusal(lambda: t.ones(2).contiguous(memory_format=t.channels_last)) == (
        "RuntimeError: required rank 4 tensor to use channels_last format"
    )


def test_new_tensors_beside_another(t: Any) -> None:
    x = t.ones(2, dtype=t.float64)
    for made in (x.new_zeros(2, 3), x.new_ones((2, 3), device="cpu"), x.new_empty(2, 3), x.new_full((2, 3), 7)):
        assert (made.dtype, tuple(made.shape)) == (t.float64, (2, 3))
    assert x.new_zeros(2, requires_grad=True).requires_grad
    assert x.new_tensor([1, 2]).dtype is t.float64
    assert x.new_tensor([1, 2], dtype=t.int32).dtype is t.int32


def test_moves_that_move_nothing(t: Any) -> None:
    x = t.ones(2)
    assert x.to("cpu", non_blocking=True) is x.to(t.device("cpu")) is x.cpu() is x
    assert x.to("cpu", t.float64, True).dtype is t.float64
    assert x.to(t.float32, True, True) is not x
    layer = t.nn.Linear(2, 2)
    assert layer.to("cpu", non_blocking=True) is layer.to(memory_format=t.channels_last) is layer
    assert layer.to("cpu", t.float64, True).weight.dtype is t.float64
    assert not x.is_pinned()
    assert x.get_device() == -1
    assert (x.is_cpu, x.is_sparse, x.is_quantized, x.is_meta) == (True, False, False, False)


def test_what_needs_an_address_is_refused(session: Session) -> None:
    x = gw.ones(2)
    for call in (x.data_ptr, x.untyped_storage, x.share_memory_, lambda: x.apply_(abs)):
        assert refusal(call).startswith("RuntimeError: ")


# ---------------------------------------------------------------- scaling of losses
def test_a_scaler_backs_off_and_skips(t: Any) -> None:
    w = t.ones(2, requires_grad=True)
    optimizer = t.optim.SGD([w], lr=0.5)
    scaler = t.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    for factor in (1.0, float("inf"), 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((w * factor).sum()).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert w.tolist() == [-0.5, -0.5]
    assert scaler.get_scale() == 8.0
    state = scaler.state_dict()
    assert (state["scale"], state["_growth_tracker"]) == (8.0, 0)
    scaler.load_state_dict(state)
    assert refusal(scaler.update) == "AssertionError: No inf checks were recorded prior to update."


def test_a_disabled_scaler_does_nothing(session: Session) -> None:
    scaler = gw.cuda.amp.GradScaler(enabled=False)
    loss = gw.ones(())
    assert scaler.scale(loss) is loss
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not gw.cuda.amp.GradScaler().is_enabled()
