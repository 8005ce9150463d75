"""What cannot be fitted is told, and is never a result."""

from __future__ import annotations

import drawn
import numpy as np
import pytest

from imcsim.errors import ExtrapolationWarning, FitError, SpecError
from imcsim.fit import (
    AdcFit,
    ComponentsFit,
    DriftFit,
    MacFit,
    PowerUpFit,
    ProgrammingFit,
    PulseFit,
    ReadNoiseFit,
    SpectrumFit,
    SpreadFit,
    TelegraphFit,
    estimators,
)
from imcsim.fit.likelihood import Free, maximise
from imcsim.measurements import (
    AdcTransfer,
    Drift,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
    Spread,
)

ONES = np.ones(30)

CANNOT = {
    "few writes": (ProgrammingFit(), ProgramVerify(target=ONES[:5], conductance=ONES[:5]), "needs at least 20 writes"),
    "one device": (
        ProgrammingFit(),
        ProgramVerify(target=ONES * 1e-6, conductance=np.arange(30) * 1e-6, device=np.zeros(30, int)),
        "needs writes of several devices",
    ),
    "no error": (ProgrammingFit(), ProgramVerify(target=ONES, conductance=ONES), "does not vary about its targets"),
    "one level": (
        ProgrammingFit(sigma="polynomial"),
        ProgramVerify(target=ONES * 1e-6, conductance=np.linspace(0.5, 1.5, 30) * 1e-6),
        "is one level only",
    ),
    "few cells": (DriftFit(), Drift(conductance=np.ones((2, 3)), time=np.arange(3.0)), "needs at least 3 cells"),
    "one time": (
        DriftFit(),
        Drift(conductance=np.ones((5, 2)), time=np.array([5.0, np.nan])),
        "needs at least 3 cells",
    ),
    "few reads": (ReadNoiseFit(), ReadNoise(conductance=np.ones((3, 4))), "is read 16 times or more"),
    "no noise": (ReadNoiseFit(), ReadNoise(conductance=np.ones((3, 40))), "does not vary"),
    "no interval": (SpectrumFit(), ReadNoise(conductance=np.ones((3, 100))), "the time from read to read"),
    "short trace": (TelegraphFit(), ReadNoise(conductance=np.ones((3, 100))), "needs 200 reads"),
    "no repeats": (
        AdcFit(),
        AdcTransfer(input=np.arange(8.0), code=np.arange(8)[:, None], bits=np.array(3)),
        "converted twice or more",
    ),
    "no converter noise": (
        AdcFit(),
        AdcTransfer(input=np.arange(8.0), code=np.repeat(np.arange(8), 3).reshape(8, 3), bits=np.array(3)),
        "does not vary from repeat to repeat",
    ),
    "few sums": (MacFit(), MacTransfer(ideal_sum=np.arange(3.0), counts=np.ones((3, 3))), "needs at least 5 sums"),
    "no such chip": (
        MacFit(chip=3),
        MacTransfer(ideal_sum=np.arange(6.0), counts=np.ones((6, 3))),
        "must be from 0 to 0",
    ),
    "stable cells": (
        PowerUpFit(),
        PowerUp(power_ups=np.array(5), ones=np.tile([0, 5], 50)),
        "no cell that came up both",
    ),
    "one way": (
        PulseFit(),
        PulseResponse(conductance=np.tile(np.arange(20.0), (2, 1)), direction=np.array([1, 1])),
        "must have trains up and down",
    ),
    "short trains": (
        PulseFit(),
        PulseResponse(conductance=np.tile(np.arange(5.0), (2, 1)), direction=np.array([1, -1])),
        "needs trains of more than 10 pulses",
    ),
    "one die": (SpreadFit(), Spread(value=np.ones((1, 3, 4))), "needs two dies and two places"),
    "no repeats of a spread": (SpreadFit(), Spread(mean=np.ones((3, 3))), "without them noise is not told"),
    "no factor": (ComponentsFit(), ProgramVerify(target=ONES, conductance=ONES), "written twice or more"),
}


@pytest.mark.parametrize(("estimator", "data", "told"), CANNOT.values(), ids=CANNOT.keys())
def test_what_a_fit_lacks_is_told(estimator, data, told):
    with pytest.raises(FitError, match=told):
        estimator.fit(data, np.random.default_rng(0))


def test_a_fit_that_does_not_converge_is_no_result():
    free = (Free(name="a", unit="1", what="", start=1.0), Free(name="b", unit="1", what="", start=1.0))
    data = np.random.default_rng(0).standard_normal(50)
    with pytest.raises(FitError, match="did not converge: the data do not tell a, b"):
        maximise(lambda v: -((data - v[0] - v[1]) ** 2), free, "here")  # only their sum is told
    with pytest.raises(FitError, match="did not converge"):
        maximise(lambda v: np.array([v[0] + v[1]]), free, "here")  # no maximum at all
    with pytest.raises(FitError, match="cannot begin"):
        maximise(lambda v: np.array([np.nan]), free, "here")


def test_a_parameter_at_a_bound_is_told():
    data = np.random.default_rng(0).standard_normal(50) + 3
    found = maximise(
        lambda v: -((data - v[0]) ** 2), [Free(name="a", unit="1", what="", start=0.5, low=0.0, high=1.0)], "here"
    )
    assert found.warnings() == ["a is at its bound, 1 1: the data do not hold it"]
    assert np.isnan(found.covariance).all()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["drft.law=power"], 'did you mean "drift"'),
        (["drift.lw=power"], 'did you mean "law"'),
        (["drift.law=quadratic"], "must be one of auto, power"),
        (["drift.degree=two"], "must be a number"),
        (["drift.degree=2.5"], "must be a whole number"),
        (["read_noise.white=1"], "must be true or false"),
    ],
)
def test_settings_that_cannot_be_are_told(settings, told):
    with pytest.raises(SpecError, match=told):
        estimators(settings)


def test_settings_are_heard():
    chosen = estimators(["drift.law=power", "drift.t0_s=20", "read_noise.white=true", "adc.chip=1"])
    assert (chosen["drift"].law, chosen["drift"].t0_s) == ("power", 20.0)
    assert chosen["read_noise"].white
    assert chosen["adc"].chip == 1
    assert set(estimators(only=["drift"])) == {"drift"}
    with pytest.raises(SpecError, match="did you mean"):
        estimators(only=["drif"])


def test_few_devices_are_told_and_their_intervals_are_of_the_likelihood():
    rng = np.random.default_rng(3)
    result = ProgrammingFit(sigma="constant", mean="none", law="normal").fit(
        drawn.writes(rng, np.ones(24), rng.uniform(5, 20, 24)), rng
    )
    assert any("24 devices: fewer than 30" in warning for warning in result.warnings)
    assert "profile likelihood, within these devices" in result["sigma"].interval


def test_a_prediction_beyond_what_was_measured_warns():
    rng = np.random.default_rng(4)
    result = ProgrammingFit(sigma="constant", mean="none", law="normal").fit(
        drawn.writes(rng, np.ones(40), rng.uniform(5, 20, 40)), rng
    )
    result.predict(np.array([10e-6]))
    with pytest.warns(ExtrapolationWarning, match="states were measured from"):
        result.predict(np.array([50e-6]))
    drift = DriftFit(law="logarithmic").fit(drawn.cmo_drift(rng, 60), rng)
    drift.predict(50e-6, 1e5)  # the last that was read
    with pytest.warns(ExtrapolationWarning, match="times were measured up to"):
        drift.predict(50e-6, 1e9)
