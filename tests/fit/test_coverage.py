"""Of measurements drawn 400 times from known models, 90 to 98 % of the intervals of 95 % must hold the truth.

Prints the table of docs/measured.md.
"""

from __future__ import annotations

import drawn
import numpy as np
import pytest
from drawn import polynomial

from imcsim.fit import (
    AdcFit,
    DriftFit,
    MacFit,
    PowerUpFit,
    ProgrammingFit,
    PulseFit,
    ReadNoiseFit,
    SpectrumFit,
    TelegraphFit,
)
from imcsim.fit.shares import share
from imcsim.measurements import ReadNoise
from imcsim.rng import child

DRAWS = 400


def pcm_writes(rng):
    data = drawn.by_polynomial(rng, drawn.PCM_SIGMA, 25.0, 200)
    fit = ProgrammingFit(mean="none", sigma="polynomial", law="normal", state_unit_S=25e-6)
    return fit.fit(data, rng), {f"sigma.{'x' + str(k) if k else 1}": v for k, v in enumerate(drawn.PCM_SIGMA)}


def few_writes(rng):
    data = drawn.writes(rng, np.ones(20), rng.uniform(5, 25, 20))
    return ProgrammingFit(mean="constant", sigma="constant", law="normal").fit(data, rng), {"sigma": 1.0, "mean": 0.0}


def heavy_writes(rng):
    target = rng.uniform(5, 25, 400)
    data = drawn.writes(rng, polynomial(target, drawn.CMO_SIGMA), target, "student_t")
    fit = ProgrammingFit(mean="none", sigma="polynomial", sigma_degree=1, law="student_t", state_unit_S=1e-6)
    return fit.fit(data, rng), {"sigma.1": drawn.CMO_SIGMA[0], "sigma.x1": drawn.CMO_SIGMA[1]}


def power_drift(rng):
    nu = rng.normal(0.05, 0.015, 60)
    t = np.geomspace(20, 1e5, 6)
    g = 10 * (t / 20) ** -nu[:, None] * (1 + 0.005 * rng.standard_normal((60, 6)))
    data = drawn.Drift(conductance=g * 1e-6, time=t, target=np.full(60, 1e-5))
    fit = DriftFit(law="power", nu_mean="constant", nu_sigma="constant")
    return fit.fit(data, rng), {"nu_mean": 0.05, "nu_sigma": 0.015}


def cmo_drift(rng):
    expected = {"mean_slope": -0.0890, "sigma": 0.4118, "sigma_slope": 0.0420}
    return DriftFit(law="logarithmic").fit(drawn.cmo_drift(rng, 150), rng), expected


def relaxation(rng):
    fit = DriftFit(law="relaxation", degree=1, state_unit_S=200e-6)
    return fit.fit(drawn.relaxing(rng, 300), rng), {"c1.1": 4.0, "c1.x1": 6.0, "c2.1": 10.0, "c2.x1": 5.0}


def sonos_reads(rng):
    expected = {"sigma.amplitude": drawn.SONOS_READS[0], "sigma.scale": drawn.SONOS_READS[1]}
    return ReadNoiseFit(sigma="exponential", state_unit_S=1e-6).fit(drawn.sonos_reads(rng, 50, 200), rng), expected


def spectrum(rng):
    series = 1 + drawn.coloured(rng, 4096, 1.0, 1e-6, 2e-7, 0.01)
    data = ReadNoise(conductance=series[None] * 1e-5, interval=np.array(0.01))
    return SpectrumFit().fit(data, rng), {"beta": 1.0, "floor": 2e-7}


def telegraph(rng):
    data = drawn.telegraph(rng, 10_000, ((1.0, 5.0, 12.0),), 0.2, 0.01)
    expected = {"base": 10.0, "sigma": 0.2, "trap.amplitude": 1.0, "trap.up": 5.0, "trap.down": 12.0}
    return TelegraphFit(most=1).fit(data, rng), expected


def converter(rng):
    data, _ = drawn.converter(rng, 6, 0.4)
    return AdcFit().fit(data, rng), {"noise": 0.4, "lsb": 1.0, "offset": 0.0}


def macro(rng):
    return MacFit().fit(drawn.macro(rng, 0.97, 1.5, 2.0), rng), {"gain": 0.97, "offset": 1.5}


def power_up(rng):
    data = drawn.powered(rng, 4000, 0.066, 0.2)
    return PowerUpFit().fit(data, rng), {"noise_over_mismatch": 0.066, "bias": 0.2}


def pulses(rng):
    data = drawn.soft_bounds(rng, 1, pulses=100, dtod=0.0)
    result = PulseFit(model="soft_bounds").fit(data, rng)
    return result, {"cycle_sigma_rel": 0.3, "write_noise": 0.005}


def successes(rng):
    device = np.repeat(np.arange(60), 4)
    chance = rng.beta(18, 2, 60)[device]
    one = share("success", "", rng.random(240) < chance, device, rng)
    return {"success": one}, {"success": 0.9}


CASES = [
    pcm_writes, few_writes, heavy_writes, power_drift, cmo_drift, relaxation, sonos_reads, spectrum, telegraph,
    converter, macro, power_up, pulses, successes,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda one: one.__name__)
def test_intervals_hold_the_truth_as_often_as_they_say(case):
    held: dict[str, int] = {}
    how = ""
    for k in range(DRAWS):
        result, expected = case(child(0, "coverage", case.__name__, k))
        for name, value in expected.items():
            one = result[name]
            held[name] = held.get(name, 0) + int(one.low <= value <= one.high)
            how = one.interval
    for name, count in held.items():
        print(f"| {case.__name__.replace('_', ' ')} | `{name}` | {how} | {100 * count / DRAWS:.1f} |")
    low = {name: count / DRAWS for name, count in held.items() if not 0.90 <= count / DRAWS <= 0.98}
    assert not low
