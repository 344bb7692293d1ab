"""Between a Tensor and the values of this process. Everything here that returns a value waits for the worker."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwire import printing
from gradwire.autograd.grad_mode import state as grad_state
from gradwire_protocol import codec, limits
from gradwire_protocol.dtypes import DTYPES, DType, bfloat16, from_numpy, int64
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import resolve
from gradwire_protocol.tape import Node, Variable, gradient_edge
from gradwire_protocol.v1 import tensor_pb2

if TYPE_CHECKING:
    from gradwire.session import Session
    from gradwire.tensor import Tensor

__all__ = ["ConversionMethods", "dtype_suffix", "fetch", "from_array", "shown"]

_LITTLE = {dtype: dtype.numpy.newbyteorder("<") for dtype in DTYPES}
_CONSTANT, _UPLOAD, _FETCH = OPS["gw::constant"], OPS["gw::upload"], OPS["gw::fetch"]


def from_array(values: np.ndarray[Any, Any], dtype: DType, session: Session | None = None) -> Tensor:
    """Return a tensor with the array's elements; does not wait below `limits.INLINE_BYTES`.

    The elements are copied before this returns, so the array may be changed afterwards. Any strides and byte order will do.
    """
    from gradwire import session as sessions
    from gradwire.tensor import call

    session = session or sessions.current()
    meta = Meta.of(values.shape, dtype)
    little = np.ascontiguousarray(values, dtype=dtype.numpy.newbyteorder("<"))
    made: Tensor
    if meta.nbytes <= limits.INLINE_BYTES:
        data = tensor_pb2.InlineTensor(meta=codec.encode_meta(meta), data=little.tobytes())
        made = call(_CONSTANT, meta.shape, dtype, session=session, data=data)
    else:
        made = call(_UPLOAD, meta.shape, dtype, session.upload(little, meta), session=session)
    return made


def fetch(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Wait for a tensor's elements and return them in memory of their own."""
    session, meta = tensor.session, tensor.meta
    if session.recorder is not None:
        session.recorder.refuse_wait()
    with session.lock:
        signature = session.signatures.get((_FETCH, meta))
        if signature is None:
            signature = session.intern((_FETCH, meta), resolve(_FETCH, (meta,), (), (), (), 0, meta.dtype))
        session.append(signature, (tensor,), ())
        value = session.answer()
    shape, dtype = meta.shape, meta.dtype
    if value.large:
        return session.download(tensor.handle, Meta.of(shape, dtype))
    little = np.frombuffer(value.data, dtype=_LITTLE[dtype])
    return little.reshape(shape).astype(dtype.numpy)


class ConversionMethods:
    """Mixed into Tensor."""

    __slots__ = ()

    def item(self: Any) -> Any:
        """Wait for the one element and return it as a Python number."""
        if self.meta.numel != 1:
            raise RuntimeError(f"a Tensor with {self.meta.numel} elements cannot be converted to Scalar")
        return fetch(self).item()

    def tolist(self: Any) -> Any:
        """Wait for the elements and return them as nested lists, a number for a 0-dim tensor."""
        return fetch(self).tolist()

    def numpy(self: Any, *, force: bool = False) -> np.ndarray[Any, Any]:
        """Wait for the elements and return them as an array of its own (PyTorch's shares memory; ours cannot)."""
        if self.requires_grad and grad_state.enabled and not force:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        if self.meta.dtype is bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return fetch(self)

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("a tensor's values are on a worker, so an array of them is always a copy; got copy=False")
        values: np.ndarray[Any, Any] = self.numpy()
        return values if dtype is None else values.astype(dtype)

    def __bool__(self: Any) -> bool:
        if self.meta.numel != 1:
            if self.meta.numel == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        return bool(fetch(self).item())

    def __float__(self: Any) -> float:
        return float(self.item())

    def __int__(self: Any) -> int:
        return int(self.item())

    def __complex__(self: Any) -> complex:
        return complex(self.item())

    def __index__(self: Any) -> int:
        if self.meta.dtype.is_differentiable or self.meta.numel != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __format__(self: Any, spec: str) -> str:
        return format(self.item(), spec) if self.meta.ndim == 0 else object.__format__(self, spec)

    def __contains__(self: Any, element: Any) -> bool:
        if not isinstance(element, Variable | bool | int | float | complex):
            raise RuntimeError(
                f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
            )
        return bool((self == element).any())

    def equal(self: Any, other: Any) -> bool:
        """Wait for whether both have the same sizes and elements."""
        return bool(self.meta.shape == other.meta.shape and (self == other).all())

    def __repr__(self: Any) -> str:
        return printing.format_tensor(
            shown(self),
            shape=self.meta.shape,
            dtype_suffix=dtype_suffix(self.meta.dtype),
            device=None if self.session.device in ("cpu", "cpu:0") else self.session.device,
            grad_fn=_node_name(self),
            requires_grad=self.requires_grad,
        )

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
                "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
                "see https://github.com/pytorch/pytorch/pull/103001"
            )
        copied = self.detach().clone()._alias_as(type(self), self.requires_grad)
        memo[id(self)] = copied
        copied._grad = copy.deepcopy(self._grad, memo)
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __copy__(self: Any) -> Any:
        """Return a leaf on the same memory, as copy.copy of PyTorch's tensors does."""
        copied = self.data._alias_as(type(self), self.requires_grad)
        copied.__dict__.update(self.__dict__)
        return copied

    def _tensor_from(self: Any, data: Any) -> Any:
        """Return a list or array that stands in an index as a tensor beside this one."""
        values = np.asarray(data)
        if values.size == 0 and values.dtype != np.bool_:
            values = values.astype(np.int64)
        return from_array(values, from_numpy(values.dtype), self.session)

    def __reduce__(self: Any) -> Any:
        raise TypeError("tensors live on a worker and are not pickled; use gradwire.save, which writes safetensors")


def _node_name(tensor: Any) -> str | None:
    """Return the name of a tensor's node, as PyTorch prints it for a view that has none any more."""
    try:
        edge = gradient_edge(tensor)
    except RuntimeError:
        return "Invalid"
    return edge.target.name if edge is not None and isinstance(edge.target, Node) else None


def shown(tensor: Any) -> np.ndarray[Any, Any]:
    """Wait for the elements that printing shows: of a large tensor only the edges travel."""
    positions = printing.summary_indices(tensor.meta.shape)
    if positions is None:
        return fetch(tensor)
    edges = tensor.detach()
    for dim, places in enumerate(positions):
        if places is not None:
            edges = edges.index_select(dim, from_array(np.asarray(places), int64, tensor.session))
    return fetch(edges)


def dtype_suffix(dtype: DType) -> str | None:
    """Return what printing says of a dtype, nothing of one that the numbers themselves show."""
    from gradwire.tensor import get_default_dtype

    if dtype is get_default_dtype() or dtype.name in ("int64", "bool", "complex64"):
        return None
    return repr(dtype)
