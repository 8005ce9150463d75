"""Compound arrays: a fast array passes what it learns to a slow one, and together they learn what one does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossbar_chips import chip
from pulsed_chips import STEP, constant, held, pulsed_chip

from imcsim.cells.pulsed import symmetric_point
from imcsim.compound import compound
from imcsim.errors import CapabilityError, SpecError
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.compound import ChoppedTikiTaka, MixedPrecision, TikiTaka, TikiTakaV2
from imcsim.specs.dac import BitSerialDAC, IdealDAC
from imcsim.specs.library import load
from imcsim.specs.pulsed import SoftBoundsDevice
from imcsim.specs.transpose import TransposeRead
from imcsim.updates import Outer

SHAPE = 5, 3
RNG = child(0, "compound")
WEIGHTS = RNG.uniform(-0.3, 0.3, SHAPE)
SPREAD = SoftBoundsDevice(
    dw_min=STEP, w_min=-0.6, w_max=0.6, up_down_dtod=0.2, dw_min_dtod_rel=0.2, cycle_sigma_rel=0.3
)
PLAIN = {"transfer_rate": 0.5, "reference": "none"}
TRANSFERRING = [
    TikiTaka(transfer_rate=0.5, reference="exact"),
    TikiTakaV2(transfer_rate=0.5, reference="measured", gamma=0.3),
    ChoppedTikiTaka(transfer_rate=0.5, reference="exact", chopper_probability=0.5),
]
ALL_SCHEMES = [*TRANSFERRING, MixedPrecision()]
EVERY_SCHEME = pytest.mark.parametrize("scheme", ALL_SCHEMES, ids=lambda scheme: scheme.kind)


def array(scheme, device=None, key=1, weights=WEIGHTS, **changes):
    made = compound(pulsed_chip(device, **changes), scheme, np.shape(weights)[-2:], key)
    return made.program(weights, child(0, "program"))


def rows(*values, cols=3):
    """Factors that add each value to a row of its own, sample by sample: as many pulses in every column of it."""
    x = np.zeros((len(values), SHAPE[0]))
    x[np.arange(len(values)), np.arange(len(values)) % SHAPE[0]] = np.sign(values)
    return Outer(x, np.abs(np.array(values))[:, None] * np.ones((1, cols)))


def rng(seed=0):
    return child(seed, "write")


# Transfers


def test_what_is_read_of_a_row_of_the_fast_array_moves_the_same_row_of_the_slow_one():
    # every probability is 1: lr x delta is a whole train of certain pulses
    scheme = TikiTakaV2(transfer_every=2, most_pulses=31, **PLAIN)
    start = array(scheme, constant())
    x, delta = np.array([[1.0, 0, -1, 0, 0]] * 2), np.full((2, 3), 10 * STEP)
    after = start.write(Outer(x, delta), rng())
    np.testing.assert_allclose(held(after.fast), np.array([20, 0, -20, 0, 0])[:, None] * STEP * np.ones(3), atol=1e-6)
    # row 0 comes first: half of 20 steps
    moved = held(after.slow) - WEIGHTS
    np.testing.assert_allclose(moved, np.array([10, 0, 0, 0, 0])[:, None] * STEP * np.ones(3), atol=1e-6)
    # then rows 1 and 2
    later = after.write(Outer(np.zeros((4, 5)), delta[[0, 0, 0, 0]]), rng())
    moved = held(later.slow) - WEIGHTS
    np.testing.assert_allclose(moved, np.array([10, 0, -10, 0, 0])[:, None] * STEP * np.ones(3), atol=1e-6)
    assert later.wear.slow.total == 60
    assert later.wear.fast.total == 2 * 2 * 3 * 10
    assert later.samples == 6


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    "scheme",
    [
        TikiTakaV2(most_pulses=5, **PLAIN),
        ChoppedTikiTaka(most_pulses=5, chopper_probability=1.0, **PLAIN),
        TikiTaka(transfer_rate=0.9999, reference="none"),  # of 7.0001 steps a train would need an eighth slot
    ],
    ids=lambda scheme: scheme.kind,
)
def test_a_batch_does_what_its_samples_do_one_after_the_other(scheme, every):
    # every pulse is certain: seven whole steps a sample, and of version one as many back as read
    factors = rows(*RNG.choice([-7 * STEP, 7 * STEP], 19))
    scheme = dataclasses.replace(scheme, transfer_every=every)
    whole = array(scheme, constant()).write(factors, rng())
    apart = array(scheme, constant())
    for sample in range(19):
        apart = apart.write(Outer(factors.x[[sample]], factors.delta[[sample]]), rng(sample))
    np.testing.assert_allclose(whole.fast.held.states, apart.fast.held.states, atol=1e-6)
    np.testing.assert_allclose(whole.slow.held.states, apart.slow.held.states, atol=1e-6)
    np.testing.assert_allclose(whole.buffer, apart.buffer, atol=1e-6)
    np.testing.assert_array_equal(whole.chopper, apart.chopper)
    assert whole.samples == apart.samples == 19
    assert whole.wear.fast.total == apart.wear.fast.total
    assert whole.wear.slow.total == apart.wear.slow.total > 0
    # rows that were read before their samples came would have passed less
    late = array(scheme, constant()).write(Outer(factors.x[::-1], factors.delta[::-1]), rng())
    assert (late.slow.held.states != whole.slow.held.states).any()


def test_the_buffer_keeps_what_was_not_yet_paid_for():
    scheme = TikiTakaV2(threshold=4.0, **PLAIN)
    after = array(scheme, constant()).write(rows(11 * STEP), rng())
    # 5.5 steps came in, one pulse of threshold 4 went out
    np.testing.assert_allclose(after.buffer[0, 0], 1.5 * STEP, atol=1e-6)
    np.testing.assert_allclose(held(after.slow)[0] - WEIGHTS[0], STEP, atol=1e-6)
    forgetful = dataclasses.replace(scheme, kept=0.1)
    after = array(forgetful, constant()).write(rows(11 * STEP), rng())
    np.testing.assert_allclose(after.buffer[0, 0], 0.55 * STEP, atol=1e-6)


def test_version_one_passes_what_it_reads_on_average():
    n, scheme = 3000, TikiTaka(**PLAIN)
    after = array(scheme, constant(), list(range(n)), np.zeros(SHAPE)).write(rows(5 * STEP), rng())
    moved = held(after.slow)[:, 0]
    # 2.5 steps: a train of three slots, each of them a pulse with 5/6, for all columns alike
    assert np.abs(moved.mean(axis=0) - 2.5 * STEP).max() < 5 * STEP * np.sqrt(3 * 5 / 36 / n)
    assert not np.abs(moved.mean(axis=0) - 2.6 * STEP).max() < 5 * STEP * np.sqrt(3 * 5 / 36 / n)


def test_choppers_turn_the_fast_array_over_and_what_is_read_back():
    scheme = ChoppedTikiTaka(transfer_rate=1.0, reference="none", chopper_probability=1.0, most_pulses=31)
    after = array(scheme, constant()).write(rows(5 * STEP), rng())
    assert after.chopper.tolist() == [[-1, 1, 1, 1, 1]]
    again = after.write(rows(5 * STEP), rng())
    # the second update took off what the first had put on
    np.testing.assert_allclose(held(again.fast)[0], 0, atol=1e-6)
    np.testing.assert_allclose(held(again.slow)[0] - WEIGHTS[0], 5 * STEP, atol=1e-6)


def test_the_fast_array_is_read_through_its_own_converters():
    step = 2 * 0.6 / 62  # of six bits over the range of a device
    spec = {"adc": UniformADC(bits=6), "dac": BitSerialDAC(bits=1)}
    scheme = TikiTakaV2(transfer_rate=1.0, reference="none", threshold=1e6)
    coarse = array(scheme, constant(), **spec).calibrate(np.ones((1, 5)))
    after = coarse.write(rows(31 * STEP), rng())
    read = after.buffer[0, 0, 0]
    assert abs(read - 31 * STEP) <= 0.6 * step
    assert read != pytest.approx(31 * STEP, rel=1e-3)
    assert held(after.fast)[1, 0] == pytest.approx(0, abs=0.6 * step)


@pytest.mark.parametrize("write_noise", [0.0, 20.0])
@pytest.mark.parametrize("reference", ["exact", "measured", "none"])
def test_the_fast_array_starts_at_its_symmetric_points_as_told(reference, write_noise):
    scheme = TikiTaka(transfer_rate=0.5, reference=reference, reference_pairs=3000)
    start = array(scheme, dataclasses.replace(SPREAD, write_noise_rel=write_noise))
    points = symmetric_point(start.fast.die.devices)
    assert np.abs(points).max() > 0.1
    states = start.fast.held.states
    tolerance = {"exact": 1e-6, "measured": 0.05, "none": 0}[reference]
    np.testing.assert_allclose(states, 0 * points if reference == "none" else points, atol=tolerance)
    # what was programmed to zero is seen with write noise, six sigma at most
    np.testing.assert_allclose(held(start.fast), 0, atol=1e-6 + 6 * write_noise * STEP * (reference == "none"))
    if reference == "exact":
        np.testing.assert_array_equal(start.fast.held.reference, states)
    assert (np.std(held(start.fast)) > 5 * STEP) == (reference == "none" and write_noise > 0)
    assert start.wear.fast.most == (6000 if reference == "measured" else 0)
    assert start.wear.slow.total == 0


def test_mixed_precision_writes_what_the_buffer_holds_in_whole_steps():
    start = array(MixedPrecision(), constant())
    delta = RNG.normal(0, 0.4 * STEP, (20, *SHAPE))
    after = start
    for one in delta:
        after = after.write(one, rng())
    total, moved = delta.sum(axis=0), held(after.slow) - WEIGHTS
    np.testing.assert_allclose(moved + after.buffer[0], total, atol=1e-6)
    assert np.abs(after.buffer).max() < STEP
    np.testing.assert_allclose(moved / STEP, np.rint(moved / STEP), atol=1e-3)
    assert after.wear.fast is None
    x, d = RNG.normal(size=(4, 5)), RNG.normal(0, STEP, (4, 3))
    by_factors, by_matrix = (start.write(update, rng()) for update in (Outer(x, d), x.T @ d))
    np.testing.assert_array_equal(by_factors.slow.held.states, by_matrix.slow.held.states)


# The interface of a crossbar


def test_the_weights_are_gamma_times_the_fast_array_and_the_slow_one():
    scheme = TikiTaka(transfer_every=100, transfer_rate=0.5, gamma=0.25, reference="exact")
    after = array(scheme, SPREAD).write(rows(31 * STEP, -20 * STEP), rng())
    eye = np.eye(5)
    np.testing.assert_allclose(after.mvm(eye, rng()), held(after.slow) + 0.25 * held(after.fast), atol=1e-6)
    assert np.abs(held(after.fast)).max() > 0.01


def test_the_pairs_of_both_arrays_are_noisy(assert_moments):
    scheme = TikiTaka(transfer_rate=0.5, gamma=0.75, reference="none")
    noisy = array(scheme, constant(), weights=np.zeros((20, 400)), cell={"read_noise_rel": 0.02}, rows=32, cols=400)
    x = np.tile(RNG.uniform(-1, 1, (1, 20)), (500, 1))
    # 2 % of w_max = 0.6 a pair, and three quarters of it
    assert_moments(noisy.mvm(x, rng()), 0, 0.02 * 0.6 * 1.25 * np.sqrt(np.square(x[0]).sum()))


@EVERY_SCHEME
def test_a_member_of_an_ensemble_has_the_bits_it_has_alone(scheme):
    keys, factors = [3, 4, 5], Outer(RNG.normal(size=(12, 5)), RNG.normal(0, 0.01, (12, 3)))
    noisy = {"cell": {"read_noise_rel": 0.01}}
    own = np.stack([factors.x, -factors.x, 2 * factors.x])
    together = array(scheme, SPREAD, keys, **noisy).write(Outer(own, factors.delta), rng())
    y = together.mvm(np.eye(5), [child(0, "read", k) for k in range(3)])
    for k, key in enumerate(keys):
        alone = array(scheme, SPREAD, key, **noisy).write(Outer(own[k], factors.delta), rng())
        np.testing.assert_array_equal(alone.slow.held.states[0], together.slow.held.states[k])
        np.testing.assert_array_equal(alone.buffer[0], together.buffer[k])
        np.testing.assert_array_equal(alone.chopper[0], together.chopper[k])
        np.testing.assert_array_equal(alone.mvm(np.eye(5), child(0, "read", k)), y[k])
    assert (y[0] != y[1]).any()


@EVERY_SCHEME
def test_the_array_before_a_write_is_as_it_was(scheme):
    start = array(scheme, SPREAD)
    factors = Outer(RNG.normal(size=(12, 5)), RNG.normal(0, 0.01, (12, 3)))
    before = start.mvm(np.eye(5), rng())
    after = start.write(factors, rng())
    assert (after.mvm(np.eye(5), rng()) != before).any()
    np.testing.assert_array_equal(start.mvm(np.eye(5), rng()), before)
    np.testing.assert_array_equal(start.write(factors, rng()).buffer, after.buffer)


def test_what_a_compound_array_cannot_do_it_refuses():
    start = array(TRANSFERRING[0], SPREAD)
    with pytest.raises(CapabilityError, match="written: nobody knows what pulses have written"):
        _ = start.written
    with pytest.raises(
        CapabilityError, match=r"update = a matrix: .*pulse trains; give Outer\(x, delta\), as optimizer = \"sgd\""
    ):
        start.write(np.zeros(SHAPE), rng())
    with pytest.raises(SpecError, match=r'cell.kind = "sram": compound arrays are made of pulsed devices'):
        compound(chip(), TRANSFERRING[0], SHAPE, 1)
    with pytest.raises(CapabilityError, match="devices of constant step have no symmetric point"):
        array(TRANSFERRING[0], constant())
    with pytest.raises(SpecError, match=r"x = shape \(1, 4\): must be \(samples, 5\)"):
        start.write(Outer(np.zeros((1, 4)), np.zeros((1, 3))), rng())


# Reads of both arrays at once, through converters

READ = TransposeRead(dac=IdealDAC(signed=True), adc=IdealADC())


def full(gamma, device=None, read=READ, key=1, **changes):
    """Both arrays near their upper bounds, so that they sum to more than one of them can hold."""
    spec = pulsed_chip(device, **changes).replace("transpose", read)
    scheme = TikiTaka(transfer_every=10**6, transfer_rate=0.5, gamma=gamma, reference="none")
    start = compound(spec, scheme, SHAPE, key).program(np.full(SHAPE, 0.5), child(0, "program"))
    x = np.tile(np.eye(5), (16, 1))
    return start.write(Outer(x, np.full((80, 3), 30 * STEP)), rng())


def joined_matrix(xbar, gamma):
    return xbar.slow.held.states[0] + gamma * xbar.fast.held.states[0]


@pytest.mark.parametrize("adc_range", ["mse", "percentile", "output"])
def test_ranges_are_chosen_for_what_both_arrays_give_together(adc_range):
    asked = {"percentile": 100.0} if adc_range == "percentile" else {}
    adc = UniformADC(bits=8, range=adc_range, **asked)
    xbar = full(1.0, adc=adc, read=TransposeRead(dac=IdealDAC(signed=True), adc=adc))
    x, e = child(1, "x").uniform(0, 1, (50, 5)), child(1, "e").uniform(0, 1, (50, 3))
    matrix = joined_matrix(xbar, 1.0)
    assert matrix.min() > 0.95  # of 0.6 that codes hold
    ready = xbar.calibrate(x).calibrate_t(e)
    forward, back = ready.mvm(x, rng()), ready.mvm_t(e, rng())
    np.testing.assert_allclose(forward, x @ matrix, atol=0.03 * np.abs(x @ matrix).max())
    np.testing.assert_allclose(back, e @ matrix.T, atol=0.03 * np.abs(e @ matrix.T).max())
    # ranges of the slow array alone clip
    alone = dataclasses.replace(xbar, slow=xbar.slow.calibrate(x))
    assert np.abs(alone.mvm(x, rng()) - x @ matrix).max() > 0.3 * np.abs(x @ matrix).max()


def test_ranges_that_need_no_samples_stay_as_they_are():
    adc = UniformADC(bits=8, range="given", lo=-500.0, hi=500.0)
    xbar = full(1.0, adc=adc, read=TransposeRead(dac=IdealDAC(signed=True), adc=adc))
    ready = xbar.calibrate(np.ones((2, 5))).calibrate_t(np.ones((2, 3)))
    assert ready.slow.ranges == xbar.slow.ranges
    assert ready.slow.back.ranges == xbar.slow.back.ranges


@pytest.mark.parametrize("gamma", [0.0, 0.5])
def test_the_transposed_read_is_the_adjoint_of_the_forward_one(gamma):
    xbar = full(gamma, SPREAD)
    x, e = child(1, "x").uniform(-1, 1, (7, 5)), child(1, "e").uniform(-1, 1, (7, 3))
    forward = (e * xbar.mvm(x, rng())).sum(axis=1)
    np.testing.assert_allclose((xbar.mvm_t(e, rng()) * x).sum(axis=1), forward, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(xbar.mvm_t(np.eye(3), rng()), joined_matrix(xbar, gamma).T, atol=1e-6)
    alone = (xbar.slow.mvm_t(e, rng()) * x).sum(axis=1)
    assert np.allclose(alone, forward, rtol=1e-3, atol=1e-3) == (gamma == 0)


def test_the_pairs_of_both_arrays_are_noisy_in_the_transposed_read(assert_moments):
    xbar = full(0.75, cell={"read_noise_rel": 0.02})
    e = np.tile(child(1, "e").uniform(-1, 1, (1, 3)), (20000, 1))
    noise = xbar.mvm_t(e, rng()) - e @ joined_matrix(xbar, 0.75).T
    assert_moments(noise, 0, 0.02 * 0.6 * 1.25 * np.sqrt(np.square(e[0]).sum()))


def test_trimming_takes_gain_and_offset_off_the_converters_of_every_read():
    adc = UniformADC(bits=12, gain_sigma_rel=0.05, offset_sigma_lsb=20.0, range="given", lo=-1000.0, hi=1000.0)
    xbar = full(0.5, adc=adc, read=TransposeRead(dac=IdealDAC(signed=True), adc=adc))
    x, e, matrix = np.ones((1, 5)), np.ones((1, 3)), joined_matrix(xbar, 0.5)
    forward, back = (trimmed(child(0, "trim")) for trimmed in (xbar.trim, xbar.trim_t))

    def errors(one):
        fast = one.fast.mvm(x, rng()) - x @ one.fast.held.states[0]
        reads = one.mvm(x, rng()) - x @ matrix, one.mvm_t(e, rng()) - e @ matrix.T, fast
        return [np.abs(read).max() for read in reads]

    before = errors(xbar)
    assert [after < 0.2 * was for after, was in zip(errors(forward), before, strict=True)] == [True, False, True]
    assert [after < 0.2 * was for after, was in zip(errors(back), before, strict=True)] == [False, True, False]


def test_arrays_are_not_moved_to_another_die_and_need_a_transposed_read_to_be_read_that_way():
    spec, start = pulsed_chip(SPREAD), array(TRANSFERRING[0], SPREAD)
    with pytest.raises(CapabilityError, match=r"on_die: .*symmetric points.*; program the other die"):
        start.on_die(compound(spec, TRANSFERRING[0], SHAPE, 2))
    calls = (lambda: start.mvm_t(np.eye(3), rng()), lambda: start.calibrate_t(np.eye(3)), lambda: start.trim_t(rng()))
    for call in calls:
        with pytest.raises(CapabilityError, match=r"no transposed read; add \[transpose.dac\]"):
            call()


def test_the_fast_array_has_the_scale_of_the_slow_one_whatever_told_it():
    weights = child(4, "weights").normal(size=(6, 3))
    array = compound(load("pulsed_generic"), TikiTakaV2(transfer_rate=0.1), (6, 3), 1).program(weights, rng())
    assert array.slow.die.spec.array.weight_scale == "max"  # of the zeros of the fast array none could be told
    np.testing.assert_array_equal(array.fast.scale, array.slow.scale)


def test_what_is_no_scheme_is_refused_at_once():
    with pytest.raises(SpecError, match=r"scheme = 'tiki_taka': must be a compound scheme"):
        compound(load("pulsed_generic"), "tiki_taka", (6, 3), 1)
