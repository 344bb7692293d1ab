"""The exponential of matrices. Products of them are composites."""

from __future__ import annotations

from gradwire_protocol.meta import Meta
from gradwire_protocol.ops.linalg import check_floating, check_square
from gradwire_protocol.registry import op


def _matrix_exp(self: Meta) -> Meta:
    check_floating("linalg.matrix_exp", self)
    check_square("linalg.matrix_exp", self)
    return Meta.of(self.shape, self.dtype)


# (*, n, n) -> (*, n, n)
op("linalg_matrix_exp(Tensor self) -> Tensor", _matrix_exp, keeps={"self": "self"})
