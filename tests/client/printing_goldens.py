"""Texts that PyTorch 2.13 printed, each with the values and options that it printed them from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["CASES", "Case", "f4"]

nan, inf = np.nan, np.inf


def f4(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def c8(values: Any) -> np.ndarray:
    return np.array(values, np.complex64)


@dataclass(frozen=True)
class Case:
    """Values, what PyTorch 2.13 printed for them (gradwire for torch), and under which options."""

    values: Any
    text: str
    options: dict[str, Any] = field(default_factory=dict)
    grad: str = ""
    """"leaf", "node" (a clone of a leaf) or "parameter"; "" where no gradient is required."""


CASES = [
    Case(np.float32(3), "tensor(3.)"),
    Case(np.float32(-0.0), "tensor(-0.)"),
    Case(np.float32(1e-5), "tensor(1.0000e-05)"),
    Case(np.array(True), "tensor(True)"),
    Case(np.array(-5), "tensor(-5)"),
    Case(np.complex64(1.5 - 0.25j), "tensor(1.5000-0.2500j)"),
    Case(
        f4([[0.1234, -1], [2.5, 10]]),
        """\
tensor([[ 0.1234, -1.0000],
        [ 2.5000, 10.0000]], grad_fn=<CloneBackward0>)""",
        grad="node",
    ),
    Case(f4([0, 1, 2]), "tensor([0., 1., 2.])"),
    Case(f4([0, -0.0]), "tensor([0., -0.])"),
    Case(f4([0, 1e-5]), "tensor([0.0000e+00, 1.0000e-05])"),
    Case(f4([1, 1000]), "tensor([   1., 1000.])"),
    Case(f4([1, 1001]), "tensor([1.0000e+00, 1.0010e+03])"),
    Case(f4([0.7, 700]), "tensor([7.0000e-01, 7.0000e+02])"),
    Case(f4([1e8]), "tensor([100000000.])"),
    Case(f4([1.1e8, -1]), "tensor([ 1.1000e+08, -1.0000e+00])"),
    Case(f4([0.00011]), "tensor([0.0001])"),
    Case(f4([0.0001]), "tensor([1.0000e-04])"),
    Case(f4([123456.5, 200.5]), "tensor([123456.5000,    200.5000])"),
    Case(f4([123456.5, 100.5]), "tensor([1.2346e+05, 1.0050e+02])"),
    Case(f4([nan, inf, -inf]), "tensor([nan, inf, -inf])"),
    Case(f4([nan, 1]), "tensor([nan, 1.])"),
    Case(f4([nan, -inf, 1.5, 0]), "tensor([   nan,   -inf, 1.5000, 0.0000])"),
    Case(
        f4([nan, inf] * 4),
        """\
tensor([nan, inf, nan,
        inf, nan, inf,
        nan, inf])""",
        options={"linewidth": 18},
    ),
    Case(
        np.array([1e-300, 1e300, 0, inf, -1]),
        """\
tensor([1.0000e-300, 1.0000e+300,  0.0000e+00,         inf, -1.0000e+00],
       dtype=gradwire.float64)""",
    ),
    Case(
        np.array([65504, 0.1], np.float16),
        "tensor([6.5504e+04, 9.9976e-02], dtype=gradwire.float16)",
    ),
    Case(np.array([1, -200, 3]), "tensor([   1, -200,    3])"),
    Case(np.array([1, 2], np.uint8), "tensor([1, 2], dtype=gradwire.uint8)"),
    Case(np.array([[True, False]]), "tensor([[ True, False]])"),
    Case(np.zeros(0, np.float32), "tensor([])"),
    Case(np.zeros((0, 3), np.float32), "tensor([], size=(0, 3))"),
    Case(np.zeros(0, np.int64), "tensor([], dtype=gradwire.int64)"),
    Case(np.zeros((2, 0), bool), "tensor([], size=(2, 0), dtype=gradwire.bool)"),
    Case(
        np.zeros((2, 0)),
        "tensor([], size=(2, 0), dtype=gradwire.float64, requires_grad=True)",
        grad="leaf",
    ),
    Case(np.zeros(0, np.complex64), "tensor([], dtype=gradwire.complex64)"),
    Case(c8([1.5 - 2j, 0.25]), "tensor([1.5000-2.j, 0.2500+0.j])"),
    Case(c8([1 - 2j, 0, 100j]), "tensor([1.-2.j, 0.+0.j, 0.+100.j])"),
    Case(
        c8([1e-10 - 2j, 0, 1e5j]),
        """\
tensor([1.0000e-10-2.0000e+00j,
        0.0000e+00+0.0000e+00j,
        0.0000e+00+1.0000e+05j])""",
        options={"linewidth": 40},
    ),
    Case(c8([complex(1000.5, nan), complex(nan, -0.0)]), "tensor([1000.5000+nanj,       nan-0.j])"),
    Case(np.array([1 - 2j, 0.5]), "tensor([1.0000-2.j, 0.5000+0.j], dtype=gradwire.complex128)"),
    Case(
        np.ones((2, 2, 2), np.float32),
        """\
tensor([[[1., 1.],
         [1., 1.]],

        [[1., 1.],
         [1., 1.]]], requires_grad=True)""",
        grad="leaf",
    ),
    Case(
        np.ones((2, 2), np.float32),
        """\
Parameter containing:
tensor([[1., 1.],
        [1., 1.]], requires_grad=True)""",
        grad="parameter",
    ),
    Case(
        np.ones((2, 2)),
        """\
Parameter containing:
tensor([[1., 1.],
        [1., 1.]], dtype=gradwire.float64, requires_grad=True)""",
        grad="parameter",
    ),
    Case(
        np.arange(30, dtype=np.float32),
        """\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,
        14., 15., 16., 17., 18., 19., 20., 21., 22., 23., 24., 25., 26., 27.,
        28., 29.])""",
    ),
    Case(
        np.full(8, 2.5, np.float32),
        """\
tensor([2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000],
       grad_fn=<CloneBackward0>)""",
        grad="node",
    ),
    Case(
        np.full((8), 2.5),
        """\
tensor([2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000, 2.5000],
       dtype=gradwire.float64, grad_fn=<CloneBackward0>)""",
        grad="node",
    ),
    Case(np.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    Case(
        np.arange(2000, dtype=np.float32).reshape(2, 1000) / 7,
        """\
tensor([[0.0000e+00, 1.4286e-01, 2.8571e-01,  ..., 1.4243e+02, 1.4257e+02,
         1.4271e+02],
        [1.4286e+02, 1.4300e+02, 1.4314e+02,  ..., 2.8529e+02, 2.8543e+02,
         2.8557e+02]])""",
    ),
    Case(
        np.arange(2800).reshape(7, 2, 200),
        """\
tensor([[[   0,    1,    2,  ...,  197,  198,  199],
         [ 200,  201,  202,  ...,  397,  398,  399]],

        [[ 400,  401,  402,  ...,  597,  598,  599],
         [ 600,  601,  602,  ...,  797,  798,  799]],

        [[ 800,  801,  802,  ...,  997,  998,  999],
         [1000, 1001, 1002,  ..., 1197, 1198, 1199]],

        ...,

        [[1600, 1601, 1602,  ..., 1797, 1798, 1799],
         [1800, 1801, 1802,  ..., 1997, 1998, 1999]],

        [[2000, 2001, 2002,  ..., 2197, 2198, 2199],
         [2200, 2201, 2202,  ..., 2397, 2398, 2399]],

        [[2400, 2401, 2402,  ..., 2597, 2598, 2599],
         [2600, 2601, 2602,  ..., 2797, 2798, 2799]]])""",
    ),
    Case(
        np.zeros((7, 3, 7, 9), bool),
        """\
tensor([[[[False,  ..., False],
          ...,
          [False,  ..., False]],

         ...,

         [[False,  ..., False],
          ...,
          [False,  ..., False]]],


        ...,


        [[[False,  ..., False],
          ...,
          [False,  ..., False]],

         ...,

         [[False,  ..., False],
          ...,
          [False,  ..., False]]]])""",
        options={"edgeitems": 1},
    ),
    Case(f4([0, 0.25, 0.5, 1]), "tensor([0.00, 0.25, 0.50, 1.00])", options={"precision": 2}),
    Case(
        f4([0, 0.25, 0.5, 1]),
        "tensor([0.0000e+00, 2.5000e-01, 5.0000e-01, 1.0000e+00])",
        options={"sci_mode": True},
    ),
    Case(f4([1.5, 2e9]), "tensor([         1.5000, 2000000000.0000])", options={"sci_mode": False}),
    Case(np.arange(20), "tensor([ 0,  1,  2,  ..., 17, 18, 19])", options={"threshold": 5}),
    Case(np.arange(20), "tensor([...], size=(20,))", options={"threshold": 5, "edgeitems": 0}),
    Case(
        np.arange(20),
        """\
tensor([ 0,  1,  2,
         3,  4,  5,
         6,  7,  8,
         9, 10, 11,
        12, 13, 14,
        15, 16, 17,
        18, 19])""",
        options={"linewidth": 20},
    ),
    Case(
        np.arange(2000),
        """\
tensor([   0,    1,
           2,  ...,
        1997, 1998,
        1999])""",
        options={"linewidth": 20},
    ),
    Case(
        f4(np.arange(2000) / 2000),
        "tensor([0.00e+00, 5.00e-04,  ..., 9.99e-01, 9.99e-01])",
        options={"profile": "short"},
    ),
]
