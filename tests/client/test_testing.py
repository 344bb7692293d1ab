"""`torch.testing`. Every test with `t` also runs with PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradwire as gw
from gradwire.session import Session
from tests.client.graphs import refusal


def words_of(t: Any, actual: Any, expected: Any, **options: Any) -> str:
    """All lines of the message; `refusal` gives the first."""
    with pytest.raises(AssertionError) as caught:
        t.testing.assert_close(actual, expected, **options)
    return str(caught.value)


nan, inf = float("nan"), float("inf")

# Left, right, keywords, the whole message. `x` makes a tensor.
DIFFERENT: list[tuple[Any, Any, dict[str, Any], str]] = [
    (1.0, 2.0, {}, "Scalars are not close!\n\nExpected 2.0 but got 1.0.\nAbsolute difference: 1.0 (up to 1e-07 allowed)\n"
     "Relative difference: 0.5 (up to 1e-07 allowed)"),
    (1, 2, {}, "Scalars are not equal!\n\nExpected 2 but got 1.\nAbsolute difference: 1\nRelative difference: 0.5"),
    (5.0, 0.0, {"rtol": 0.1, "atol": 0.5}, "Scalars are not close!\n\nExpected 0.0 but got 5.0.\n"
     "Absolute difference: 5.0 (up to 0.5 allowed)\nRelative difference: inf (up to 0.1 allowed)"),
    (True, False, {}, "Booleans mismatch: True is not False"),
    (1, 1.0, {}, "The (d)types do not match: <class 'int'> != <class 'float'>."),
    ([1], [1, 2], {}, "The length of the sequences mismatch: 1 != 2"),
    ({"a": 1}, {"b": 1}, {}, "The keys of the mappings do not match:\nMissing keys in the actual mapping: ['b']\n"
     "Additional keys in the actual mapping: ['a']"),
    ((1, 2.0), [1, 2.5], {}, "Scalars are not close!\n\nExpected 2.5 but got 2.0.\nAbsolute difference: 0.5 (up to 1e-07 "
     "allowed)\nRelative difference: 0.2 (up to 1e-07 allowed)\n\nThe failure occurred for item [1]"),
    (1.0, 2.0, {"msg": "mine"}, "mine"),
    (True, False, {"msg": lambda text: f"[{text}]"}, "[Booleans mismatch: True is not False]"),
]  # fmt: skip

TENSORS: list[tuple[Any, Any, dict[str, Any]]] = [
    (("float32", [1.0, 2.0]), ("float32", [1.0, 3.0]), {}),
    (("int64", [1, 2]), ("int64", [1, 3]), {}),
    (("bool", [True, False]), ("bool", [True, True]), {}),
    (("uint8", [100, 200]), ("uint8", [200, 100]), {}),
    (("float32", [nan]), ("float32", [nan]), {}),
    (("float32", [1.0, inf]), ("float32", [1.0, 2.0]), {}),
    (("float32", [1.0]), ("float32", [2.0]), {"rtol": 0, "atol": 0}),
    (("float64", [1.0, 2.0]), ("float32", [1.0, 3.0]), {"check_dtype": False}),
    (("float16", [1.0]), ("float16", [1.01]), {}),
    (("complex64", [1 + 1j]), ("complex64", [1 + 2j]), {}),
    (("float32", [[1.0, 2.0], [3.0, 4.0]]), ("float32", [[1.0, 2.0], [3.0, 9.0]]), {}),
    (("float32", 1.0), ("float32", 2.0), {}),
    (("float32", [0.0]), ("float32", [1e-3]), {}),
    (("float32", [1.0]), ("float32", [[1.0]]), {}),
]


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: f"{case[0]}-{case[1]}")
def test_what_differs_is_said(t: Any, case: Any) -> None:
    actual, expected, options, words = case
    assert words_of(t, actual, expected, **options) == words


@pytest.mark.parity
@pytest.mark.parametrize("case", TENSORS, ids=str)
def test_tensors_differ_in_pytorchs_words(session: Session, case: Any) -> None:
    torch = pytest.importorskip("torch")

    def words(t: Any) -> str:
        (one, left), (other, right), options = case
        actual, expected = t.tensor(left, dtype=getattr(t, one)), t.tensor(right, dtype=getattr(t, other))
        return words_of(t, {"a": [actual]}, {"a": [expected]}, **options)

    assert words(gw) == words(torch)


def test_what_is_close(t: Any) -> None:
    close = t.testing.assert_close
    close(t.tensor([1.0, 2.0]), t.tensor([1.0, 2.0 + 1e-6]))
    close(t.tensor([1.0], requires_grad=True), t.nn.Parameter(t.tensor([1.0])))
    close(t.tensor([nan, inf, -inf]), t.tensor([nan, inf, -inf]), equal_nan=True)
    close(t.ones(0), t.ones(0))
    close({"a": [None, 1, (2.0, np.ones(2))]}, {"a": [None, 1, (2.0, np.ones(2))]})
    close(t.ones(2, 2), t.ones(2, 2).t())
    close(t.tensor([1]), t.tensor([1.0]), check_dtype=False)
    t.testing.assert_close(1.0, 1.05, rtol=0.1, atol=0)


def test_what_cannot_be_compared(t: Any) -> None:
    close = t.testing.assert_close
    assert "The values for attribute 'stride()' do not match: (2, 1) != (1, 2)." in refusal(
        lambda: close(t.ones(2, 2), t.ones(2, 2).t(), check_stride=True)
    )
    assert "The values for attribute 'dtype' do not match" in refusal(
        lambda: close(t.ones(1), t.ones(1, dtype=t.int64))
    )
    for actual, expected in ((t.ones(1), 1.0), ("a", "a"), (t.ones(2), [1.0, 1.0]), (set(), set())):
        assert refusal(lambda actual=actual, expected=expected: close(actual, expected)).startswith(
            "TypeError: No comparison pair was able to handle inputs of type"
        )
    assert refusal(lambda: close(1.0, 2.0, rtol=0.1)) == (
        "ValueError: Both 'rtol' and 'atol' must be either specified or omitted, but got no atol."
    )


def test_random_tensors(t: Any) -> None:
    for name in ("bool", "uint8", "int8", "int64", "float16", "float32", "float64", "complex64"):
        dtype = getattr(t, name)
        made = t.testing.make_tensor((50, 4), dtype=dtype, device="cpu")
        assert (made.dtype, tuple(made.shape)) == (dtype, (50, 4))
        assert np.abs(made.numpy()).max() <= 13
        assert len(np.unique(made.numpy())) > (1 if name == "bool" else 8)
    made = t.testing.make_tensor(
        3, 4, dtype=t.float32, device="cpu", low=1, high=2, requires_grad=True, noncontiguous=True
    )
    assert made.requires_grad
    assert not made.is_contiguous()
    assert 1 <= made.min().item() <= made.max().item() <= 2
    kept = t.testing.make_tensor(500, dtype=t.int8, device="cpu", low=-1, high=2, exclude_zero=True)
    assert set(kept.tolist()) == {-1, 1}
    assert "ValueError" in refusal(lambda: t.testing.make_tensor(2, dtype=t.float32, device="cpu", low=2, high=1))
