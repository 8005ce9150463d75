"""What is told of a design, that its reads draw random numbers, is what its dies show: a second read is another one."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.manufacturing import manufacture, nominal_die
from imcsim.noisy_reads import draws
from imcsim.rng import child
from imcsim.specs.codec import overlay
from imcsim.specs.library import device_names, load

ROWS, COLS = 40, 6
WEIGHTS = child(0, "weights").uniform(-1, 1, (ROWS, COLS))
SRAM = load("sram_ideal")
FEW = {"bits": 3, "range": "mse"}
TRANSITIONS = {"kind": "measured", "bits": 2, "transitions": [0.5, 1.5, 2.5]}
PROBABILITIES = {"kind": "measured", "bits": 1, "inputs": [0.0, 1.0], "probabilities": [[0.7, 0.3], [0.4, 0.6]]}

SHIPPED = {name: load(name) for name in device_names()}
# its noise is a thirtieth of an LSB, and no code would ever show it
SHIPPED["sram_cap_28nm"] = overlay(SHIPPED["sram_cap_28nm"], {"adc": {"kind": "ideal"}})
SILENT = {
    "nothing": SRAM,
    "mismatch": SRAM.replace("cell.mismatch_sigma_rel", 0.1),
    "errors of converters": overlay(SRAM, {"adc": {**FEW, "offset_sigma_lsb": 0.3, "gain_sigma_rel": 0.05}}),
    "successive approximation": overlay(SRAM, {"adc": {"kind": "sar", **FEW}}),
    "rows of their own": overlay(SRAM, {"dac": {"kind": "one_shot", "bits": 6, "gain_sigma_rel": 0.1}}),
    "measured transitions": overlay(SRAM, {"adc": TRANSITIONS}),
    "no converters": overlay(SRAM, {"dac": {"kind": "ideal"}, "adc": {"kind": "ideal"}}),
}
NOISY = {
    "read noise": SRAM.replace("cell.read_noise_rel", 0.1),
    "ADC noise": overlay(SRAM, {"adc": {**FEW, "noise_lsb": 0.5}}),
    "DAC noise": overlay(SRAM, {"dac": {"kind": "one_shot", "bits": 6, "noise_lsb": 0.5}, "adc": {"kind": "ideal"}}),
}
AT_RANDOM = {
    "stochastic rounding": overlay(SRAM, {"adc": {**FEW, "rounding": "stochastic"}}),
    "comparator noise": overlay(SRAM, {"adc": {"kind": "sar", **FEW, "comparator_noise_lsb": 0.5}}),
    "measured probabilities": overlay(SRAM, {"adc": PROBABILITIES}),
}


def alone(name, kind):
    """A shipped resistive device of which one kind of noise is left."""
    spec = SHIPPED[name]
    for other in {"white_noise", "flicker_noise", "telegraph_noise"} - {kind}:
        spec = spec.replace(f"cell.{other}", None)
    return spec


RESISTIVE = {
    f"{kind} of {name}": alone(name, kind)
    for kind in ("white_noise", "flicker_noise", "telegraph_noise")
    for name in [next(name for name, spec in SHIPPED.items() if getattr(spec.cell, kind, None) is not None)]
}
ALL = {**SHIPPED, **SILENT, **NOISY, **AT_RANDOM, **RESISTIVE}


def reads_differ(die):
    x = child(0, "x").uniform(-1 if die.spec.dac.signed else 0, 1, (30, ROWS))
    crossbar = die.program(WEIGHTS, child(0, "program")).calibrate(x)
    first, second = (crossbar.mvm(x, child(0, "read", i)) for i in range(2))
    assert crossbar.draws == die.draws
    return not np.array_equal(first, second)


@pytest.mark.parametrize("name", ALL)
def test_a_design_is_said_to_draw_where_two_reads_of_a_die_differ(name):
    die = manufacture(ALL[name], WEIGHTS.shape, 1)
    assert draws(ALL[name]) == die.draws == reads_differ(die)


@pytest.mark.parametrize("name", ALL)
def test_on_the_nominal_die_only_converters_that_decide_at_random_draw(name):
    die = nominal_die(ALL[name], WEIGHTS.shape)
    assert draws(ALL[name], nominal=True) == die.draws == reads_differ(die) == (name in AT_RANDOM)


def test_the_cases_are_of_both_kinds():
    assert not any(draws(spec) for spec in SILENT.values())
    assert all(draws(spec) for spec in (*NOISY.values(), *AT_RANDOM.values(), *RESISTIVE.values()))
    assert len(RESISTIVE) == 3
