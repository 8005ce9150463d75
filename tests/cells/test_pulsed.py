"""Pulsed devices: responses, symmetric points and spreads against closed forms, updates against their moments."""

from __future__ import annotations

import numpy as np
import pytest

from imcsim.cells.pulsed import (
    NEAREST_BOUND_REL,
    Written,
    alternate,
    manufactured,
    pulse_counts,
    seen,
    symmetric_point,
    trains,
    write_counts,
    write_outer,
)
from imcsim.errors import CapabilityError, SpecError
from imcsim.kernels import pulsed_devices
from imcsim.kernels.frozen import frozen_normals
from imcsim.specs.pulsed import (
    ConstantStepDevice,
    ExponentialStepDevice,
    LinearStepDevice,
    PowerStepDevice,
    SoftBoundsDevice,
    TableStepDevice,
    UpdateSpec,
)

KEY = np.array([0xC0FFEE1234567890], np.uint64)
RANGE = {"dw_min": 0.001, "w_min": -0.4, "w_max": 0.6}
EXPONENTIAL = {"A_up": 0.3, "A_down": 0.2, "gamma_up": 1.5, "gamma_down": 1.0, "a": 1.2, "b": 0.1}


def die(device, shape=(1, 1, 1), key=1):
    members, rows, cols = shape
    return manufactured(
        device,
        lambda source: np.stack(
            [frozen_normals(np.uint64(key + m), source, 1, rows, 1, 1, cols, cols)[0, :, 0, 0] for m in range(members)]
        ),
    )


def response(device, pulses, start, step=1):
    """The weights of one device after each of so many pulses: (pulses + 1,)."""
    devices, w = die(device), [np.full((1, 1, 1), start, np.float32)]
    for _ in range(pulses):
        w.append(write_counts(devices, w[-1], np.full((1, 1, 1), step), KEY).states)
    return np.array(w).ravel()


def many(device, pulses, start):
    return write_counts(die(device), np.full((1, 1, 1), start, np.float32), np.full((1, 1, 1), pulses), KEY).states[
        0, 0, 0
    ]


# Responses: repeated pulses from a bound. A state is a float32, rounded at every write: to 3e-8 a pulse.


def test_a_constant_device_climbs_in_equal_steps_and_stops_at_its_bound():
    n = np.arange(1101)
    expected = np.minimum(-0.4 + 0.001 * n, 0.6)
    np.testing.assert_allclose(response(ConstantStepDevice(**RANGE), 1100, -0.4), expected, atol=1100 * 3e-8)
    assert many(ConstantStepDevice(**RANGE), -500, 0.05) == pytest.approx(-0.4)


def test_a_linear_device_follows_the_geometric_series():
    # up: w' = s + (1 - g s / w_max) w, whose fixed point is w_max / g
    device = LinearStepDevice(**RANGE, gamma_up=0.5, gamma_down=0.8)
    n, fixed = np.arange(301), 0.6 / 0.5
    expected = fixed + (-0.4 - fixed) * (1 - 0.5 * 0.001 / 0.6) ** n
    np.testing.assert_allclose(response(device, 300, -0.4), expected, atol=300 * 3e-8)
    # down: w' = w - s (1 - g w / w_min), fixed point w_min / g, beyond the bound
    fixed = -0.4 / 0.8
    expected = fixed + (0.6 - fixed) * (1 - 0.8 * 0.001 / 0.4) ** n
    np.testing.assert_allclose(response(device, 300, 0.6, -1), expected, atol=300 * 3e-8)
    assert many(device, 300, -0.4) == pytest.approx(response(device, 300, -0.4)[-1], abs=300 * 3e-8)


def test_a_soft_bounds_device_approaches_its_bounds_exponentially():
    n = np.arange(2001)
    device = SoftBoundsDevice(**RANGE)
    up, down = response(device, 2000, -0.4), response(device, 2000, 0.6, -1)
    np.testing.assert_allclose(up, 0.6 - 1.0 * (1 - 0.001 / 0.6) ** n, atol=600 * 3e-8)
    np.testing.assert_allclose(down, -0.4 + 1.0 * (1 - 0.001 / 0.4) ** n, atol=400 * 3e-8)
    # what a device that went down as it goes up would do is refused
    assert not np.allclose(down, 0.2 - (up - 0.2), atol=0.01)


def test_a_power_device_follows_its_differential_equation():
    # u = what is left of the range: du/dn = -(s / R) u^g, so u^(1 - g) = 1 + (g - 1) s n / R; steps are s / R of the
    # whole, and the difference between the recursion and its equation is of that order
    small = {**RANGE, "dw_min": 1e-4}
    n = np.arange(0, 5001, 500)
    for gamma in (1.5, 2.0):
        device = PowerStepDevice(**small, gamma=gamma)
        left = (1 + (gamma - 1) * 1e-4 * n / 1.0) ** (1 / (1 - gamma))
        ours = np.array([many(device, int(k), -0.4) for k in n])
        np.testing.assert_allclose(ours, 0.6 - left, atol=1e-4)
        np.testing.assert_allclose([many(device, -int(k), 0.6) for k in n], -0.4 + left, atol=1e-4)


def test_a_power_of_one_is_a_soft_bound_at_both_ends():
    n = np.arange(501)
    ours = response(PowerStepDevice(**RANGE, gamma=1), 500, -0.4)
    np.testing.assert_allclose(ours, 0.6 - (1 - 0.001) ** n, atol=500 * 3e-8)


def test_an_exponential_device_follows_its_differential_equation():
    # dw/dn = s (1 - A exp(g z)), z = c w + b: with y = exp(-g z), dy/dn = -g c s (y - A), so y - A falls exponentially
    device = ExponentialStepDevice(**{**RANGE, "dw_min": 1e-4}, **EXPONENTIAL)
    c, n = 2 * 1.2 / 1.0, np.arange(0, 5001, 500)
    y = 0.3 + (np.exp(-1.5 * (c * -0.4 + 0.1)) - 0.3) * np.exp(-1.5 * c * 1e-4 * n)
    expected = (-np.log(y) / 1.5 - 0.1) / c
    np.testing.assert_allclose([many(device, int(k), -0.4) for k in n], expected, atol=1e-4)
    y = 0.2 + (np.exp(1.0 * (c * 0.6 + 0.1)) - 0.2) * np.exp(-1.0 * c * 1e-4 * n)
    expected = (np.log(y) / 1.0 - 0.1) / c
    np.testing.assert_allclose([many(device, -int(k), 0.6) for k in n], expected, atol=1e-4)


def test_an_exponential_device_does_not_step_back_where_its_step_would_be_negative():
    device = ExponentialStepDevice(**RANGE, A_up=0.9, A_down=0.9, gamma_up=3, gamma_down=3)
    assert many(device, 1, 0.5) == np.float32(0.5)
    assert many(device, -1, 0.5) < 0.5


def test_a_table_device_steps_as_its_table_says_at_entries_and_between():
    device = TableStepDevice(**RANGE, up=(4, 2, 0), down=(1, 3, 7))
    for place, up, down in ((0, 4, 1), (0.25, 3, 2), (0.5, 2, 3), (0.75, 1, 5), (1, 0, 7)):
        w = -0.4 + place * 1.0
        assert many(device, 1, w) - w == pytest.approx(min(0.001 * up, 0.6 - w), abs=1e-7)
        assert w - many(device, -1, w) == pytest.approx(min(0.001 * down, w + 0.4), abs=1e-7)


def test_a_straight_table_is_a_power_of_one():
    table = TableStepDevice(**RANGE, up=(1, 0), down=(0, 1))
    power = PowerStepDevice(**RANGE, gamma=1)
    for n in (-300, 40, 900):
        assert many(table, n, 0.1) == pytest.approx(many(power, n, 0.1), abs=1e-6)


# Symmetric points


SLOPED = [
    LinearStepDevice(**RANGE, gamma_up=0.9, gamma_down=0.7, up_down=0.1),
    SoftBoundsDevice(**RANGE, up_down=0.2),
    ExponentialStepDevice(**RANGE, **EXPONENTIAL),
    PowerStepDevice(**RANGE, gamma=1.7, up_down=-0.3),
    TableStepDevice(**RANGE, up=(4, 2, 0), down=(1, 3, 7)),
]


@pytest.mark.parametrize("device", SLOPED, ids=lambda device: device.kind)
def test_at_the_symmetric_point_a_pulse_up_and_one_down_are_of_the_same_size(device):
    w = symmetric_point(die(device))
    up, down = (many(device, n, w.item()) - np.float32(w.item()) for n in (1, -1))
    assert -0.4 < w.item() < 0.6
    assert up == pytest.approx(-down, abs=1e-7)
    elsewhere = w.item() + 0.1
    assert many(device, 1, elsewhere) - elsewhere < 0.97 * (elsewhere - many(device, -1, elsewhere))


def test_the_symmetric_point_of_soft_bounds_and_of_exponential_steps_is_the_root_of_their_equation():
    # s+ (1 - w / b+) = s- (1 - w / b-)
    up, down = 0.0012, 0.0008
    expected = (up - down) / (up / 0.6 + down / 0.4)
    assert symmetric_point(die(SoftBoundsDevice(**RANGE, up_down=0.2))).item() == pytest.approx(expected, rel=1e-6)
    # equal gammas and steps: A_up y = A_down / y with y = exp(gamma z)
    device = ExponentialStepDevice(**RANGE, **{**EXPONENTIAL, "gamma_down": 1.5})
    z = np.log(0.2 / 0.3) / 2 / 1.5
    assert symmetric_point(die(device)).item() == pytest.approx((z - 0.1) / 2.4, abs=1e-6)


@pytest.mark.parametrize("device", SLOPED, ids=lambda device: device.kind)
@pytest.mark.parametrize("start", [-0.35, 0.5])
def test_pulses_up_and_down_in_turn_lead_to_the_symmetric_point(device, start):
    devices = die(device)
    w = alternate(devices, np.full((1, 1, 1), start, np.float32), 4000, KEY).states
    # the pair's last pulse goes down: the weight ends half a step below
    assert w.item() == pytest.approx(symmetric_point(devices).item(), abs=0.002)
    assert abs(w.item() - start) > 0.1


def test_a_pair_of_pulses_takes_the_same_share_of_the_distance_each_time():
    # soft bounds: u = s+ + (1 - s+ / b+) w, w' = u - s- (1 - u / b-): linear, so geometric
    device = SoftBoundsDevice(**RANGE)
    rate = (1 - 0.001 / 0.6) * (1 - 0.001 / 0.4)
    fixed = ((1 - 0.001 / 0.4) * 0.001 - 0.001) / (1 - rate)
    for pairs in (1, 10, 300):
        w = alternate(die(device), np.full((1, 1, 1), 0.5, np.float32), pairs, KEY).states.item()
        assert w == pytest.approx(fixed + (0.5 - fixed) * rate**pairs, abs=1e-7)


def test_constant_steps_have_no_symmetric_point():
    with pytest.raises(CapabilityError, match="no symmetric point; only steps that fall"):
        symmetric_point(die(ConstantStepDevice(**RANGE)))


FLAT = [
    LinearStepDevice(**RANGE, gamma_up=0, gamma_down=0),
    LinearStepDevice(**RANGE, gamma_up=0, gamma_down=0, up_down=0.1),
    LinearStepDevice(**RANGE, gamma_up=0.1, gamma_down=0.1, up_down=0.2),  # equal beyond the upper bound
    ExponentialStepDevice(**RANGE, A_up=0, A_down=0, gamma_up=1, gamma_down=1),
    ExponentialStepDevice(**RANGE, A_up=1000, A_down=1000, gamma_up=0, gamma_down=0),  # which nothing moves
    TableStepDevice(**RANGE, up=(1, 1, 1), down=(1, 1, 1)),
    TableStepDevice(**RANGE, up=(1, 1), down=(0.5, 0.5)),
    TableStepDevice(**RANGE, up=(0.5, 1.5), down=(1.5, 0.5)),  # pulses in turn lead away from where they are equal
]


@pytest.mark.parametrize("device", FLAT, ids=lambda device: device.kind)
def test_steps_that_do_not_cross_have_no_symmetric_point(device):
    with pytest.raises(CapabilityError, match="devices = 1 of 1 without: a symmetric point needs steps up that are"):
        symmetric_point(die(device))


def test_one_device_without_a_symmetric_point_is_enough_to_say_so():
    crossing = LinearStepDevice(**RANGE, gamma_up=0.4, gamma_down=0.4)
    spread = die(LinearStepDevice(**RANGE, gamma_up=0.4, gamma_down=0.4, up_down_dtod=0.15), (1, 40, 40))
    # at w_max steps up are 0.6 (1 + u) and steps down 1.6 (1 - u): those with u above 0.45, three sigma, do not cross
    with pytest.raises(CapabilityError, match=r"devices = \d+ of 1600 without"):
        symmetric_point(spread)
    assert symmetric_point(die(crossing, (1, 40, 40))) == pytest.approx(0)


# Spreads


LARGE = (1, 1000, 1000)
SPREAD = {"dw_min_dtod_rel": 0.1, "w_min_dtod_rel": 0.15, "w_max_dtod_rel": 0.2}


def test_bounds_and_steps_of_a_million_devices_spread_as_told(assert_moments):
    devices = die(ConstantStepDevice(**RANGE, **SPREAD), LARGE)
    assert_moments(devices.high, 0.6, 0.2 * 0.6)
    assert_moments(devices.low, -0.4, 0.15 * 0.4)
    assert_moments(devices.up, 0.001, 0.1 * 0.001)
    np.testing.assert_array_equal(devices.up, devices.down)
    for one, other in ((devices.high, devices.low), (devices.high, devices.up), (devices.low, devices.up)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / 1000


def test_steps_may_spread_as_a_log_normal_of_the_same_mean_and_sigma(assert_moments):
    devices = die(ConstantStepDevice(**RANGE, dw_min_dtod_rel=0.5, dw_min_dtod_law="lognormal"), LARGE)
    s2 = np.log(1 + 0.5**2)
    assert_moments(np.log(devices.up.astype(np.float64) / 0.001), -s2 / 2, np.sqrt(s2))
    # the sampling error of a mean of a million with 50 % spread
    assert abs(devices.up.mean(dtype=np.float64) / 0.001 - 1) < 5 * 0.5 / 1000


def test_asymmetry_strengthens_one_direction_and_weakens_the_other():
    for ratio in (0.2, -0.2):
        devices = die(ConstantStepDevice(**RANGE, up_down=ratio))
        assert devices.up.item() == pytest.approx(0.001 * (1 + ratio))
        assert devices.down.item() == pytest.approx(0.001 * (1 - ratio))
        assert many(ConstantStepDevice(**RANGE, up_down=ratio), 1, 0.1) == pytest.approx(0.1 + 0.001 * (1 + ratio))
        assert many(ConstantStepDevice(**RANGE, up_down=ratio), -1, 0.1) == pytest.approx(0.1 - 0.001 * (1 - ratio))


def test_asymmetry_spreads_in_opposite_directions(assert_moments):
    device = ConstantStepDevice(**RANGE, dw_min_dtod_rel=0.1, up_down=0.05, up_down_dtod=0.08)
    devices = die(device, LARGE)
    up, down = devices.up.astype(np.float64), devices.down.astype(np.float64)
    assert_moments((up - down) / 2, 0.001 * 0.05, 0.001 * 0.08)
    assert_moments((up + down) / 2, 0.001, 0.001 * 0.1)


def test_slopes_of_a_million_linear_devices_spread_as_told(assert_moments):
    device = LinearStepDevice(**RANGE, gamma_up=0.5, gamma_down=0.8, gamma_up_dtod=0.05, gamma_down_dtod=0.1)
    devices = die(device, LARGE)
    assert_moments(-devices.slope_up.astype(np.float64) * 0.6 / 0.001, 0.5, 0.05)
    assert_moments(devices.slope_down.astype(np.float64) * 0.4 / 0.001, 0.8, 0.1)


def test_no_bound_comes_to_zero_or_beyond():
    devices = die(SoftBoundsDevice(**{**RANGE, "dw_min": 1e-4}, w_min_dtod_rel=1.0, w_max_dtod_rel=1.0), (1, 100, 100))
    assert devices.high.min() == pytest.approx(NEAREST_BOUND_REL * 0.6)
    assert devices.low.max() == pytest.approx(-NEAREST_BOUND_REL * 0.4)
    w = write_counts(devices, np.zeros((1, 100, 100), np.float32), np.full((1, 100, 100), 1000), KEY).states
    assert np.isfinite(w).all()
    assert (w <= devices.high).all()


@pytest.mark.parametrize(
    "device",
    [
        ConstantStepDevice(**RANGE, cycle_sigma_rel=0.3),
        PowerStepDevice(**RANGE, gamma=1.0, cycle_sigma_rel=0.3),
        SoftBoundsDevice(**RANGE, cycle_sigma_rel=0.3),
        SoftBoundsDevice(**RANGE, cycle_sigma_rel=0.3, cycle_noise="additive"),
    ],
)
def test_the_cycle_to_cycle_spread_is_that_of_the_step(device, assert_moments):
    w = 0.2
    written = write_counts(die(device, LARGE), np.full(LARGE, w, np.float32), np.full(LARGE, -1), KEY).states
    steps = {"constant": 0.001, "power": 0.001 * (0.2 + 0.4), "soft_bounds": 0.001 * (1 + 0.2 / 0.4)}
    step = steps[device.kind]
    relative_to = 0.001 if getattr(device, "cycle_noise", "") == "additive" else step
    assert_moments(np.float64(np.float32(w)) - written, step, 0.3 * relative_to)


def test_reads_see_write_noise_of_the_cells_that_were_pulsed_and_of_no_others(assert_moments):
    devices = die(ConstantStepDevice(**RANGE, write_noise_rel=2.0), LARGE)
    counts = np.zeros(LARGE, np.int32)
    counts[:, ::2] = 3
    written = write_counts(devices, np.zeros(LARGE, np.float32), counts, KEY)
    noise = frozen_normals(KEY[0], pulsed_devices.WRITE_NOISE, 1, 1000, 1, 1, 1000, 1000)[0, :, 0, 0][None]
    now = seen(devices, written, np.full(LARGE, 0.25, np.float32), 2.0, noise)
    assert (now[:, 1::2] == 0.25).all()
    assert_moments(now[:, ::2], 0.003, 2.0 * 0.001)


# Outer products


def repeated(device, update, x, delta, learning_rate, n=400, samples=1):
    """The change of each of (rows, cols) cells in n independent updates: (n, rows, cols), and the last result."""
    shape = n, len(x), len(delta)
    factors = [np.broadcast_to(v, (1, samples, len(v))) for v in (x, delta)]
    keys = np.arange(n, dtype=np.uint64) + np.uint64(17)
    flat = die(device, (1, *shape[1:]))
    devices = flat._replace(
        **{
            name: np.ascontiguousarray(np.broadcast_to(getattr(flat, name), shape))
            for name in ("up", "down", "low", "high")
        }
    )
    written = write_outer(devices, update, np.zeros(shape, np.float32), *factors, learning_rate, keys)
    return written.states.astype(np.float64), written


X, DELTA, RATE = np.array([0.9, -0.5, 0.2, 0.0]), np.array([0.4, -1.0, 0.1]), 0.02


@pytest.mark.parametrize("managed", [True, False])
def test_the_mean_of_an_update_is_the_outer_product_and_its_variance_as_derived(managed):
    update = UpdateSpec(train_length=31, update_management=managed, length_management=managed)
    n, sigma = 20000, 0.3
    change, written = repeated(ConstantStepDevice(**RANGE, cycle_sigma_rel=sigma), update, X, DELTA, RATE, n)
    planned = trains(update, 0.001, X[None, None], DELTA[None, None], RATE)
    length = planned.lengths.item()
    assert length == (np.ceil(RATE * 0.9 * 1.0 / 0.001) if managed else 31)
    assert (written.clipped == 0).all()
    product = RATE * np.outer(X, DELTA)
    # p q = lr |x delta| / (dw_min BL), whatever shares of it are the rows'
    pq = np.abs(product) / (0.001 * length)
    variance = 0.001**2 * length * pq * (1 - pq + sigma**2)
    assert np.all(np.abs(change.mean(axis=0) - product) <= 5 * np.sqrt(variance / n))
    # of a sum of so many pulses the kurtosis is below 3 + 1 / (n p q), so that its variance is known to 10 %
    # the excess kurtosis of a count is at most 1 / (BL p q), which tells how well its variance is known
    tolerance = variance * 5 * np.sqrt((2 + 1 / (length * np.maximum(pq, 1e-3))) / n)
    assert np.all(np.abs(change.var(axis=0) - variance) <= tolerance)
    for wrong in (0.001**2 * length * pq * (1 - pq), 0.001**2 * length * pq * (1 + sigma**2)):
        assert not np.all(np.abs(change.var(axis=0) - wrong) <= tolerance)
    assert np.all(change[:, 3] == 0)


def test_cells_of_a_row_share_its_bits():
    n, update = 20000, UpdateSpec(train_length=20, update_management=False, length_management=False)
    change, _ = repeated(ConstantStepDevice(**RANGE), update, X, DELTA, RATE, n)
    scale = np.sqrt(RATE / (0.001 * 20))
    p, q = scale * np.abs(X), scale * np.abs(DELTA)
    counts = np.rint(change / 0.001 * np.sign(np.outer(X, DELTA)))
    one, other, apart = counts[:, 1, 0], counts[:, 1, 1], counts[:, 0, 1]
    expected = 20 * p[1] * (1 - p[1]) * q[0] * q[1]
    error = 5 * np.sqrt(2 * one.var() * other.var() / n)  # of a covariance, of correlated numbers at most sqrt(2)
    assert abs(np.cov(one, other)[0, 1] - expected) < error < expected
    assert abs(np.cov(one, apart)[0, 1]) < 5 * np.sqrt(2 * one.var() * apart.var() / n)


def test_samples_of_a_batch_add_up():
    update = UpdateSpec()
    n = 4000
    change, _ = repeated(ConstantStepDevice(**RANGE), update, X, DELTA, 0.002, n, samples=8)
    expected = 8 * 0.002 * np.outer(X, DELTA)
    pq = np.abs(expected) / 8 / (0.001 * 2)
    assert np.all(np.abs(change.mean(axis=0) - expected) <= 5 * np.sqrt(8 * 2 * 0.001**2 * pq * (1 - pq) / n))


def test_a_train_of_one_slot_is_one_coin_a_line():
    update = UpdateSpec(train_length=1)
    change, written = repeated(ConstantStepDevice(**RANGE), update, X, DELTA, 0.001, 5000)
    assert set(np.rint(np.abs(change) / 0.001).ravel()) == {0.0, 1.0}
    assert (written.clipped == 0).all()
    # the most likely of all pulses, p = q = sqrt(0.9)
    share = (change[:, 0, 1] != 0).mean()
    assert abs(share - 0.9) < 5 * np.sqrt(0.9 * 0.1 / 5000)


def test_a_probability_above_one_counts_as_one_and_is_reported():
    # lr x delta = 0.1, which 10 slots of 0.001 cannot make
    update = UpdateSpec(train_length=10)
    change, written = repeated(ConstantStepDevice(**RANGE), update, np.array([1.0]), np.array([-1.0]), 0.1, 50)
    np.testing.assert_allclose(change, -10 * 0.001, rtol=1e-5)
    assert (written.clipped == 2).all()
    assert (written.down == 10).all()
    assert (written.up == 0).all()


@pytest.mark.parametrize(("x", "delta"), [(0 * X, DELTA), (X, 0 * DELTA)])
def test_nothing_times_anything_changes_nothing_and_takes_no_pulse(x, delta):
    change, written = repeated(ConstantStepDevice(**RANGE, cycle_sigma_rel=0.3), UpdateSpec(), x, delta, RATE, 3)
    assert (change == 0).all()
    assert [v.sum() for v in (written.pulses, written.row_pulses, written.column_pulses, written.clipped)] == [0] * 4


def test_pulses_are_counted_by_cell_and_by_line():
    update = UpdateSpec(train_length=5, length_management=False)
    # all probabilities are 1: every line pulses in each of 5 slots, of both samples
    written = repeated(
        ConstantStepDevice(**RANGE), update, np.array([1.0, -1.0]), np.array([1.0, 1.0, -1.0]), 0.005, 1, samples=2
    )[1]
    np.testing.assert_array_equal(written.up[0], 10 * np.array([[1, 1, 0], [0, 0, 1]]))
    np.testing.assert_array_equal(written.down[0], 10 * np.array([[0, 0, 1], [1, 1, 0]]))
    assert written.pulses.sum() == 60
    assert (written.row_pulses.tolist(), written.column_pulses.tolist()) == ([2 * 5 * 2], [2 * 5 * 3])


def test_update_management_shares_the_probability_between_rows_and_columns():
    x, delta = np.array([[[0.01, 0.02]]]), np.array([[[2.0, 1.0]]])
    managed = trains(UpdateSpec(), 0.001, x, delta, 0.5)
    assert np.abs(managed.rows).max() == pytest.approx(np.abs(managed.columns).max())
    plain = trains(UpdateSpec(update_management=False), 0.001, x, delta, 0.5)
    np.testing.assert_allclose(plain.rows, np.sqrt(0.5 / 0.001 / 20) * x)
    assert plain.clipped == 2  # the columns, whose probability would be above 1
    assert (plain.columns == 1).all()
    assert managed.clipped == 0
    mean = 0.001 * managed.lengths[..., None, None] * managed.rows[..., None] * managed.columns[:, :, None]
    np.testing.assert_allclose(mean, 0.5 * x[..., None] * delta[:, :, None])


def test_a_sample_takes_as_many_slots_as_its_largest_product_needs():
    x, delta = np.array([[[1.0], [0.3], [1.0], [1e-9]]]), np.array([[[1.0], [1.0], [100.0], [1.0]]])
    assert trains(UpdateSpec(), 0.001, x, delta, 0.0105).lengths.tolist() == [[11, 4, 31, 1]]
    whole = trains(UpdateSpec(length_management=False, train_length=20), 0.001, x, delta, 0.0105)
    assert whole.lengths.tolist() == [[20, 20, 20, 20]]


def test_members_have_factors_of_their_own_or_share_them():
    shape = (2, 3, 4)
    devices = die(ConstantStepDevice(**RANGE), shape)
    keys, states = np.array([1, 2], np.uint64), np.zeros(shape, np.float32)
    rng = np.random.default_rng(1)
    x, delta = rng.normal(size=(1, 5, 3)), rng.normal(size=(2, 5, 4))
    both = write_outer(devices, UpdateSpec(), states, x, delta, 0.01, keys)
    for member in range(2):
        only = devices._replace(
            **{name: getattr(devices, name)[member : member + 1] for name in ("up", "down", "low", "high")}
        )
        one = write_outer(
            only, UpdateSpec(), states[:1], x, delta[member : member + 1], 0.01, keys[member : member + 1]
        )
        np.testing.assert_array_equal(one.states[0], both.states[member])


# Counted pulses, and what is refused


def test_a_change_becomes_the_nearest_number_of_pulses():
    assert pulse_counts(np.array([0.0104, -0.0104, 0.0006, 0.0004, 0.0]), 0.001).tolist() == [10, -10, 1, 0, 0]


def test_counted_pulses_are_counted():
    counts = np.array([[[3, -2], [0, 1]]])
    written = write_counts(die(ConstantStepDevice(**RANGE), (1, 2, 2)), np.zeros((1, 2, 2), np.float32), counts, KEY)
    assert isinstance(written, Written)
    np.testing.assert_allclose(written.states, 0.001 * counts, atol=1e-9)
    assert (written.up - written.down).tolist() == counts.tolist()
    assert written.pulses.tolist() == [[[3, 2], [0, 1]]]
    assert (written.row_pulses.tolist(), written.column_pulses.tolist()) == ([6], [6])


def test_factors_that_cannot_be_are_refused_all_at_once():
    devices, states = die(ConstantStepDevice(**RANGE)), np.zeros((1, 1, 1), np.float32)
    one = np.ones((1, 1, 1))
    with pytest.raises(SpecError) as error:
        write_outer(devices, UpdateSpec(), states, np.inf * one, one[0], 0.0, KEY)
    assert [problem.path for problem in error.value.problems] == [("x",), ("delta",), ("learning_rate",)]
    with pytest.raises(SpecError, match=r"x.delta = 1 and 2: must have the same number of samples"):
        write_outer(devices, UpdateSpec(), states, one, np.ones((1, 2, 1)), 0.1, KEY)
    with pytest.raises(SpecError, match=r"x.delta = 2 and 3: must have the same members, or one"):
        write_outer(devices, UpdateSpec(), states, np.ones((2, 1, 1)), np.ones((3, 1, 1)), 0.1, KEY)
    with pytest.raises(SpecError, match=r"states = .* for 1 keys, 2 rows and 1 columns"):
        write_outer(devices, UpdateSpec(), states, np.ones((1, 1, 2)), one, 0.1, KEY)
    with pytest.raises(SpecError, match=r"counts = shape \(1, 1, 2\): must be as the states"):
        write_counts(devices, states, np.ones((1, 1, 2)), KEY)
    with pytest.raises(SpecError, match="pairs = 0: must be an integer of at least 1"):
        alternate(devices, states, 0, KEY)
