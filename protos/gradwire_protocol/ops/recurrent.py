"""Recurrent layers: all time steps of one layer in one direction are one call.

Data is laid out as a packed sequence, (sum of batch_sizes, features): the rows of step t are the `batch_sizes[t]` longest
sequences, whose numbers fall with t. Without `batch_sizes` it is (steps, batch, features). `reverse` runs from the last
step to the first. Formulas: the documentation of `torch.nn.RNN`, `LSTM` and `GRU`.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import DType, bfloat16, float16, float32
from gradwire_protocol.infer import expect_floating
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["work_dtype"]

Sizes = tuple[int, ...] | None


def work_dtype(dtype: DType) -> DType:
    """Return the dtype that a layer computes in, and keeps its gates in."""
    return float32 if dtype in (float16, bfloat16) else dtype


def _rows(input: Meta, batch_sizes: Sizes, hx: Meta) -> int:
    """Check the layout; return the number of rows that the data has as one matrix."""
    if input.ndim != (3 if batch_sizes is None else 2):
        raise RuntimeError(f"input must have {3 if batch_sizes is None else 2} dimensions, got {input.ndim}")
    if not (input.shape[0] if batch_sizes is None else batch_sizes):
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    if batch_sizes is None:
        batch, rows = input.shape[1], input.shape[0] * input.shape[1]
    else:
        batch, rows = batch_sizes[0], input.shape[0]
        falling = all(size >= later > 0 for size, later in zip(batch_sizes, (*batch_sizes[1:], 1), strict=True))
        if not falling or sum(batch_sizes) != rows:
            raise RuntimeError(
                f"batch_sizes must be positive, never rise, and sum to the rows of input; got {list(batch_sizes)} for "
                f"{rows} rows"
            )
    if hx.ndim != 2 or hx.shape[0] != batch:
        raise RuntimeError(f"hx must be (batch, hidden) with a batch of {batch}; got {hx}")
    return rows


def _check(input: Meta, width: int, hidden: int, tensors: dict[str, tuple[Meta | None, tuple[int, ...]]]) -> None:
    """Check the shapes and dtypes of a layer with `width` rows in its weights."""
    expect_floating("recurrent layer", input)
    wanted = {
        "weight_ih": (width, input.shape[-1]), "weight_hh": (width, hidden), "bias_ih": (width,), "bias_hh": (width,),
    }  # fmt: skip
    for name, (meta, shape) in tensors.items():
        shape = wanted.get(name, shape)
        if meta is not None and meta.shape != shape:
            raise RuntimeError(f"{name} must have shape {list(shape)}; got {list(meta.shape)}")
        if meta is not None and meta.dtype is not input.dtype:
            raise RuntimeError(
                f"mat1 and mat2 must have the same dtype, but got {torch_type_name(input.dtype)} and "
                f"{torch_type_name(meta.dtype)}"
            )


def _lstm(
    input: Meta, hx: Meta, cx: Meta, weight_ih: Meta, weight_hh: Meta, bias_ih: Meta | None, bias_hh: Meta | None,
    weight_hr: Meta | None, batch_sizes: Sizes, reverse: bool,
) -> tuple[Meta, ...]:  # fmt: skip
    rows = _rows(input, batch_sizes, hx)
    out, hidden = hx.shape[1], cx.shape[-1]
    if weight_hr is None and out != hidden:
        raise RuntimeError(f"hx and cx must have one shape where there is no weight_hr; got {hx} and {cx}")
    state = (hx.shape[0], hidden)
    _check(input, 4 * hidden, out, {
        "hx": (hx, hx.shape), "cx": (cx, state), "weight_ih": (weight_ih, ()), "weight_hh": (weight_hh, ()),
        "bias_ih": (bias_ih, ()), "bias_hh": (bias_hh, ()), "weight_hr": (weight_hr, (out, hidden)),
    })  # fmt: skip
    work = work_dtype(input.dtype)
    return (
        Meta.of((*input.shape[:-1], out), input.dtype), Meta.of(hx.shape, input.dtype), Meta.of(state, input.dtype),
        Meta.of((rows, 4 * hidden), work), Meta.of((rows, hidden), work),
    )  # fmt: skip


def _gru(
    input: Meta, hx: Meta, weight_ih: Meta, weight_hh: Meta, bias_ih: Meta | None, bias_hh: Meta | None,
    batch_sizes: Sizes, reverse: bool,
) -> tuple[Meta, ...]:  # fmt: skip
    made = _plain(3, input, hx, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes)
    rows = _rows(input, batch_sizes, hx)
    return (*made, Meta.of((rows, 4 * hx.shape[1]), work_dtype(input.dtype)))


def _rnn(
    input: Meta, hx: Meta, weight_ih: Meta, weight_hh: Meta, bias_ih: Meta | None, bias_hh: Meta | None,
    batch_sizes: Sizes, reverse: bool, relu: bool,
) -> tuple[Meta, ...]:  # fmt: skip
    return _plain(1, input, hx, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes)


def _plain(
    gates: int, input: Meta, hx: Meta, weight_ih: Meta, weight_hh: Meta, bias_ih: Meta | None, bias_hh: Meta | None,
    batch_sizes: Sizes,
) -> tuple[Meta, ...]:  # fmt: skip
    _rows(input, batch_sizes, hx)
    hidden = hx.shape[1]
    _check(input, gates * hidden, hidden, {
        "hx": (hx, hx.shape), "weight_ih": (weight_ih, ()), "weight_hh": (weight_hh, ()),
        "bias_ih": (bias_ih, ()), "bias_hh": (bias_hh, ()),
    })  # fmt: skip
    return Meta.of((*input.shape[:-1], hidden), input.dtype), Meta.of(hx.shape, input.dtype)


def _masked(metas: tuple[Meta, ...], dtype: DType, output_mask: tuple[bool, ...]) -> tuple[Meta, ...]:
    """Return metas of gradients; one that is not asked for is an empty vector."""
    return tuple(
        Meta.of(meta.shape if wanted else (0,), dtype) for meta, wanted in zip(metas, output_mask, strict=True)
    )


def _lstm_backward(
    grad_output: Meta, grad_hy: Meta | None, grad_cy: Meta | None, input: Meta, hx: Meta, cx: Meta, weight_ih: Meta,
    weight_hh: Meta, weight_hr: Meta | None, output: Meta, gates: Meta, cells: Meta, batch_sizes: Sizes, reverse: bool,
    output_mask: tuple[bool, ...],
) -> tuple[Meta, ...]:  # fmt: skip
    bias = Meta.of(weight_ih.shape[:1], input.dtype)
    return _masked((input, hx, cx, weight_ih, weight_hh, bias, weight_hr or bias), input.dtype, output_mask)


def _plain_backward(
    grad_output: Meta, grad_hy: Meta | None, input: Meta, hx: Meta, weight_ih: Meta, weight_hh: Meta, output: Meta,
    *rest: object,
) -> tuple[Meta, ...]:  # fmt: skip
    mask = rest[-1]
    assert isinstance(mask, tuple)
    bias = Meta.of(weight_ih.shape[:1], input.dtype)
    biases = (bias, bias) if len(mask) == 6 else (bias,)
    return _masked((input, hx, weight_ih, weight_hh, *biases), input.dtype, mask)


_WEIGHTS = "Tensor weight_ih, Tensor weight_hh, Tensor? bias_ih, Tensor? bias_hh"
_RUN = "int[]? batch_sizes, bool reverse"


def _kept(*names: str, results: str) -> dict[str, str]:
    return dict.fromkeys(names, f"{' '.join(names)} {results}")


_SHARED = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
op(f"gw::lstm_layer(Tensor input, Tensor hx, Tensor cx, {_WEIGHTS}, Tensor? weight_hr, {_RUN}) -> "
   "(Tensor output, Tensor hy, Tensor cy, Tensor gates, Tensor cells)", _lstm,
   _kept("input", "hx", "cx", *_SHARED, "weight_hr", results="result0 result3 result4"))  # fmt: skip
op(f"gw::gru_layer(Tensor input, Tensor hx, {_WEIGHTS}, {_RUN}) -> (Tensor output, Tensor hy, Tensor gates)", _gru,
   _kept("input", "hx", *_SHARED, results="result0 result2"))  # fmt: skip
op(f"gw::rnn_layer(Tensor input, Tensor hx, {_WEIGHTS}, {_RUN}, bool relu) -> (Tensor output, Tensor hy)", _rnn,
   _kept("input", "hx", *_SHARED, results="result0"))  # fmt: skip
# Without gradients of their own: where a backward is recorded, the rules differentiate the steps one by one instead.
op("gw::lstm_layer_backward(Tensor grad_output, Tensor? grad_hy, Tensor? grad_cy, Tensor input, Tensor hx, Tensor cx, "
   f"Tensor weight_ih, Tensor weight_hh, Tensor? weight_hr, Tensor output, Tensor gates, Tensor cells, {_RUN}, "
   "bool[7] output_mask) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)", _lstm_backward)  # fmt: skip
op("gw::gru_layer_backward(Tensor grad_output, Tensor? grad_hy, Tensor input, Tensor hx, Tensor weight_ih, "
   f"Tensor weight_hh, Tensor output, Tensor gates, {_RUN}, bool[6] output_mask) -> "
   "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)", _plain_backward)  # fmt: skip
op("gw::rnn_layer_backward(Tensor grad_output, Tensor? grad_hy, Tensor input, Tensor hx, Tensor weight_ih, "
   f"Tensor weight_hh, Tensor output, {_RUN}, bool relu, bool[5] output_mask) -> "
   "(Tensor, Tensor, Tensor, Tensor, Tensor)", _plain_backward)  # fmt: skip
