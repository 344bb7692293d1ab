"""PyTorch's Tensor API with the tensors on a worker: `import gradwire as gw`.

The names are PyTorch's. A worker is started by itself at the first call; `connect`, or GRADWIRE_ADDRESS, names another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradwire.version import __version__
from gradwire import autograd, errors, linalg, version
from gradwire._functions import *
from gradwire.autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled, set_anomaly_enabled
from gradwire.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from gradwire.checks import _assert, _check, _check_index, _check_type, _check_value
from gradwire.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from gradwire.creation import from_numpy_array as from_numpy
from gradwire.device import Device as device
from gradwire.functions import *  # type: ignore[assignment]
from gradwire.functions.joining import _chunk_cat
from gradwire.functions.statistics import _segment_reduce
from gradwire.interop import asarray, from_dlpack, frombuffer
from gradwire.limits_info import finfo, iinfo
from gradwire.memory import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    jagged,
    layout,
    memory_format,
    preserve_format,
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from gradwire.printing import set_printoptions
from gradwire.properties import Size
from gradwire.random import (
    _sample_dirichlet,
    _standard_gamma,
    bernoulli,
    binomial,
    multinomial,
    poisson,
    Generator,
    default_generator,
    dropout,
    get_rng_state,
    initial_seed,
    manual_seed,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from gradwire.connecting import connect
from gradwire.session import Session, disconnect
from gradwire.session import current as current_session
from gradwire.settings import *
from gradwire.tensor_types import *
from gradwire.tensor import Tensor, get_default_dtype, set_default_dtype
from gradwire_protocol.dtypes import (
    DType as dtype,
)
from gradwire_protocol.dtypes import (
    bool_ as bool,
)
from gradwire_protocol.dtypes import (
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    uint8,
)

float = float32
double = float64
half = float16
int = int32
long = int64
short = int16
cfloat = complex64
cdouble = complex128
inf = float64.numpy.type("inf").item()
nan = float64.numpy.type("nan").item()
pi = 3.141592653589793
e = 2.718281828459045
newaxis = None

# What follows is imported at its first use, so that a script starts as soon as what it needs is there.
if TYPE_CHECKING:
    from gradwire import (
        accelerator,
        amp,
        backends,
        checkpoint,
        compiler,
        cpu,
        cuda,
        distributed,
        distributions,
        fft,
        func,
        hub,
        jit,
    )
    from gradwire import (
        masked,
        mps,
        multiprocessing,
        nn,
        onnx,
        optim,
        profiler,
        serialization,
        signal,
        special,
        testing,
    )
    from gradwire import sparse, utils, xpu
    from gradwire.amp import (
        GradScaler,
        autocast,
        autocast_decrement_nesting,
        autocast_increment_nesting,
        clear_autocast_cache,
        get_autocast_cpu_dtype,
        get_autocast_dtype,
        get_autocast_gpu_dtype,
        is_autocast_cache_enabled,
        is_autocast_cpu_enabled,
        is_autocast_enabled,
        set_autocast_cache_enabled,
        set_autocast_cpu_dtype,
        set_autocast_cpu_enabled,
        set_autocast_dtype,
        set_autocast_enabled,
        set_autocast_gpu_dtype,
    )
    from gradwire.cuda import OutOfMemoryError
    from gradwire.func import vmap
    from gradwire.programs.compile import compile
    from gradwire.programs.loop import loop
    from gradwire.profiling import profile
    from gradwire.pytorch import from_torch, to_torch
    from gradwire.saving import load, save
    from gradwire.sparse.construction import sparse_coo_tensor
    from gradwire.sparse.products import spmm
else:
    from gradwire.late import late_names

    __getattr__, __dir__ = late_names(
        __name__,
        {
            "accelerator", "amp", "backends", "checkpoint", "compiler", "cpu", "cuda", "distributed", "distributions",
            "fft", "func", "hub", "jit", "masked", "mps", "multiprocessing", "nn", "onnx", "optim", "profiler",
            "serialization", "signal", "sparse", "special", "testing", "utils", "xpu",
        },
        {
            "gradwire.amp": (
                "GradScaler", "autocast", "autocast_decrement_nesting", "autocast_increment_nesting", "clear_autocast_cache",
                "get_autocast_cpu_dtype", "get_autocast_dtype", "get_autocast_gpu_dtype", "is_autocast_cache_enabled",
                "is_autocast_cpu_enabled", "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_cpu_dtype",
                "set_autocast_cpu_enabled", "set_autocast_dtype", "set_autocast_enabled", "set_autocast_gpu_dtype",
            ),
            "gradwire.cuda": ("OutOfMemoryError",),
            "gradwire.func": ("vmap",),
            "gradwire.profiling": ("profile",),
            "gradwire.programs.compile": ("compile",),
            "gradwire.programs.loop": ("loop",),
            "gradwire.pytorch": ("from_torch", "to_torch"),
            "gradwire.saving": ("load", "save"),
            "gradwire.sparse.construction": ("sparse_coo_tensor",),
            "gradwire.sparse.products": ("spmm",),
        },
    )  # fmt: skip
