"""The read transistor of an SRAM cell: its current, mismatch and leakage, as V_WL and temperature have them."""

from __future__ import annotations

from imcsim.cells.sram import mismatch_sigma_rel
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import REFERENCE_K, SramCurrentCell, SramDischargeCell, TransistorCell


def on_current(cell: TransistorCell) -> float:
    """The current of a nominal conducting cell, in A."""
    # mobility falls as (T / 300 K)^-m: phonon scattering, m about 1.5 (BSIM4: UTE; unverified)
    k = cell.k_A_per_Valpha * (cell.temperature_K / REFERENCE_K) ** -cell.mobility_exponent
    # I = k (V_WL - V_t)^alpha: alpha-power law (Sakurai & Newton 1990), as in Gonugondla et al. (unverified)
    return float(k * (cell.v_wl_V - cell.threshold) ** cell.alpha)


@mismatch_sigma_rel.register
def _(cell: SramDischargeCell | SramCurrentCell) -> float:
    if cell.mismatch_sigma_rel is not None:
        return cell.mismatch_sigma_rel
    assert cell.sigma_vt_V is not None  # the spec holds exactly one of the two
    # dI / I = alpha sigma_Vt / (V_WL - V_t), the derivative of the alpha-power law: Gonugondla et al. (unverified)
    return cell.alpha * cell.sigma_vt_V / (cell.v_wl_V - cell.threshold)


def leakage_rel(cell: TransistorCell) -> float:
    """What a cell leaks, conducting or not, in units of its on-current."""
    if cell.leakage_rel is not None:
        return cell.leakage_rel
    if cell.leak_A is None:
        return 0.0
    # subthreshold leakage is exponential in temperature, about; it is that of a word line at 0 V, whatever V_WL
    doublings = 0.0
    if cell.leak_doubling_K is not None:
        doublings = (cell.temperature_K - REFERENCE_K) / cell.leak_doubling_K
    return cell.leak_A * 2**doublings / on_current(cell)


def pedestal(cell: TransistorCell, array: ArraySpec) -> float:
    """What the cells of a column leak together, in MAC units: the unit is what a conducting cell adds to that."""
    return leakage_rel(cell) * array.rows
