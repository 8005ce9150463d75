"""[gradient]: the cosine between a rule's estimates and the gradient of its die, beside what it learns."""

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.experiment.evaluate import WORK
from imcsim.experiment.study_file import read_study
from imcsim.study.run import run
from imcsim.study.table import read_table

STUDY = """
name = "cosines"
dataset = "iris"
{gradient}
[network]
hidden = [8]
[training]
where = "chip"
rule = "hardware_in_the_loop"
epochs = 3
learning_rate = 0.001  # so small that no input outgrows the range it was calibrated for
[chip]
device = "sram_ideal"
dac = {{ kind = "ideal", signed = true, out_of_range = "clip" }}
adc = {{ kind = "ideal" }}
decorrelation = {{ kind = "digital" }}
[variants.exact]
[variants.noisy]
chip.cell = {{ read_noise_rel = 2.0 }}
[variants."in silico"]
training = {{ where = "digital", rule = "backprop" }}
[variants.np]
training.rule = "np"
[variants.danp]
training.rule = "danp"
"""
MEASURED = "[gradient]\nafter_epochs = 2\n"


def rows_of(tmp_path, gradient):
    (tmp_path / "study.toml").write_text(STUDY.format(gradient=gradient))
    run(read_study(tmp_path / "study.toml"), tmp_path / "out", WORK, lambda _: None)
    rows = read_table(tmp_path / "out" / "study.h5").summary().rows
    return {row.coordinates["variant"]: row for row in rows}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("measured"), MEASURED)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return rows_of(tmp_path_factory.mktemp("plain"), "")


def cosine(row):
    return row.numbers["gradient_cosine"]


def test_backprop_on_a_chip_without_errors_follows_its_gradient(measured):
    assert cosine(measured["exact"]) == pytest.approx(1.0, abs=1e-3)


def test_noise_turns_it_and_perturbation_is_further_off(measured):
    assert 0.0 < cosine(measured["noisy"]) < 0.97
    assert 0.0 < cosine(measured["np"]) < 0.9
    assert 0.0 < cosine(measured["danp"]) < 0.9


def test_what_is_trained_in_float_has_none(measured):
    assert np.isnan(cosine(measured["in silico"]))


def test_nothing_that_is_learnt_depends_on_it(measured, plain):
    for variant, row in plain.items():
        np.testing.assert_array_equal(row.values, measured[variant].values)
        for name, number in row.numbers.items():
            np.testing.assert_equal(number, measured[variant].numbers[name])
        for name, series in row.series.items():
            np.testing.assert_array_equal(series, measured[variant].series[name])


def test_the_accuracy_on_the_test_samples_ends_where_the_point_stands(plain):
    of_test = plain["exact"].series["epoch_accuracy_test"][0, 0]
    assert np.isfinite(of_test).all()
    assert of_test[-1] == pytest.approx(plain["exact"].accuracy.mean, abs=1e-9)


@pytest.mark.parametrize(
    ("gradient", "told"),
    [
        ("[gradient]\nafter_epochs = 4\n", "must be at most training.epochs = 3"),
        ("[gradient]\ndraws = 1\n", "draws = 1"),
        ("[gradient]\n[alignment]\n", "nothing is learnt"),
    ],
)
def test_what_cannot_be_measured_is_told(tmp_path, gradient, told):
    (tmp_path / "study.toml").write_text(STUDY.format(gradient=gradient))
    with pytest.raises(SpecError, match=told):
        read_study(tmp_path / "study.toml")
