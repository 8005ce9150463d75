"""A closed form's answer: a power, and whether it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imcsim.budget.static import StaticError

RARE = 1e-3  # of what comes less often, neither a law nor a sample tells much


@dataclass(frozen=True)
class Estimate:
    """A power; None where no closed form is known. `doubt`: why it does not hold, "" where it does."""

    power: float | None
    doubt: str = ""
    remark: str = ""


def rare(errors: Sequence[tuple[StaticError, int]]) -> str:
    """The doubt in an error that few values have; "" where there is none."""
    touched = max(one.touched for one, _ in errors)
    return "hangs on the tail: fewer than 1 value in 1000 clips" if 0 < touched < RARE else ""
