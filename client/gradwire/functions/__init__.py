"""Functions of the `torch` namespace that are not one method of their first argument: a module per family."""

from __future__ import annotations

from gradwire.functions.chains import *
from gradwire.functions.combinations import *
from gradwire.functions.complex_numbers import *
from gradwire.functions.copies import *
from gradwire.functions.dropouts import *
from gradwire.functions.einsum import *
from gradwire.functions.factors import *
from gradwire.functions.grids import *
from gradwire.functions.inplace import *
from gradwire.functions.joining import *
from gradwire.functions.low_rank import *
from gradwire.functions.numbers import *
from gradwire.functions.pairs import *
from gradwire.functions.properties import *
from gradwire.functions.queries import *
from gradwire.functions.recurrent import *
from gradwire.functions.searching import *
from gradwire.functions.sequences import *
from gradwire.functions.spectral import *
from gradwire.functions.statistics import *
from gradwire.functions.windows import *
