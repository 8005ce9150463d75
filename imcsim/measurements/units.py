"""Units of measured quantities: what a file says, in SI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_PREFIXED = ("S", "V", "A", "s", "Hz", "ohm")
_FACTORS = {
    "1": ("1", 1.0),
    "%": ("1", 0.01),
    "min": ("s", 60.0),
    "h": ("s", 3600.0),
    "d": ("s", 86400.0),
} | {prefix + base: (base, size) for base in _PREFIXED for prefix, size in _PREFIXES.items()}
_SPELLINGS = {
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
    "\N{OHM SIGN}": "ohm",
    "\N{GREEK CAPITAL LETTER OMEGA}": "ohm",
}
_RECIPROCAL = {"ohm": "S", "S": "ohm"}

KNOWN = "S, ohm, V, A, s, Hz (with f p n u m k M G before them), min, h, d, % or 1"


def canonical(unit: str) -> str:
    """A unit as this module spells it: "\N{MICRO SIGN}S" is "uS"."""
    text = unit.strip()
    for spelling, plain in _SPELLINGS.items():
        text = text.replace(spelling, plain)
    return text


def base_of(unit: str) -> str | None:
    """The SI unit of `unit`, None where it is not known."""
    known = _FACTORS.get(canonical(unit))
    return known[0] if known else None


def wanted_of(unit: str, allowed: Sequence[str]) -> str | None:
    """The one of the `allowed` SI units in which values in `unit` can be told; a resistance can, as a conductance."""
    base = base_of(unit)
    return next((one for one in (base, _RECIPROCAL.get(base or "")) if one in allowed), None)


def convert(values: NDArray[Any], unit: str, to: str) -> NDArray[np.float64]:
    """`values` given in `unit`, in the SI unit `to`, which `wanted_of` found; 1/0 is infinite."""
    base, factor = _FACTORS[canonical(unit)]
    scaled = np.asarray(values, np.float64) * factor
    if base == to:
        return scaled
    with np.errstate(divide="ignore"):
        return 1.0 / scaled
