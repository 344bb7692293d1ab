"""CuPy takes what kernels do to `xp`: shared names, arguments, dtypes of ufuncs. Needs CuPy, no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.parity
cupy = pytest.importorskip("cupy", reason="CuPy is not installed: its surface goes unchecked")

from gradwire_protocol.meta import Meta  # noqa: E402
from gradwire_protocol.registry import OPS  # noqa: E402
from gradwire_server import strict  # noqa: E402
from gradwire_server.engine import Array, Engine  # noqa: E402
from gradwire_server.strict import Use  # noqa: E402

from tests.ops.samples import SAMPLES, Sample  # noqa: E402
from tests.server.cupy_surface import array_without_gpu, signature_of, unbindable  # noqa: E402

