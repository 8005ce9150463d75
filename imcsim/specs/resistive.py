"""Resistive cells as data: what a write makes of a target conductance, what time and reads make of it.

The physics is in imcsim.cells (programming, drift, read_noise, resistive). States are conductances in S; time counts
from t0_s after the write, t = t_since_write_s + t0_s, where a cell holds what was programmed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from imcsim.errors import Problem
from imcsim.specs.curves import Curve, Curves, PolynomialCurves, rising
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class OfState(Spec):
    """What is given by curves of the state: x = g / `state_unit_S`, values in `unit_S` (None: g_max_S, each).

    A curve c(x) means c unit_S ("independent" of the state), c g ("proportional") or c unit_S^2 / g ("inverse", none
    at g = 0).
    """

    scaling: Literal["independent", "proportional", "inverse"] = "independent"
    unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")
    state_unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")

    def problems(self) -> Iterable[Problem]:
        if self.scaling == "proportional" and self.unit_S is not None:
            yield Problem(
                ("unit_S",), 'has no meaning where scaling = "proportional": g is the unit', f"{self.unit_S:g}"
            )


# ---- the write


@dataclass(frozen=True, kw_only=True)
class WriteVerify(Spec):
    """Writes are repeated until a cell lies within the tolerance of its target, `attempts` of them at most.

    The tolerance is relative to the target or to g_max. A cell that never passes keeps its last write.
    """

    tolerance_rel: float = limited(low=1e-6, high=10, unit="1")
    relative_to: Literal["target", "g_max"] = "g_max"
    attempts: int = limited(low=2, high=64)


@dataclass(frozen=True, kw_only=True)
class ProgrammingError(OfState):
    """The spread of one write about its target: `sigma` is the standard deviation, whatever the law.

    A normal, uniform or Student's t error is added; a log-normal one multiplies, and keeps the target as its mean. A
    `sigma` below zero counts as zero. `degrees_of_freedom` are those of "student_t": few of them, heavy tails.
    """

    sigma: Curve
    law: Literal["normal", "uniform", "lognormal", "student_t"] = "normal"
    degrees_of_freedom: float | None = limited(None, low=2.01, high=1e6, unit="1")
    verify: WriteVerify | None = None

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if (self.law == "student_t") != (self.degrees_of_freedom is not None):
            yield Problem(("degrees_of_freedom",), 'is needed where law = "student_t", and only there')


# ---- time


@dataclass(frozen=True, kw_only=True)
class NoDrift(Spec):
    """The cell keeps what was programmed, known or assumed: for a cell of which nothing is known, give no drift."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True, kw_only=True)
class PowerDrift(Spec):
    """g(t) = g_programmed (t / t0)^-nu, nu = |nu_mean + nu_sigma z| ("folded"), or as drawn ("normal").

    The curves are of the target, x = g / `state_unit_S` (None: g_max_S); z is normal and drawn at each write.
    """

    kind: ClassVar[str] = "power"
    nu_mean: Curve
    nu_sigma: Curve | None = None
    nu_law: Literal["folded", "normal"] = "folded"
    state_unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")


@dataclass(frozen=True, kw_only=True)
class LogarithmicDrift(Spec):
    """After t0 cells of any state lie about target + mean_slope_S ln t, spread by sigma_S + sigma_slope_S ln t, t in s.

    That is the whole spread, the error of the write within it, as in a table: one that is wider than that of the write
    adds a normal drawn at each write, a narrower one draws the cells to their mean. Without `sigma_S` the spread stays
    that of the write. At t0 a cell holds what was written.
    """

    kind: ClassVar[str] = "logarithmic"
    mean_slope_S: float = limited(0.0, low=-1, high=1, unit="S")
    sigma_S: float | None = limited(None, low=0, high=1, unit="S")
    sigma_slope_S: float = limited(0.0, low=0, high=1, unit="S")

    def problems(self) -> Iterable[Problem]:
        if self.sigma_S is None and self.sigma_slope_S > 0:
            yield Problem(("sigma_S",), "is needed where sigma_slope_S is above 0: the spread at t = 1 s", given="none")


@dataclass(frozen=True, kw_only=True)
class RelaxationDrift(Spec):
    """A cell relaxes from what was programmed with var = unit_S^2 (c1 log10 t + c2), t in s.

    None where that is negative. The curves are of the target, x = g / `state_unit_S` (None, as for `unit_S`: g_max_S).
    A cell relaxes one way, told by a normal drawn at each write. What relaxes until t0 is part of the write.
    """

    kind: ClassVar[str] = "relaxation"
    c1: Curve
    c2: Curve
    unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")
    state_unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")


@dataclass(frozen=True, kw_only=True)
class TableDrift(Spec):
    """The spread about the target, and the shift of its mean, as measured at `times_s` (t, after t0).

    The curves are of the target, x = g / `state_unit_S`, values in `unit_S` (None: g_max_S, each); between two times,
    and from t0 on, where the spread is that of the write, they are linear in ln t; beyond the last they stay. A spread
    that grows adds a normal drawn at each write, one that shrinks draws the cells to their mean.
    """

    kind: ClassVar[str] = "table"
    times_s: tuple[float, ...] = limited(low=1e-9, high=1e12, unit="s")
    sigma: Curves
    shift: PolynomialCurves | None = None
    unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")
    state_unit_S: float | None = limited(None, low=1e-15, high=1, unit="S")

    def problems(self) -> Iterable[Problem]:
        yield from rising("times_s", self.times_s)
        for name, curves in (("sigma", self.sigma), ("shift", self.shift)):
            if curves is not None and curves.count != len(self.times_s):
                yield Problem((name,), f"must be {len(self.times_s)} curves, one a time", given=f"{curves.count}")


Drift = NoDrift | PowerDrift | LogarithmicDrift | RelaxationDrift | TableDrift


# ---- reads


@dataclass(frozen=True, kw_only=True)
class WhiteNoise(OfState):
    """Read noise that is drawn afresh at every read of a cell; its sigma is a curve of the present state."""

    sigma: Curve


@dataclass(frozen=True, kw_only=True)
class FlickerNoise(OfState):
    """1/f noise, constant within a call: sigma sqrt(ln((t + t_read_s) / (2 t_read_s))) about the drifted conductance.

    `sigma` is a curve of the programmed or of the present state; "proportional" is always to the present one.
    """

    sigma: Curve
    state: Literal["programmed", "present"] = "programmed"
    t_read_s: float = limited(low=1e-12, high=1e3, unit="s")


@dataclass(frozen=True, kw_only=True)
class TelegraphNoise(OfState):
    """Two levels, `amplitude` apart (a curve of the present state), the upper one with probability `occupancy`.

    The mean is the conductance itself. A share of the cells, frozen at manufacture, have such a trap. Constant within a
    call.
    """

    amplitude: Curve
    occupancy: float = limited(low=0, high=1, unit="1")
    share_of_cells: float = limited(1.0, low=0, high=1, unit="1")


# ---- faults and limits


@dataclass(frozen=True, kw_only=True)
class StuckCells(Spec):
    """The shares of cells that hold g_max, g_min or `value_S` for ever, whatever is written."""

    on: float = limited(0.0, low=0, high=1, unit="1")
    off: float = limited(0.0, low=0, high=1, unit="1")
    at_value: float = limited(0.0, low=0, high=1, unit="1")
    value_S: float | None = limited(None, low=0, high=1, unit="S")

    def problems(self) -> Iterable[Problem]:
        if self.on + self.off + self.at_value > 1 + 1e-12:
            yield Problem(("on",), "on, off and at_value must add up to at most 1", given=f"{self.on:g}")
        if (self.at_value > 0) != (self.value_S is not None):
            yield Problem(("value_S",), "is needed where at_value is above 0, and only there")


@dataclass(frozen=True, kw_only=True)
class SinhCurrent(Spec):
    """I = g v_read_V sinh(V / v0_V) / sinh(v_read_V / v0_V): ohmic for v0 far above V, and g V at the read voltage."""

    v_read_V: float = limited(low=1e-3, high=10, unit="V")
    v0_V: float = limited(low=1e-3, high=1e3, unit="V")

    def problems(self) -> Iterable[Problem]:
        if self.v_read_V / self.v0_V > 50:
            yield Problem(
                ("v0_V",), f"must be at least v_read_V / 50 = {self.v_read_V / 50:g} V", given=f"{self.v0_V:g}"
            )


@dataclass(frozen=True, kw_only=True)
class ValidRange(Spec):
    """Where the numbers of a cell were measured: targets from g_low_S to g_high_S, t_since_write up to t_max_s.

    None: anywhere. Beyond, the cell is refused, or read with a warning that it is extrapolated.
    """

    g_low_S: float | None = limited(None, low=0, high=1, unit="S")
    g_high_S: float | None = limited(None, low=0, high=1, unit="S")
    beyond_states: Literal["error", "warning"] = "error"
    t_max_s: float | None = limited(None, low=0, high=1e12, unit="s")
    beyond_t_max: Literal["error", "warning"] = "warning"

    def problems(self) -> Iterable[Problem]:
        if None not in (self.g_low_S, self.g_high_S) and self.g_low_S > self.g_high_S:  # type: ignore[operator]
            yield Problem(("g_low_S",), f"must be at most g_high_S = {self.g_high_S:g}", given=f"{self.g_low_S:g}")


@dataclass(frozen=True, kw_only=True)
class ResistiveCell(Spec):
    """A memristive cell: conductances from g_min to g_max, and what writes, time and reads do to them; None: nothing.

    g_min is given, or g_max over `on_off_ratio`; neither: 0. The conductance `clips` from below, at zero or at g_min,
    or to the range. A cell without `drift` is one whose drift nobody knows: it is read at once or not at all.
    `activation_eV` speeds time up by Arrhenius' law where `temperature_K` is above the 300 K of the other numbers (of
    `valid.t_max_s`, too); both or none.
    """

    kind: ClassVar[str] = "resistive"
    g_max_S: float = limited(low=1e-12, high=1, unit="S")
    g_min_S: float | None = limited(None, low=0, high=1, unit="S")
    on_off_ratio: float | None = limited(None, low=1.1, high=1e12, unit="1")
    clips: Literal["zero", "g_min", "range"] = "zero"
    programming: ProgrammingError | None = None
    t0_s: float = limited(1.0, low=1e-9, high=1e9, unit="s")
    drift: Drift | None = None
    temperature_K: float | None = limited(None, low=1, high=600, unit="K")
    activation_eV: float | None = limited(None, low=0, high=5, unit="eV")
    white_noise: WhiteNoise | None = None
    flicker_noise: FlickerNoise | None = None
    telegraph_noise: TelegraphNoise | None = None
    stuck: StuckCells | None = None
    current: SinhCurrent | None = None
    valid: ValidRange | None = None

    @property
    def lowest(self) -> float:
        """The conductance of a cell that stores 0."""
        if self.g_min_S is not None:
            return self.g_min_S
        return 0.0 if self.on_off_ratio is None else self.g_max_S / self.on_off_ratio

    @property
    def span(self) -> float:
        """What a cell that stores all it can conducts more than one that stores 0: a full digit."""
        return self.g_max_S - self.lowest

    def problems(self) -> Iterable[Problem]:
        if None not in (self.g_min_S, self.on_off_ratio):
            yield Problem(("g_min_S",), "give either g_min_S or on_off_ratio: both are given")
        elif self.lowest >= self.g_max_S:
            yield Problem(("g_min_S",), f"must be below g_max_S = {self.g_max_S:g} S", given=f"{self.g_min_S:g}")
        flicker = self.flicker_noise
        if flicker is not None and flicker.t_read_s > self.t0_s:
            yield Problem(
                ("flicker_noise", "t_read_s"), f"must be at most t0_s = {self.t0_s:g} s", f"{flicker.t_read_s:g}"
            )
        if isinstance(self.drift, TableDrift) and self.drift.times_s[0] <= self.t0_s:
            given = f"{self.drift.times_s[0]:g}"
            yield Problem(
                ("drift", "times_s"), f"must lie after t0_s = {self.t0_s:g} s", given, "the write has the first"
            )
        if isinstance(self.drift, LogarithmicDrift | RelaxationDrift) and self.t0_s < 1:
            yield Problem(("t0_s",), f'must be at least 1 s where drift is "{self.drift.kind}"', given=f"{self.t0_s:g}")
        if self.programming is None and isinstance(self.drift, TableDrift):
            yield Problem(("programming",), 'is needed where drift is "table": it has the spread at t0_s')
        yield from self._of_temperature()

    def _of_temperature(self) -> Iterable[Problem]:
        if (self.temperature_K is None) != (self.activation_eV is None):
            missing = "temperature_K" if self.temperature_K is None else "activation_eV"
            yield Problem((missing,), "give both temperature_K and activation_eV, or none")
        elif self.activation_eV is not None and isinstance(self.drift, NoDrift | None):
            yield Problem(("activation_eV",), "would change nothing: the cell has no drift", f"{self.activation_eV:g}")

    def overriding(self, name: str, value: Any) -> dict[str, Any]:
        del value
        return {"g_min_S": {"on_off_ratio": None}, "on_off_ratio": {"g_min_S": None}}.get(name, {})
