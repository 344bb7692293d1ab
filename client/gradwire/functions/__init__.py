"""Functions of the `torch` namespace that are not one method of their first argument: a module per family."""

from __future__ import annotations

from types import ModuleType as _Module

from gradwire.functions.combinations import *
from gradwire.functions.complex import *
from gradwire.functions.inplace import *
from gradwire.functions.joining import *
from gradwire.functions.numbers import *
from gradwire.functions.pairs import *
from gradwire.functions.properties import *
from gradwire.functions.queries import *
from gradwire.functions.searching import *
from gradwire.functions.statistics import *

# Not the modules, whose names (`complex`) may be those of functions.
__all__ = [_name for _name, _value in dict(globals()).items() if _name[0] != "_" and not isinstance(_value, _Module)]
