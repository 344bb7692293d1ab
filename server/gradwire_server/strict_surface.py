"""What CuPy shares of numpy's surface, and where the two differ without saying so.

Plain data, held against CuPy itself by `tests/server/test_cupy_surface.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = [
    "ANSWERED_ON_DEVICE", "ARRAY_METHODS", "CUPY_NAMES", "HOST_FROM", "HOST_KEYWORDS", "MAKERS",
    "MAKERS_OF_ARRAYS", "SCATTER_DTYPES", "VALUE_ERRORS",
]  # fmt: skip

# What numpy and CuPy both have and a kernel may want. A test holds it against CuPy; add to it
# freely.
_NAMES = """
abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
atan2 atanh bitwise_and bitwise_count bitwise_invert bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor cbrt ceil conj conjugate copysign cos cosh deg2rad degrees divide
divmod equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp gcd greater
greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp left_shift less less_equal log
log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul maximum
minimum mod modf multiply negative nextafter not_equal positive pow power rad2deg radians reciprocal
remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh true_divide trunc

all allclose amax amin angle any arange argmax argmin argpartition argsort argwhere around array
array_equal asarray ascontiguousarray atleast_1d atleast_2d atleast_3d average bincount
broadcast_arrays broadcast_shapes broadcast_to can_cast choose clip column_stack compress
concatenate convolve copy copyto correlate count_nonzero cross cumprod cumsum diag diagonal diff
digitize dot einsum empty empty_like expand_dims extract eye fill_diagonal fix flatnonzero flip
fliplr flipud full full_like histogram hstack i0 identity imag indices inner interp isclose
iscomplexobj isin isneginf isposinf isrealobj isscalar issubdtype kron lexsort linspace logspace
matrix_transpose max may_share_memory mean median meshgrid min moveaxis nan_to_num nanargmax
nanargmin nancumprod nancumsum nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar ndim
nonzero ones ones_like outer pad partition percentile permute_dims place prod promote_types put
put_along_axis putmask quantile ravel ravel_multi_index real repeat reshape result_type roll
rollaxis rot90 round searchsorted select shape shares_memory sinc size sort split squeeze stack std
sum swapaxes take take_along_axis tensordot tile trace transpose tri tril tril_indices triu
triu_indices unique unravel_index vander var vdot vsplit vstack where zeros zeros_like

bool bool_ complex128 complex64 complexfloating dtype e euler_gamma finfo float16 float32 float64
floating generic iinfo inexact inf int16 int32 int64 int8 integer nan ndarray newaxis number pi
signedinteger uint16 uint32 uint64 uint8 unsignedinteger

lib lib.stride_tricks lib.stride_tricks.as_strided lib.stride_tricks.sliding_window_view linalg
linalg.cholesky linalg.det linalg.eig linalg.eigh linalg.eigvals linalg.eigvalsh linalg.inv linalg.lstsq linalg.matrix_power
linalg.norm linalg.pinv linalg.qr linalg.slogdet linalg.solve linalg.svd fft fft.fft fft.fft2
fft.fftfreq fft.fftn fft.fftshift fft.hfft fft.ifft fft.ifft2 fft.ifftn fft.ifftshift fft.ihfft
fft.irfft fft.irfft2 fft.irfftn fft.rfft fft.rfft2 fft.rfftfreq fft.rfftn
"""
CUPY_NAMES = frozenset(_NAMES.split())

_METHODS = """
all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod
cumsum diagonal dot fill flatten item max mean min nonzero partition prod put ravel repeat reshape
round searchsorted sort squeeze std sum swapaxes take trace transpose var view
"""
ARRAY_METHODS = frozenset(_METHODS.split())

# What `xp.<ufunc>.at` can do in CuPy 14 with an index array: it has an atomic operation for no more
# than this.
_ATOMIC = frozenset({"int32", "int64", "uint32", "uint64"})
SCATTER_DTYPES: Mapping[str, frozenset[str]] = {
    "add": _ATOMIC | {"float16", "float32", "float64"},
    "subtract": frozenset({"int32", "uint32"}),
    "maximum": _ATOMIC | {"float32", "float64"},
    "minimum": _ATOMIC | {"float32", "float64"},
    "bitwise_and": _ATOMIC,
    "bitwise_or": _ATOMIC,
    "bitwise_xor": _ATOMIC,
}

# Functions of sizes, dtypes and numbers, which need no array among their arguments ...
_MAKERS = """
arange array asarray broadcast_shapes can_cast empty eye fft.fftfreq fft.rfftfreq finfo full
identity iinfo indices isscalar issubdtype linspace logspace ones promote_types result_type tri
tril_indices triu_indices zeros
"""
MAKERS = frozenset(_MAKERS.split())
# ... and those of them that take one.
MAKERS_OF_ARRAYS = frozenset({"array", "asarray", "full", "isscalar", "linspace", "logspace", "result_type"})
# From which position on arguments must be on the host, where numpy would take an array too.
HOST_FROM = {
    "array_split": 1, "broadcast_to": 1, "ndarray.repeat": 0, "ndarray.reshape": 0,
    "ndarray.transpose": 0, "pad": 1, "repeat": 1, "reshape": 1, "roll": 1, "split": 1, "tile": 1,
    "vsplit": 1,
}  # fmt: skip
HOST_KEYWORDS = frozenset({"axes", "axis", "indices_or_sections", "pad_width", "repeats", "reps", "shape", "shift"})
# CuPy returns these as arrays; numpy as Python values.
ANSWERED_ON_DEVICE = frozenset({"allclose", "array_equal", "count_nonzero"})
# numpy's words for errors that it finds in values.
VALUE_ERRORS = (
    "out of bounds",
    "negative integer powers",
    "Singular matrix",
    "not positive definite",
    "not converge",
)
