"""Whether a chip resolves perturbations of all weights at once: its writes their size, its loss ADC their effect."""

from __future__ import annotations

from typing import Any

import numpy as np

from imcsim.errors import CapabilityError, SpecError
from imcsim.rules.perturbed import require_seen

Array = np.ndarray[Any, Any]

MOST_UNSEEN = 100  # perturbations that no loss showed: one alone may well be too small to be seen


def require_written(network: Any, largest: float, option: str, given: float) -> None:
    """Raise SpecError where the largest perturbation of a weight, that of `given` for `option`, is rounded to nothing.

    A write rounds to whole codes, in the layer with the largest steps as in all others.
    """
    try:
        step = max(network.weight_lsb)
    except (AttributeError, CapabilityError):  # weights without codes
        return
    if largest < step / 2.0:
        allowed = f"moves no weight by more than {largest:.3g}, below the write resolution: codes are {step:.3g} apart"
        # up to two digits
        enough = given * step / 2.0 / largest
        digit = 10.0 ** (np.floor(np.log10(enough)) - 1)
        remedy = f"set it to {np.ceil(enough / digit) * digit:g} or more, or give the array more weight_bits"
        raise SpecError.of(("rule_options", option), allowed, f"{given:g}", remedy)


def unseen_after(network: Any, unseen: int | None, changes: Array, option: str) -> int | None:
    """How many perturbations from the first on no loss has shown, after these changes (K, ...); None once one was seen.

    Raises SpecError when they are too many.
    """
    if unseen is None or changes.any():
        return None
    if unseen + len(changes) >= MOST_UNSEEN:
        require_seen(network, np.zeros(unseen + len(changes)), option)
    return unseen + len(changes)
