"""The sources of error, in the order of the signal's way through a chip; which of them a design has."""

from __future__ import annotations

import math

from imcsim import cells
from imcsim.budget.setting import Setting
from imcsim.converters import dac as dacs
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.cells import StoredBitCell
from imcsim.specs.dac import IdealDAC

WORDS = {
    "weights": "quantisation of weights",
    "inputs": "quantisation of inputs",
    "dac_levels": "DAC gain and levels",
    "dac_noise": "DAC noise",
    "lost_bits": "lost bits",
    "mismatch": "mismatch of cells",
    "read_noise": "read noise of cells",
    "column_noise": "noise of columns",
    "compression": "leakage, droop, load",
    "clipping": "clipping of columns",
    "adc_range": "ADC range",
    "adc_rounding": "ADC rounding",
    "adc_offset": "ADC offset",
    "adc_gain": "ADC gain",
    "adc_decisions": "ADC decisions",
    "adc_noise": "ADC noise",
    "interaction": "(correlation of these)",
}
INTERACTION = "interaction"  # no source: what of the others correlates, above all the noise that rounding takes away
NOISE = ("dac_levels", "dac_noise", "mismatch", "read_noise", "column_noise")  # what converters meet as noise
OF_CONVERSION = tuple(name for name in WORDS if name.startswith("adc_"))


def sources(setting: Setting) -> list[str]:
    """The sources that the design of a setting has."""
    spec, column = setting.spec, setting.crossbar.die.plan.column
    has = {
        "weights": True,
        "lost_bits": lost_share(setting) > 1e-12,
        "mismatch": cells.mismatch_sigma_rel(spec.cell) > 0,
        "read_noise": column.cell_variance > 0,
        "column_noise": column.variance > 0,
        "compression": column.droop > 0 or column.load > 0 or column.pedestal > 0,
        "clipping": column.swing < math.inf,
    }
    if not isinstance(dac := spec.dac, IdealDAC):
        bent = dac.unit_sigma_rel > 0 and dacs.unit_input(dac) > 1
        has |= {"inputs": True, "dac_levels": dac.gain_sigma_rel > 0 or bent, "dac_noise": dac.noise_lsb > 0}
    if not isinstance(adc := spec.adc, IdealADC):
        has |= {
            "adc_range": True,
            "adc_rounding": True,
            "adc_offset": adc.offset_sigma_lsb > 0,
            "adc_gain": adc.gain_sigma_rel > 0,
            "adc_decisions": not isinstance(adc, UniformADC),
            "adc_noise": adc.noise_lsb > 0,
        }
    return [name for name in WORDS if has.get(name)]


def lost_share(setting: Setting) -> float:
    """The share of cells that lose their bit at this supply."""
    cell = setting.spec.cell
    if not isinstance(cell, StoredBitCell) or None in (cell.v_min_mean_V, cell.v_min_sigma_V, cell.v_dd_V):
        return 0.0
    margin = cell.v_dd_V - cell.v_min_mean_V  # type: ignore[operator]  # none of them is None
    if not cell.v_min_sigma_V:
        return float(margin < 0)
    # P = Phi((mean - V_DD) / sigma), as in imcsim.cells.lost_bits
    return 0.5 * math.erfc(margin / cell.v_min_sigma_V / math.sqrt(2))
