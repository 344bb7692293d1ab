"""Which module of gradwire stands for which of PyTorch's, and what is said where there is none."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["counterpart", "inner", "missing", "overrides", "submodule"]

# PyTorch keeps its layers in modules of their own, and ours are elsewhere; the public names are in the package, and
# scripts use both. Where a module of ours has the same dotted name, that one is taken.
_FOLDED = {
    "torch.nn.modules": "gradwire.nn",
    "torch.nn.utils": "gradwire.nn.utils",
    "torch.optim": "gradwire.optim",
    "torch.autograd": "gradwire.autograd",
    "torch.utils.data": "gradwire.utils.data",
    "torch.distributions": "gradwire.distributions",
    "torch.jit": "gradwire.jit",
    "torch.ops": "gradwire.run.stand_ins.ops",
    "torch.library": "gradwire.run.stand_ins.library",
    "torch.fx": "gradwire.run.stand_ins.fx",
    "torch.onnx.symbolic_helper": "gradwire.run.stand_ins.onnx",
    "torch.onnx.symbolic_opset11": "gradwire.run.stand_ins.onnx",
    "torch.onnx.operators": "gradwire.run.stand_ins.onnx",
    "torch.ao": "gradwire.run.stand_ins",
    "torch.ao.quantization": "gradwire.run.stand_ins.quantization",
    "torch.quantization": "gradwire.run.stand_ins.quantization",
    "torch._C": "gradwire.run.stand_ins.c_parts",
    "torch._custom_ops": "gradwire.run.stand_ins.c_parts",
    "torch._dynamo": "gradwire.compiler",
    "torch._dynamo.utils": "gradwire.run.stand_ins.c_parts",
}
# The parts of those packages that are folded: any other name under them is a mistake, which has to be seen.
_PARTS = {
    "torch.nn.modules": {
        "activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance", "dropout", "flatten",
        "fold", "instancenorm", "linear", "loss", "module", "normalization", "padding", "pixelshuffle", "pooling", "rnn",
        "sparse", "transformer", "upsampling", "utils",
    },
    "torch.nn.utils": {"clip_grad", "convert_parameters", "fusion", "init", "parametrizations", "rnn", "spectral_norm"},
    "torch.optim": {
        "adadelta", "adagrad", "adam", "adamax", "adamw", "asgd", "lbfgs", "nadam", "optimizer", "radam", "rmsprop",
        "rprop", "sgd", "sparse_adam", "swa_utils",
    },
    "torch.autograd": {"anomaly_mode", "function", "functional", "grad_mode", "gradcheck", "graph", "profiler", "variable"},
    "torch.utils.data": {"dataloader", "dataset", "distributed", "sampler"},
    "torch.distributions": {
        "bernoulli", "beta", "binomial", "categorical", "cauchy", "chi2", "continuous_bernoulli", "dirichlet",
        "distribution", "exponential", "fishersnedecor", "gamma", "generalized_pareto", "geometric", "gumbel",
        "half_cauchy", "half_normal", "independent", "inverse_gamma", "kl", "kumaraswamy", "laplace", "lkj_cholesky",
        "log_normal", "logistic_normal", "lowrank_multivariate_normal", "mixture_same_family", "multinomial",
        "multivariate_normal", "negative_binomial", "normal", "one_hot_categorical", "pareto", "poisson",
        "relaxed_bernoulli", "relaxed_categorical", "studentT", "transformed_distribution", "transforms", "uniform",
        "utils", "von_mises", "weibull", "wishart",
    },
    "torch.jit": {"annotations"},
    "torch.fx": {"graph", "graph_module", "interpreter", "node", "proxy"},
}  # fmt: skip


class _NoTensors:
    """A dtype that gradwire has no tensors of: scripts compare with it, and are refused where they ask for such a tensor."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


_NO_TENSORS = [
    _NoTensors(name)
    for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "complex32", "qint8", "quint8", "qint32")
]


def overrides(name: str) -> dict[str, Any]:
    """Return what a module of PyTorch's has under its name that ours has otherwise, or not: versions, some dtypes."""
    from gradwire import version

    if name == "torch":
        return {"__version__": version.torch_version, **{dtype.name: dtype for dtype in _NO_TENSORS}}
    if name == "torch.version":
        return {"__version__": version.torch_version}
    return dict(_TUPLES) if name == "torch.nn.modules.utils" else {}


def _ntuple(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that repeats a number n times, and makes a tuple of what is a sequence already."""
    return lambda value: tuple(value) if isinstance(value, Iterable) else (value,) * n


# Not public in PyTorch, and imported by every layer that was written after the pattern of its own.
_TUPLES = {
    "_ntuple": _ntuple,
    "_single": _ntuple(1),
    "_pair": _ntuple(2),
    "_triple": _ntuple(3),
    "_quadruple": _ntuple(4),
}


def inner(target: ModuleType, name: str) -> Any:
    """Return the class that a part of a package of ours has under a private name, such as `_BatchNorm`; None if none does.

    PyTorch keeps these base classes in modules that ours do not mirror; scripts ask `isinstance` of them.
    """
    if target.__name__ == "gradwire":
        return None
    parts = [module for path, module in list(sys.modules.items()) if path.startswith(f"{target.__name__}.")]
    return next((found for part in parts if isinstance(found := vars(part).get(name), type)), None)


def counterpart(name: str) -> ModuleType | None:
    """Return gradwire's module for `torch...`, importing it; None if there is none."""
    ours = f"gradwire{name.removeprefix('torch')}"
    found = _imported(ours)
    if found is not None or name in _FOLDED:
        return found or _imported(_FOLDED[name])
    package, _, part = name.rpartition(".")
    return _imported(_FOLDED[package]) if part in _PARTS.get(package, ()) else None


def _imported(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        # Only that it is not there: a failure within a module of ours must not look like a missing name.
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise


def submodule(package: str, name: str) -> ModuleType:
    """Import a module under PyTorch's name, through the hook; raise ModuleNotFoundError if gradwire lacks it."""
    return import_module(f"{package}.{name}")


def missing(module: str, name: str) -> str:
    """Return the words for a name that gradwire lacks, with the nearest that it has."""
    holder = counterpart(module)
    names = [] if holder is None else [known for known in dir(holder) if not known.startswith("_")]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"the nearest name it has is {module}.{near[0]}; " if near else ""
    return f"gradwire has no {module}.{name}; {hint}docs/coverage.md lists what it covers"
