"""The cells a chip can be made of, as data; their physics is in imcsim.cells.

Mismatch, read noise and jitter are relative to the unit current (or unit charge) of a conducting cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.fields import Spec, limited
from imcsim.specs.pulsed import PulsedCell
from imcsim.specs.resistive import ResistiveCell

REFERENCE_K = 300.0  # at which the numbers of a cell are given


@dataclass(frozen=True, kw_only=True)
class SramCell(Spec):
    """A linear SRAM cell with relative errors and no physics beyond them; all zero: the ideal cell.

    `mismatch_law`, here and below: a normal spread that clips at zero, or the log-normal of the same mean and sigma.
    `on_off_ratio` is the current of a driven cell that stores 1 over that of one that stores 0; None: that conducts
    nothing.
    """

    kind: ClassVar[str] = "sram"
    mismatch_sigma_rel: float = limited(0.0, low=0, high=2, unit="1")
    mismatch_law: Literal["normal", "lognormal"] = "normal"
    on_off_ratio: float | None = limited(None, low=1.1, high=1e12, unit="1")
    read_noise_rel: float = limited(0.0, low=0, high=2, unit="1")


@dataclass(frozen=True, kw_only=True)
class StoredBitCell(Spec):
    """What SRAM cells with a supply share: below its own V_min, normal over the die, a cell loses its bit.

    `v_min_mean_V` and `v_min_sigma_V` both None: every cell keeps its bit at any supply.
    """

    mismatch_sigma_rel: float | None = limited(None, low=0, high=2, unit="1")
    mismatch_law: Literal["normal", "lognormal"] = "normal"
    v_dd_V: float | None = limited(None, low=0.1, high=5, unit="V")
    v_min_mean_V: float | None = limited(None, low=0, high=5, unit="V")
    v_min_sigma_V: float | None = limited(None, low=0, high=1, unit="V")
    temperature_K: float = limited(REFERENCE_K, low=1, high=600, unit="K")

    def problems(self) -> Iterable[Problem]:
        for name, other in (("v_min_mean_V", "v_min_sigma_V"), ("v_min_sigma_V", "v_min_mean_V")):
            if getattr(self, name) is None and getattr(self, other) is not None:
                yield Problem((name,), f"is needed where {other} is given", remedy="V_min is normal: give both or none")
        if self.v_dd_V is None and None not in (self.v_min_mean_V, self.v_min_sigma_V):
            yield Problem(("v_dd_V",), "is needed where v_min_mean_V is given: cells lose their bits below V_min")

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        del value
        return {other: None for other in ALTERNATIVES.get(name, ()) if hasattr(self, other)}


@dataclass(frozen=True, kw_only=True)
class TransistorCell(StoredBitCell):
    """What SRAM cells share whose read transistor conducts k (V_WL - V_t)^alpha, the numbers at 300 K.

    The mismatch of the current is either derived from the threshold voltage's (`sigma_vt_V`) or given
    (`mismatch_sigma_rel`): one of the two. Leakage, of every cell, is a current at 300 K (`leak_A`) that doubles every
    `leak_doubling_K` (None: it does not depend on temperature), or is given relative to the on-current, whatever
    V_WL and temperature (`leakage_rel`); both None: nothing leaks. Threshold and k follow the temperature by `vt_per_K`
    and `mobility_exponent`. The current falls by `droop_per_V` as the line falls.
    """

    v_wl_V: float = limited(low=0.05, high=5, unit="V")
    v_t_V: float = limited(low=0, high=2, unit="V")
    vt_per_K: float = limited(0.0, low=-0.01, high=0.01, unit="V/K")
    alpha: float = limited(low=1, high=2.5, unit="1")
    k_A_per_Valpha: float = limited(low=1e-9, high=1, unit="A/V^alpha")
    mobility_exponent: float = limited(0.0, low=0, high=3, unit="1")
    sigma_vt_V: float | None = limited(None, low=0, high=0.5, unit="V")
    droop_per_V: float = limited(0.0, low=0, high=5, unit="1/V")
    leakage_rel: float | None = limited(None, low=0, high=0.1, unit="1")
    leak_A: float | None = limited(None, low=0, high=1e-3, unit="A")
    leak_doubling_K: float | None = limited(None, low=1, high=1000, unit="K")
    read_noise_rel: float = limited(0.0, low=0, high=2, unit="1")

    @property
    def threshold(self) -> float:
        """The threshold voltage at the temperature of the cell, in V."""
        # V_t(T) = V_t0 + dV_t/dT (T - T0): linear, as in SPICE's models (BSIM4: KT1; unverified)
        return self.v_t_V + self.vt_per_K * (self.temperature_K - REFERENCE_K)

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.v_wl_V <= self.threshold:
            moved = self.threshold != self.v_t_V
            at = f" at {self.temperature_K:g} K, {self.threshold:.4g} V" if moved else ""
            allowed = f"must exceed v_t_V{at}: below it the cell does not conduct"
            yield Problem(("v_wl_V",), allowed, given=str(self.v_wl_V))
        if (self.sigma_vt_V is None) == (self.mismatch_sigma_rel is None):
            yield _one_of("mismatch_sigma_rel", "sigma_vt_V", neither=self.sigma_vt_V is None)
        if None not in (self.leakage_rel, self.leak_A):
            yield _one_of("leakage_rel", "leak_A", neither=False)
        if self.leak_doubling_K is not None and self.leak_A is None:
            yield Problem(("leak_doubling_K",), "has no meaning without leak_A", remedy="give leak_A, or drop it")


@dataclass(frozen=True, kw_only=True)
class SramDischargeCell(TransistorCell):
    """An SRAM cell that discharges its bit line: the current of every conducting cell flows for one pulse.

    How far the bit line may fall is given (`swing_V`), or derived from the supply: V_DD - `v_bl_min_V`, the lowest
    voltage at which the read transistor is saturated.
    """

    kind: ClassVar[str] = "sram_discharge"
    c_bl_F: float = limited(low=1e-16, high=1e-9, unit="F")
    t_pulse_s: float = limited(low=1e-12, high=1e-3, unit="s")
    sigma_t_pulse_s: float = limited(0.0, low=0, high=1e-3, unit="s")
    swing_V: float | None = limited(None, low=1e-3, high=5, unit="V")
    v_bl_min_V: float | None = limited(None, low=0, high=5, unit="V")

    @property
    def full_swing(self) -> float:
        """How far the bit line may fall, in V: from its precharge, V_DD, to the lowest voltage."""
        if self.swing_V is not None:
            return self.swing_V
        assert self.v_dd_V is not None  # the spec holds exactly one of the two
        assert self.v_bl_min_V is not None
        return self.v_dd_V - self.v_bl_min_V

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.sigma_t_pulse_s > self.t_pulse_s:
            yield Problem(("sigma_t_pulse_s",), "must be at most t_pulse_s", given=str(self.sigma_t_pulse_s))
        if (self.swing_V is None) == (self.v_bl_min_V is None):
            yield _one_of("swing_V", "v_bl_min_V", neither=self.swing_V is None)
        elif self.swing_V is None and self.v_dd_V is None:
            yield Problem(("v_dd_V",), "is needed where v_bl_min_V is given: the swing is V_DD - v_bl_min_V")
        elif self.full_swing < 1e-3:
            remedy = "raise v_dd_V: the bit line starts there"
            allowed = "must lie at least 0.001 V below v_dd_V"
            yield Problem(("v_bl_min_V",), allowed, given=str(self.v_bl_min_V), remedy=remedy)
        elif self.droop_per_V * self.full_swing > 0.6 * (1 + 1e-9):
            swing = "swing_V" if self.swing_V is not None else "(v_dd_V - v_bl_min_V)"
            yield Problem(
                ("droop_per_V",),
                f"must be at most 0.6 / {swing} = {0.6 / self.full_swing:.3g} 1/V: "
                "beyond it the cell leaves saturation",
                given=str(self.droop_per_V),
            )
        if self.v_bl_min_V is None:
            yield from _idle_supply(self, "derive the swing from it by v_bl_min_V")

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        # a given swing leaves the supply nothing to decide but the bits that are lost
        idle = {"v_dd_V": None} if name == "swing_V" and self.v_min_mean_V is None else {}
        return {**super().overriding(name, value), **idle}


@dataclass(frozen=True, kw_only=True)
class SramCurrentCell(TransistorCell):
    """An SRAM cell whose current is summed on a line that a clamp holds, through a load of `r_load_ohm`.

    The line falls by what the load drops, so that the sum compresses; it clips at `i_max_A` (None: nowhere).
    `bandwidth_Hz` is that of the thermal noise of the load (None: it has none).
    """

    kind: ClassVar[str] = "sram_current"
    r_load_ohm: float = limited(low=1e-3, high=1e9, unit="ohm")
    i_max_A: float | None = limited(None, low=1e-12, high=10, unit="A")
    bandwidth_Hz: float | None = limited(None, low=1, high=1e12, unit="Hz")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from _idle_supply(self, "drop it")


@dataclass(frozen=True, kw_only=True)
class SramCapacitorCell(StoredBitCell):
    """An SRAM cell with a capacitor: the column shares the charges of all its cells.

    The mismatch of the capacitor is either derived (`kappa_sqrtF`: sigma_C = kappa sqrt(C)) or given
    (`mismatch_sigma_rel`): one of the two, the other None.
    """

    kind: ClassVar[str] = "sram_capacitor"
    v_dd_V: float = limited(low=0.1, high=5, unit="V")  # the charges come from it
    c_unit_F: float = limited(low=1e-17, high=1e-9, unit="F")
    kappa_sqrtF: float | None = limited(None, low=0, high=1e-6, unit="F^0.5")
    c_par_F: float = limited(0.0, low=0, high=1e-9, unit="F")
    c_par_per_cell_rel: float = limited(0.0, low=0, high=10, unit="1")

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if (self.kappa_sqrtF is None) == (self.mismatch_sigma_rel is None):
            yield _one_of("mismatch_sigma_rel", "kappa_sqrtF", neither=self.kappa_sqrtF is None)


def _one_of(given: str, derived: str, *, neither: bool) -> Problem:
    which = "neither is given" if neither else "both are given"
    return Problem((given,), f"give either {derived}, from which it is derived, or the value itself: {which}")


def _idle_supply(cell: StoredBitCell, remedy: str) -> Iterable[Problem]:
    if cell.v_dd_V is not None and cell.v_min_mean_V is None and cell.v_min_sigma_V is None:
        yield Problem(("v_dd_V",), "would change nothing", str(cell.v_dd_V), f"give v_min_mean_V, or {remedy}")


AnySramCell = SramCell | SramDischargeCell | SramCurrentCell | SramCapacitorCell
Cell = AnySramCell | ResistiveCell | PulsedCell

# Fields of which a cell has one side: a number itself, or what it is derived from. To give one sets the others aside.
ALTERNATIVES = {
    "mismatch_sigma_rel": ("sigma_vt_V", "kappa_sqrtF"),
    "sigma_vt_V": ("mismatch_sigma_rel",),
    "kappa_sqrtF": ("mismatch_sigma_rel",),
    "swing_V": ("v_bl_min_V",),
    "v_bl_min_V": ("swing_V",),
    "leakage_rel": ("leak_A", "leak_doubling_K"),
    "leak_A": ("leakage_rel",),
}

# What a derived mismatch is computed from: sweeping it together with one of these would leave one of the two unheard.
_OF_A_TRANSISTOR = ("sigma_vt_V", "v_wl_V", "v_t_V", "alpha", "temperature_K", "vt_per_K")
DERIVES_MISMATCH: Mapping[type[Spec], tuple[str, ...]] = {
    SramDischargeCell: _OF_A_TRANSISTOR,
    SramCurrentCell: _OF_A_TRANSISTOR,
    SramCapacitorCell: ("kappa_sqrtF", "c_unit_F"),
}
