"""The loss ADC: levels, clipping, noise and the mean of a batch against closed forms."""

import math

import numpy as np
import pytest

from imcsim.converters.loss import read_loss
from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.specs.loss_adc import LossADC


def read(losses, **fields):
    return read_loss(LossADC(**{"bits": 3, "full_scale": 7.0, **fields}), np.asarray(losses), child(0, "loss"))


def test_a_loss_is_read_at_the_nearest_of_its_levels_and_clipped_to_the_full_scale():
    losses = [0.0, 0.49, 0.51, 2.2, 6.6, 7.0, 9.0, np.inf, -0.3]
    np.testing.assert_allclose(read(losses), [0, 0, 1, 2, 7, 7, 7, 7, 0])
    np.testing.assert_allclose(read([0.4, 1.4], bits=1, full_scale=2.0), [0.0, 2.0])


@pytest.mark.parametrize("bits", [1, 4, 12])
def test_the_levels_are_two_to_the_bits_from_zero_to_the_full_scale(bits):
    adc = LossADC(bits=bits, full_scale=3.0)
    found = np.unique(read_loss(adc, np.linspace(0, 3, 2**bits * 16), child(0)))
    np.testing.assert_allclose(found, np.linspace(0, 3, 2**bits), atol=1e-12)
    assert adc.lsb == 3.0 / (2**bits - 1)


def test_the_mean_error_of_rounding_is_that_of_a_uniform_step():
    adc = LossADC(bits=10, full_scale=4.0)
    losses = child(0, "uniform").uniform(0, 4, size=200_000)
    error = (read_loss(adc, losses, child(0)) - losses) / adc.lsb
    # variance 1 / 12, of the square 1 / 180
    assert abs(np.mean(error**2) - 1 / 12) < 5 * math.sqrt(1 / 180 / len(losses))


@pytest.mark.parametrize("noise_lsb", [1.5, 6.0])
def test_noise_has_its_standard_deviation_and_a_twin_of_other_noise_is_told_apart(noise_lsb):
    adc, draws = LossADC(bits=12, full_scale=4.0, noise_lsb=noise_lsb), 100_000
    found = read_loss(adc, np.full(draws, 2.0), child(0, "noise")) / adc.lsb
    variance = noise_lsb**2 + 1 / 12  # of rounding, which is uniform from a noise of an LSB on
    five_sigma = 5 * variance * math.sqrt(2 / draws)
    assert abs(found.var() - variance) < five_sigma
    assert abs(found.mean() - 2.0 / adc.lsb) < 5 * math.sqrt(variance / draws)
    twin = read_loss(adc.replace("noise_lsb", 1.1 * noise_lsb), np.full(draws, 2.0), child(0, "noise")) / adc.lsb
    assert abs(twin.var() - variance) > five_sigma


def test_each_loss_of_each_probe_has_noise_of_its_own():
    found = read(np.full((3, 4), 3.0), bits=16, noise_lsb=100.0)
    assert found.shape == (3, 4)
    assert len(np.unique(found)) == 12


def test_the_mean_of_a_batch_is_converted_once():
    losses = child(0, "batch").uniform(0, 7, size=(3, 50))
    found = read(losses, per_sample=False)
    assert found.shape == (3, 1)
    np.testing.assert_allclose(found, np.rint(losses.mean(axis=1, keepdims=True)))
    assert read(losses[0], per_sample=False).shape == (1,)
    # converting each first would be another reading
    assert (read(losses).mean(axis=1, keepdims=True) != found).any()


def test_a_loss_that_is_not_a_number_is_not_read_as_one():
    assert np.isnan(read([np.nan, 1.0])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 0}, "bits = 0: must be an integer from 1 to 24: of 0 bits it gives the same value for every loss"),
        ({"bits": 25}, "bits = 25: must be an integer from 0 to 24"),
        ({"full_scale": 0}, r"full_scale = 0.0: must be greater than 0; twice the loss of guessing, 2 ln\(classes\)"),
        ({"noise_lsb": -1}, "noise_lsb = -1: must be a finite number from 0 to"),
    ],
)  # fmt: skip
def test_a_converter_that_cannot_be_is_not_born(fields, message):
    with pytest.raises(SpecError, match=message):
        LossADC(**{"full_scale": 4.0, **fields})
