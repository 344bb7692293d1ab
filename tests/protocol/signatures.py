"""Signatures of calls, made without a client: from metas by hand, and from the cases of the ops' samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gradwire_protocol.dtypes import DType, float32, from_numpy
from gradwire_protocol.meta import Meta
from gradwire_protocol.ops import OPS
from gradwire_protocol.signature import Signature, resolve
from tests.ops.samples import SAMPLES

__all__ = ["f32", "sampled_signatures", "signature_of"]


def f32(*shape: int) -> Meta:
    """Return the meta of a contiguous float32 tensor."""
    return Meta.of(shape, float32)


def signature_of(name: str, *args: Any, needs: int = 0, default: DType = float32, **kwargs: Any) -> Signature:
    """Return the signature of a call, given metas for tensors and plain values for the rest."""
    op = OPS[name]
    metas, statics, scalars, lengths = op.split(op.bind(args, kwargs))
    return resolve(op, metas, statics, tuple(map(type, scalars)), lengths, needs, default)


def _meta(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        strides = tuple(stride // value.itemsize for stride in value.strides)
        dtype = from_numpy(value.dtype)
        return Meta.of(value.shape, dtype) if value.flags.c_contiguous else Meta.strided(value.shape, dtype, strides)
    if isinstance(value, list) and any(item is None or isinstance(item, np.ndarray) for item in value):
        return [_meta(item) for item in value]
    return value


def sampled_signatures(name: str) -> Iterator[Signature]:
    """Yield the signature of every case of an op's sample, without gradients and with all that the op has."""
    for case in SAMPLES[name].cases(np.random.default_rng(0)):
        args, kwargs = map(_meta, case.args), {key: _meta(value) for key, value in case.kwargs.items()}
        without = signature_of(name, *args, **kwargs)
        yield without
        yield resolve(
            without.op, without.metas, without.statics, without.kinds, without.lengths, (1 << len(without.metas)) - 1, float32
        )  # fmt: skip
