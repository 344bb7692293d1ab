"""What tensors print: recorded PyTorch output, random comparison with it, options and misuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwire.printing import (
    format_tensor,
    get_printoptions,
    printoptions,
    set_printoptions,
    summary_indices,
)
from tests.client.printing_goldens import CASES, f4

nan, inf = np.nan, np.inf


@pytest.fixture(autouse=True)
def _default_options():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


def formatted(values: Any, *, grad: str = "", shape: Any = None, prefix: str = "gradwire") -> str:
    values = np.asarray(values)
    return format_tensor(
        values,
        shape=shape,
        dtype_suffix=f"{prefix}.{values.dtype}",
        device=None,
        grad_fn="CloneBackward0" if grad == "node" else None,
        requires_grad=grad != "",
        parameter=grad == "parameter",
    )


def cut_to_summary(values: np.ndarray) -> np.ndarray:
    """Keep what a client would fetch."""
    for dim, index in enumerate(summary_indices(values.shape) or ()):
        if index is not None:
            values = values.take(index, axis=dim)
    return values


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text.split("\n")[0][:40])
def test_prints_what_pytorch_printed(case):
    with printoptions(**case.options):
        assert formatted(case.values, grad=case.grad) == case.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text.split("\n")[0][:40])
def test_prints_the_same_from_the_summary_alone(case):
    values = np.asarray(case.values)
    with printoptions(**case.options):
        edges = cut_to_summary(values)
        assert formatted(edges, grad=case.grad, shape=values.shape) == case.text


# ---------------------------------------------------------------- beside PyTorch
def torch_text(torch: Any, values: np.ndarray, grad: str, options: dict[str, Any]) -> str:
    tensor = torch.from_numpy(values.copy())
    if grad == "parameter":
        tensor = torch.nn.Parameter(tensor)
    elif grad:
        tensor.requires_grad_()
    if grad == "node":
        tensor = tensor.clone()
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    try:
        return repr(tensor)
    finally:
        torch.set_printoptions(profile="default")


@pytest.mark.parity
def test_recorded_texts_are_what_pytorch_prints_now():
    torch = pytest.importorskip("torch")
    for case in CASES:
        text = torch_text(torch, np.asarray(case.values), case.grad, case.options)
        assert text.replace("torch.", "gradwire.") == case.text


def random_reals(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw values of one of the kinds that print differently."""
    normal = rng.standard_normal(shape)
    special = rng.choice([nan, inf, -inf, 0.0, -0.0], size=shape)
    is_special = rng.random(shape) < 0.3
    limits = [0.7, 700.0, 1e-4, 1e8, 1.0, 1000.0, 0.3, 300.0, 5e-5, 99999.5, -0.0]
    kinds = [
        normal,
        special,
        normal * 10.0 ** rng.integers(-12, 14),
        normal * 10.0 ** rng.integers(-6, 6, size=shape),
        np.round(normal * 10.0 ** rng.integers(0, 10)),
        np.where(is_special, special, normal * 100),
        np.where(is_special, special, np.round(normal * 100)),
        rng.choice(limits, size=shape),
    ]
    return np.asarray(kinds[rng.integers(len(kinds))])


def random_values(rng: np.random.Generator) -> np.ndarray:
    sizes = [0, 1, 2, 3, 5, 7, 12, 30] if rng.random() < 0.2 else [1, 2, 3, 5, 7, 12]
    shape = tuple(int(size) for size in rng.choice(sizes, size=rng.integers(0, 5)))
    dtype = np.dtype(str(rng.choice(["?", "u1", "i1", "i4", "i8", "f2", "f4", "f8", "c8", "c16"])))
    values = random_reals(rng, shape)
    if dtype.kind == "b":
        return np.asarray(values > 0)
    if dtype.kind in "iu":
        low, high = (0, 200) if dtype.kind == "u" else (-100, 100)
        return np.asarray(np.clip(np.nan_to_num(np.round(values * 10)), low, high)).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.kind == "c":
            values = values + 1j * random_reals(rng, shape)
        return np.asarray(values).astype(dtype)


def random_options(rng: np.random.Generator) -> dict[str, Any]:
    drawn = {
        "precision": int(rng.integers(0, 8)),
        "threshold": int(rng.choice([0, 5, 50, 1000, 5000])),
        "edgeitems": int(rng.integers(0, 5)),
        "linewidth": int(rng.integers(1, 150)),
        "sci_mode": [True, False, None][rng.integers(3)],
        "profile": ["default", "short", "full"][rng.integers(3)],
    }
    share = 0.35 if rng.random() < 0.6 else 0.0
    return {name: value for name, value in drawn.items() if rng.random() < share}


@pytest.mark.parity
@pytest.mark.parametrize("seed", range(8))
def test_random_tensors_print_as_in_pytorch(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    for _ in range(60):
        values, options = random_values(rng), random_options(rng)
        grads = ["", "leaf", "node", "parameter"] if values.dtype.kind in "fc" else [""]
        grad = str(rng.choice(grads))
        with printoptions(**options):
            text = formatted(values, grad=grad, prefix="torch")
            edges = cut_to_summary(values)
            assert formatted(edges, grad=grad, shape=values.shape, prefix="torch") == text
        assert text == torch_text(torch, values, grad, options), (values.shape, options)


@pytest.mark.parity
def test_default_dtype_hides_itself_as_in_pytorch():
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    try:
        for dtype in ["f4", "f8", "c8", "c16", "i8", "?"]:
            for size in (0, 2):
                values = np.ones(size, dtype)
                text = format_tensor(
                    values,
                    dtype_suffix=f"torch.{values.dtype}",
                    device=None,
                    grad_fn=None,
                    requires_grad=False,
                    default_dtype=np.dtype(np.float64),
                )
                assert text == repr(torch.from_numpy(values))
    finally:
        torch.set_default_dtype(torch.float32)


# ---------------------------------------------------------------- suffixes, options, misuse
def test_device_comes_first_and_dtype_can_be_left_out():
    def text(dtype_suffix):
        return format_tensor(
            np.ones((2, 0)),
            dtype_suffix=dtype_suffix,
            device="cuda:0",
            grad_fn=None,
            requires_grad=True,
        )

    whole = "tensor([], device='cuda:0', size=(2, 0), dtype=gradwire.float64, requires_grad=True)"
    # 80 columns are one too few for the last suffix.
    assert text("gradwire.float64") == whole.replace(", requires", ",\n       requires")
    assert text(None) == "tensor([], device='cuda:0', size=(2, 0), requires_grad=True)"


def test_values_need_not_be_contiguous():
    values = np.arange(6).reshape(2, 3)
    assert formatted(values.T) == formatted(values.T.copy())
    assert formatted(values[:, ::-1]) == "tensor([[2, 1, 0],\n        [5, 4, 3]])"


def test_summary_indices_name_the_edges():
    assert summary_indices((1000,)) is None
    assert summary_indices((2, 501)) == (None, [0, 1, 2, 498, 499, 500])
    with printoptions(threshold=3, edgeitems=1):
        assert summary_indices((2, 3)) == (None, [0, 2])


def test_values_of_neither_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2000,\) or.*\(6,\); got \(7,\)"):
        formatted(np.ones(7), shape=(2000,))


def test_options_apply_within_the_block_only():
    with printoptions(precision=2, linewidth=40):
        assert get_printoptions()["precision"] == 2
        assert formatted(f4([0.125])) == "tensor([0.12])"
    assert get_printoptions() == {
        "precision": 4,
        "threshold": 1000,
        "edgeitems": 3,
        "linewidth": 80,
        "sci_mode": None,
    }


def test_sci_mode_lasts_until_the_next_call_as_in_pytorch():
    set_printoptions(sci_mode=True)
    assert formatted(f4([1])) == "tensor([1.0000e+00])"
    set_printoptions(precision=2)
    assert formatted(f4([1.5])) == "tensor([1.50])"


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("profile", "tiny", ValueError),
        ("precision", -1, ValueError),
        ("precision", 2.0, TypeError),
        ("edgeitems", -1, ValueError),
        ("linewidth", "wide", TypeError),
        ("threshold", "all", TypeError),
        ("sci_mode", "yes", TypeError),
    ],
)
def test_options_that_cannot_be_are_refused_and_change_nothing(option, value, error):
    before = get_printoptions()
    with pytest.raises(error, match=f"needs .*{option}.* got {value!r}"):
        set_printoptions(**{option: value})
    assert get_printoptions() == before
