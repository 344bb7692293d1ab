"""The door to special functions: whose they are, and that both libraries have them."""

from __future__ import annotations

import numpy as np
import pytest

from gradwire_server.scientific import SHARED_NAMES, xp_special
from gradwire_server.strict import StrictError, open_strict


def test_numpy_gets_scipys_functions() -> None:
    np.testing.assert_allclose(xp_special(np).erf(np.array([0.0, 0.5])), [0.0, 0.5204998778130465])


def test_a_name_that_is_not_shared_is_refused() -> None:
    with pytest.raises(AttributeError, match="kernels need special functions that SciPy and CuPy share; got airy"):
        _ = xp_special(np).airy


def test_a_strict_device_takes_and_gives_its_own_arrays() -> None:
    backend = open_strict()
    special = xp_special(backend.xp)
    found = special.erf(backend.from_host(np.array(0.5)))
    assert type(found) is backend.array_type
    assert found.item() == pytest.approx(0.5204998778130465)
    with pytest.raises(StrictError, match=r"special\.erf needs device arrays and numbers"):
        special.erf(np.array(0.5))


@pytest.mark.parity
@pytest.mark.parametrize("name", sorted(SHARED_NAMES))
def test_cupy_has_each_function(name: str) -> None:
    special = pytest.importorskip("cupyx.scipy.special")
    assert callable(getattr(special, name))
