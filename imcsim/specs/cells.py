"""The cells a chip can be made of, as data; their physics is in imcsim.cells.

Mismatch, read noise and jitter are relative to the unit current (or unit charge) of a conducting cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class SramCell(Spec):
    """A linear SRAM cell with relative errors and no physics beyond them; all zero: the ideal cell."""

    kind: ClassVar[str] = "sram"
    mismatch_sigma_rel: float = limited(0.0, low=0, high=2, unit="1")
    read_noise_rel: float = limited(0.0, low=0, high=2, unit="1")


@dataclass(frozen=True, kw_only=True)
class SramDischargeCell(Spec):
    """An SRAM cell that discharges its bit line: the current of every conducting cell flows for one pulse.

    The mismatch of the cell current is either derived from the threshold voltage's (`sigma_vt_V`) or given
    (`mismatch_sigma_rel`): one of the two, the other None.
    """

    kind: ClassVar[str] = "sram_discharge"
    v_wl_V: float = limited(low=0.05, high=5, unit="V")
    v_t_V: float = limited(low=0, high=2, unit="V")
    alpha: float = limited(low=1, high=2.5, unit="1")
    k_A_per_Valpha: float = limited(low=1e-9, high=1, unit="A/V^alpha")
    sigma_vt_V: float | None = limited(None, low=0, high=0.5, unit="V")
    mismatch_sigma_rel: float | None = limited(None, low=0, high=2, unit="1")
    c_bl_F: float = limited(low=1e-16, high=1e-9, unit="F")
    t_pulse_s: float = limited(low=1e-12, high=1e-3, unit="s")
    sigma_t_pulse_s: float = limited(0.0, low=0, high=1e-3, unit="s")
    swing_V: float = limited(low=1e-3, high=5, unit="V")
    droop_per_V: float = limited(0.0, low=0, high=5, unit="1/V")
    leakage_rel: float = limited(0.0, low=0, high=0.1, unit="1")
    read_noise_rel: float = limited(0.0, low=0, high=2, unit="1")

    def problems(self) -> Iterable[Problem]:
        if self.v_wl_V <= self.v_t_V:
            yield Problem(("v_wl_V",), "must exceed v_t_V: below it the cell does not conduct", given=str(self.v_wl_V))
        if (self.sigma_vt_V is None) == (self.mismatch_sigma_rel is None):
            yield Problem(
                ("mismatch_sigma_rel",),
                "give either sigma_vt_V, from which it is derived, or the value itself: "
                + ("neither is given" if self.sigma_vt_V is None else "both are given"),
            )
        if self.droop_per_V * self.swing_V > 0.6 * (1 + 1e-9):
            yield Problem(
                ("droop_per_V",),
                f"must be at most 0.6 / swing_V = {0.6 / self.swing_V:.3g} 1/V: beyond it the cell leaves saturation",
                given=str(self.droop_per_V),
            )
        if self.sigma_t_pulse_s > self.t_pulse_s:
            yield Problem(("sigma_t_pulse_s",), "must be at most t_pulse_s", given=str(self.sigma_t_pulse_s))

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        del value
        return _set_aside(self, name)


@dataclass(frozen=True, kw_only=True)
class SramCapacitorCell(Spec):
    """An SRAM cell with a capacitor: the column shares the charges of all its cells.

    The mismatch of the capacitor is either derived (`kappa_sqrtF`: sigma_C = kappa sqrt(C)) or given
    (`mismatch_sigma_rel`): one of the two, the other None.
    """

    kind: ClassVar[str] = "sram_capacitor"
    c_unit_F: float = limited(low=1e-17, high=1e-9, unit="F")
    kappa_sqrtF: float | None = limited(None, low=0, high=1e-6, unit="F^0.5")
    mismatch_sigma_rel: float | None = limited(None, low=0, high=2, unit="1")
    c_par_F: float = limited(0.0, low=0, high=1e-9, unit="F")
    c_par_per_cell_rel: float = limited(0.0, low=0, high=10, unit="1")
    v_dd_V: float = limited(low=0.1, high=5, unit="V")
    temperature_K: float = limited(300.0, low=1, high=600, unit="K")

    def problems(self) -> Iterable[Problem]:
        if (self.kappa_sqrtF is None) == (self.mismatch_sigma_rel is None):
            yield Problem(
                ("mismatch_sigma_rel",),
                "give either kappa_sqrtF, from which it is derived, or the value itself: "
                + ("neither is given" if self.kappa_sqrtF is None else "both are given"),
            )

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        del value
        return _set_aside(self, name)


def _set_aside(cell: Spec, name: str) -> dict[str, Any]:
    return {other: None for other in ALTERNATIVES.get(name, ()) if hasattr(cell, other)}


Cell = SramCell | SramDischargeCell | SramCapacitorCell

# Fields of which a cell has one: the mismatch itself, or what it is derived from.
ALTERNATIVES = {
    "mismatch_sigma_rel": ("sigma_vt_V", "kappa_sqrtF"),
    "sigma_vt_V": ("mismatch_sigma_rel",),
    "kappa_sqrtF": ("mismatch_sigma_rel",),
}

# What a derived mismatch is computed from: sweeping it together with one of these would leave one of the two unheard.
DERIVES_MISMATCH = ("sigma_vt_V", "v_wl_V", "v_t_V", "alpha", "kappa_sqrtF", "c_unit_F")
