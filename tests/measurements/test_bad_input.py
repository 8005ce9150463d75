"""Files of the layout with mistakes in them: all are told at once, each with where, what is allowed and a remedy."""

import numpy as np
import pytest

from imcsim.measurements import read

DRIFT = {"drift/conductance": ([[1.0, 2.0], [3.0, 4.0]], "uS"), "drift/time": ([0.0, 1.0], "s")}
ADC = {"adc_transfer/input": ([0.0, 1.0], "V"), "adc_transfer/code": [[0], [3]], "adc_transfer/bits": 2}
MAC = {"mac_transfer/ideal_sum": ([0, 1], "1"), "mac_transfer/probability": ([[0.5, 0.5], [0.1, 0.9]], "1")}
PULSES = {"pulse_response/conductance": ([[1.0, 2.0]], "uS"), "pulse_response/direction": [1]}
POWER_UP = {"power_up/power_ups": 15, "power_up/ones": [[3, 15]]}
SPREAD = {"spread/mean": ([[1.0, 2.0]], "Hz"), "spread/sigma": ([[0.1, 0.1]], "Hz"), "spread/repeats": 9}
NOISE = {"read_noise/conductance": ([[1.0, 2.0]], "uS"), "read_noise/interval": (0.1, "s")}
WRITES = {
    "program_verify/conductance": ([1.0, 2.0], "uS"),
    "program_verify/low": ([0.5, 1.5], "uS"),
    "program_verify/high": ([1.5, 2.5], "uS"),
}


@pytest.mark.parametrize("datasets", [DRIFT, ADC, MAC, PULSES, POWER_UP, SPREAD, NOISE, WRITES])
def test_the_files_are_sound_before_they_are_spoilt(datasets, drift_file):
    assert len(read(drift_file(datasets)).groups) == 1


@pytest.mark.parametrize(
    ("datasets", "change", "told"),
    [
        (DRIFT, {"drift/time": [0.0, 1.0]}, "[drift] time: has no unit; must be in s; give the dataset the attribute"),
        (
            DRIFT,
            {"drift/time": ([0.0, 1.0], "parsec")},
            'time: has the unknown unit "parsec"; must be in s; known: S, ',
        ),
        (DRIFT, {"drift/time": ([0.0, 1.0], "V")}, "[drift] time = V: must be in s"),
        (DRIFT, {"drift/time": None}, "[drift] time: is missing: since the write, (times) or (cells, times)"),
        (DRIFT, {"drift/time": ([0.0, 0.0], "s")}, "[drift] time: must increase: 0 follows 0"),
        (DRIFT, {"drift/time": ([[0, 2], [3, 1]], "s")}, "[drift] time: must increase: 1 follows 3"),
        (DRIFT, {"drift/time": ([-1.0, 1.0], "s")}, "[drift] time: must be at least 0: -1 is there"),
        (DRIFT, {"drift/time": ([0.0, 1.0, 2.0], "s")}, "[drift] time = 3: must have 2 times, as conductance has"),
        (DRIFT, {"drift/conductance": ([1.0, 2.0], "S")}, "must have the axes (cells, times)"),
        (DRIFT, {"drift/conductance": (np.full((2, 2), np.nan), "S")}, "conductance: holds no number"),
        (DRIFT, {"drift/conductance": (np.zeros((0, 2)), "S")}, "conductance: is empty along cells"),
        (DRIFT, {"drift/conductanse": 1}, 'unknown dataset "conductanse"; did you mean "conductance"?'),
        (DRIFT, {"drift/later/time": 1}, 'unknown dataset "later/time"'),
        (DRIFT, {"drifts/time": 1}, 'drifts: unknown group "drifts"; did you mean "drift"?'),
        (DRIFT, {"drift/valid": [[1, 0]]}, "valid = (1, 2): must have the shape of conductance, (2, 2)"),
        (DRIFT, {"drift/valid": [[0, 0], [0, 0]]}, "valid: leaves nothing of conductance"),
        (DRIFT, {"drift/valid": [[2, 0], [0, 0]]}, "valid: must be 0 or 1"),
        (DRIFT, {"drift/device": [0.5, 1.0]}, "device = 0.5: must be whole numbers"),
        (DRIFT, {"drift/device": [1e300, 1.0]}, "device = 1e+300: must be whole numbers"),
        ({"spread": 1}, {}, "spread = a dataset: must be a group"),
        (ADC, {"adc_transfer/bits": 40}, "bits: must be from 1 to 16: 40 is there"),
        (ADC, {"adc_transfer/code": [[0], [4]]}, "code: must be from 0 to 3, of 2 bits: 4 is there"),
        (ADC, {"adc_transfer/code": [0, 3]}, "code = an array of shape (2,): must have the axes (steps, repeats) or "),
        (ADC, {"adc_transfer/chip": [0, 1]}, "code = no axis of chips: must have 2 chips, as chip has"),
        (MAC, {"mac_transfer/probability": ([[0.5, 0.4], [0, 1]], "1")}, "must add up to 1 over the codes: 0.9000"),
        (MAC, {"mac_transfer/probability": ([[1.5, -0.5], [0, 1]], "1")}, "probability: must be from 0 to 1"),
        (MAC, {"mac_transfer/probability": ([0.5, 0.5], "1")}, "must have the axes (sums, codes) or (chips, sums,"),
        (MAC, {"mac_transfer/probability": None}, "code: is missing: one of code, counts, probability is needed"),
        (MAC, {"mac_transfer/observations": 0}, "observations: must be at least 1: 0 is there"),
        (PULSES, {"pulse_response/direction": [0]}, "direction: must be 1 or -1: 0 is there"),
        (POWER_UP, {"power_up/power_ups": 1, "power_up/ones": [1]}, "power_ups: must be at least 2: 1 is there"),
        (POWER_UP, {"power_up/ones": [16]}, "ones: must be from 0 to power_ups = 15"),
        (POWER_UP, {"power_up/majority": [[3, 15]]}, "majority: must be at least half of power_ups = 15"),
        (SPREAD, {"spread/sigma": ([[1.0, 1.0]], "s")}, "must be in one unit: mean is in Hz and sigma is in s"),
        (SPREAD, {"spread/sigma": ([[1.0, -1.0]], "Hz")}, "sigma: must be at least 0: -1 is there"),
        (NOISE, {"read_noise/interval": (0.0, "s")}, "interval: must be above 0: 0 is there"),
        (WRITES, {"program_verify/high": None}, "low: needs high beside it: a window has two ends"),
        (WRITES, {"program_verify/high": ([1.0, 1.0], "uS")}, "low: must not lie above high"),
        (WRITES, {"program_verify/success": [1, 2]}, "success: must be 0 or 1: 2 is there"),
        (
            {"program_verify/success": [1], "program_verify/target": ([1.0], "S")},
            {"program_verify/valid": [1]},
            "valid: marks the gaps of conductance, which is not there",
        ),
    ],
)
def test_a_mistake_is_told(datasets, change, told, drift_file, problems_of):
    path = drift_file({where: content for where, content in (datasets | change).items() if content is not None})
    problems = problems_of(read, path)
    assert len(problems) == 1
    assert told in problems[0]


def test_all_mistakes_of_all_groups_are_told_at_once(drift_file, problems_of):
    path = drift_file(
        DRIFT
        | {"drift/time": [0.0, 1.0], "drift/target": ([1.0], "V"), "drift/devise": [1, 2]}
        | ADC
        | {"adc_transfer/bits": 0}
        | {"read_noises/conductance": 1}
    )
    told = "\n".join(problems_of(read, path))
    for word in ("time: has no unit", "target = V", '"devise"', "bits: must be from 1", 'did you mean "read_noise"?'):
        assert word in told
    assert len(told.splitlines()) == 5


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (
            {"format": "other"},
            'format = other: must be "imcsim-measurement", an attribute of the root; a file of another',
        ),
        ({"format_version": 2}, "format_version = 2: must be 1"),
    ],
)
def test_another_layout_is_told_with_the_way_to_read_it(attributes, told, drift_file, problems_of):
    assert told in problems_of(read, drift_file(DRIFT, **attributes))[0]


def test_a_file_without_a_group_is_told(drift_file, problems_of):
    assert "holds no group of measurements; known: program_verify, " in problems_of(read, drift_file({}))[0]
