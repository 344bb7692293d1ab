"""Padding: by a constant, by reflection at the edges, by the edges repeated; negative padding crops.

`pad` and `padding` hold (before, after) per axis, the last axis first. Shapes and refusals: pytorch/aten/src/ATen/native/
PadNd.cpp, ReflectionPad.cpp, ReplicationPadding.cpp, Padding.h.
"""

from __future__ import annotations

from gradwire_protocol.dtypes import bool_
from gradwire_protocol.meta import Meta
from gradwire_protocol.registry import op, torch_type_name

__all__ = ["pairs"]

Shape = tuple[int, ...]


def pairs(pad: Shape) -> list[tuple[int, int]]:
    """Return (before, after) per padded axis, the last axis first."""
    return list(zip(pad[::2], pad[1::2], strict=True))


def _padded(shape: Shape, pad: Shape) -> Shape:
    sizes = list(shape)
    for index, (before, after) in enumerate(pairs(pad)):
        sizes[-1 - index] += before + after
    if min(sizes, default=0) < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(sizes)}: {sizes}")
    return tuple(sizes)


# ---------------------------------------------------------------- a constant
def _constant(self: Meta, pad: Shape, value: type) -> Meta:
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * self.ndim:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. Pad length is "
            f"{len(pad)} while the input has {self.ndim} dimensions."
        )
    if value is complex and not self.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {torch_type_name(self.dtype)} without overflow")
    for index, (before, after) in enumerate(pairs(pad)):
        size = self.shape[-1 - index]
        if size + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        if size + before + after < 0:
            raise RuntimeError(
                f"The input size {size}, plus negative padding {before} and {after} resulted in a negative output size, "
                f"which is invalid. Check dimension {self.ndim - 1 - index} of your input."
            )
    return Meta.of(_padded(self.shape, pad), self.dtype)


op("constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor", _constant, {"self": ""})


# ---------------------------------------------------------------- the edges
_AXES = ("W", "H", "D")


def _check_input(self: Meta, dims: int, padding: Shape) -> None:
    if len(padding) != 2 * dims:
        raise RuntimeError(f"padding size is expected to be {2 * dims}, but got: {len(padding)}")
    own = self.shape[1:] if self.ndim == dims + 2 else self.shape
    if len(own) != dims + 1 or 0 in own:
        raise RuntimeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(self.shape)}"
        )


def _check_reflected(self: Meta, padding: Shape) -> None:
    for index, (before, after) in enumerate(pairs(padding)):
        axis = self.ndim - 1 - index
        if before >= self.shape[axis] or after >= self.shape[axis]:
            raise RuntimeError(
                f"Argument #{4 + 2 * index}: Padding size should be less than the corresponding input dimension, but "
                f"got: padding ({before}, {after}) at dimension {axis} of input {list(self.shape)}"
            )


def _check_size(self: Meta, dims: int, padding: Shape) -> None:
    sizes = [self.shape[-1 - index] + sum(pair) for index, pair in enumerate(pairs(padding))]
    if max(sizes) < 1:
        held = ", ".join(f"{_AXES[i]}: {self.shape[-1 - i]}" for i in reversed(range(dims)))
        found = " ".join(f"{_AXES[i]}: {sizes[i]}" for i in reversed(range(dims)))
        raise RuntimeError(f"input ({held}) is too small. Calculated output {found}")


def _declare(kind: str, dims: int) -> None:
    def forward(self: Meta, padding: Shape) -> Meta:
        _check_input(self, dims, padding)
        if kind == "reflection":
            _check_reflected(self, padding)
        _check_size(self, dims, padding)
        if self.dtype is bool_:
            raise NotImplementedError(f"\"{kind}_pad{dims}d\" not implemented for '{torch_type_name(self.dtype)}'")
        return Meta.of(_padded(self.shape, padding), self.dtype)

    def backward(grad_output: Meta, self: Meta, padding: Shape) -> Meta:
        expected = forward(self, padding).shape
        if grad_output.shape != expected:
            raise RuntimeError(
                f"gradOutput size unexpected. Expected: {list(expected)}, Got: {list(grad_output.shape)}"
            )
        return Meta.of(self.shape, grad_output.dtype)

    title = f"{kind.capitalize()}Pad{dims}DBackward"
    op(
        f"{kind}_pad{dims}d(Tensor self, int[{2 * dims}] padding) -> Tensor",
        forward,
        {"self": "self"},
        node=f"{title}0",
    )
    op(f"{kind}_pad{dims}d_backward(Tensor grad_output, Tensor self, int[{2 * dims}] padding) -> Tensor", backward,
       {"grad_output": "self"}, node=f"{title}Backward0")  # fmt: skip


for _kind in ("reflection", "replication"):
    for _dims in (1, 2, 3):
        _declare(_kind, _dims)
