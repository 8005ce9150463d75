"""Measurements drawn from models that are published, for fits to recover."""

from __future__ import annotations

import numpy as np

from imcsim.measurements import (
    AdcTransfer,
    Drift,
    MacTransfer,
    PowerUp,
    ProgramVerify,
    PulseResponse,
    ReadNoise,
)

polynomial = np.polynomial.polynomial.polyval

PCM_SIGMA = (0.26348, 1.9650, -1.1731)  # Nandakumar et al., ICECS 2019
HERMES_SIGMA = (0.15782, 2.32444, -2.16311, 0.68842)  # Le Gallo et al. 2023, one device
WAN_SIGMAS = (  # Wan et al. 2022: 1 s, 1 day, 2 days
    (0.348, 16.030, -43.853, 45.393, -16.815),
    (0.701, 22.086, -50.773, 47.095, -16.458),
    (0.782, 20.274, -43.507, 37.062, -11.934),
)
CMO_SIGMA = (0.0112185, 0.0112903)  # ReRAM CMO at 2 % acceptance, uS, of g in uS
SONOS_SIGMA = (19.887, 176.31)  # Agrawal et al., IEDM 2022: A (1 - exp(-I / B))
SONOS_READS = (12.580, 215.37)


def writes(rng, sigma_uS, target_uS, law="normal"):
    """Writes of cells with an error of `sigma_uS` about targets."""
    z = rng.standard_normal(target_uS.size)
    if law == "student_t":
        z = rng.standard_t(5, target_uS.size) * np.sqrt(3 / 5)
    return ProgramVerify(target=target_uS * 1e-6, conductance=(target_uS + sigma_uS * z) * 1e-6)


def by_polynomial(rng, coefficients, g_max_uS, count, low=0.0):
    x = rng.uniform(low, 1, count)
    return writes(rng, polynomial(x, coefficients), x * g_max_uS)


def pcm_drift(rng, count):
    """g (t / t0)^-nu of cells as Nandakumar et al. have them, and reads that scatter by half a percent."""
    x = rng.random(count)
    mean = np.clip(-0.0155 * np.log(x) + 0.0244, 0.049, 0.1)
    sigma = np.clip(-0.0125 * np.log(x) - 0.0059, 0.008, 0.045)
    nu = np.abs(mean + sigma * rng.standard_normal(count))
    t = np.geomspace(20, 1e5, 8)
    g = 25 * x[:, None] * (t / 20) ** -nu[:, None] * (1 + 0.005 * rng.standard_normal((count, 8)))
    return Drift(conductance=g * 1e-6, time=t, target=25 * x * 1e-6)


def cmo_drift(rng, count):
    """Mean -0.0890 ln t, spread 0.0420 ln t + 0.4118 uS."""
    t, target = np.geomspace(1, 1e5, 6), rng.uniform(10, 90, count)
    spread = 0.0420 * np.log(t) + 0.4118
    g = target[:, None] - 0.0890 * np.log(t) + spread * rng.standard_normal(count)[:, None]
    return Drift(conductance=g * 1e-6, time=t, target=target * 1e-6)


def wan_drift(rng, count):
    x, z = rng.random(count), rng.standard_normal(count)
    g = 40 * x[:, None] + np.stack([polynomial(x, one) * z for one in WAN_SIGMAS], axis=1)
    return Drift(conductance=g * 1e-6, time=np.array([1.0, 86400.0, 172800.0]), target=40 * x * 1e-6)


def relaxing(rng, count, c1=(4.0, 6.0), c2=(10.0, 5.0)):
    """var of the change = c1(x) log10 t + c2(x) uS^2, as Levy et al. have the form of it; g_max 200 uS."""
    x, z = rng.uniform(0.1, 1, count), rng.standard_normal(count)
    t = np.array([1.0, 10.0, 100.0, 1e3, 1e4])
    variance = polynomial(x, c1)[:, None] * np.log10(t) + polynomial(x, c2)[:, None]
    g = 200 * x[:, None] + np.where(t > 1, np.sqrt(variance) * z[:, None], 0)
    return Drift(conductance=g * 1e-6, time=t)


def sonos_reads(rng, cells, reads=300):
    x = rng.uniform(5, 1600, cells)
    sigma = SONOS_READS[0] * -np.expm1(-x / SONOS_READS[1])
    return ReadNoise(conductance=(x[:, None] + sigma[:, None] * rng.standard_normal((cells, reads))) * 1e-6)


def coloured(rng, count, beta, level, floor, interval):
    """A series with the spectrum floor + level f^-beta (1/Hz, one-sided), cut from one eight times as long."""
    n = 8 * count
    f = np.fft.rfftfreq(n, interval)
    density = np.r_[0.0, level * f[1:] ** -beta]
    parts = rng.standard_normal((2, f.size)) * np.sqrt(density * n / (4 * interval))
    series = np.fft.irfft(parts[0] + 1j * parts[1], n)[:count]
    return series + np.sqrt(floor / (2 * interval)) * rng.standard_normal(count)


def telegraph(rng, count, traps, sigma, interval, base=10.0):
    """Reads in uS of traps (amplitude, rate up, rate down), in normal noise."""
    y = base + sigma * rng.standard_normal(count)
    for amplitude, up, down in traps:
        moved = -np.expm1(-(up + down) * interval) / (up + down)
        flips = rng.random(count)
        state = np.empty(count)
        now = rng.random() < up / (up + down)
        for k in range(count):
            state[k] = now
            now = (flips[k] >= down * moved) if now else (flips[k] < up * moved)
        y += amplitude * state
    return ReadNoise(conductance=y[None] * 1e-6, interval=np.array(interval))


def converter(rng, bits, noise_lsb, weights_sigma=0.0, repeats=8, per_lsb=8):
    """A binary-weighted SAR with mismatched capacitors on a ramp; its true transitions, in LSB of the ideal one."""
    codes = np.arange(2**bits)
    capacitors = 2.0 ** np.arange(bits) + weights_sigma * 2.0 ** (np.arange(bits) / 2) * rng.standard_normal(bits)
    levels = ((codes[:, None] >> np.arange(bits)) & 1) @ capacitors
    transitions = levels[1:] - 0.5
    ramp = np.arange(-2 * per_lsb, (2**bits + 1) * per_lsb) / per_lsb
    seen = ramp[:, None] + noise_lsb * rng.standard_normal((ramp.size, repeats))
    code = (
        (seen[..., None] > np.sort(transitions)).sum(-1) if bits <= 6 else np.searchsorted(np.sort(transitions), seen)
    )
    return AdcTransfer(input=ramp, code=code, bits=np.array(bits)), transitions


def macro(rng, gain, offset, sigma, sums=61, samples=400):
    """A macro that answers with the rounded sum of offset + gain s and noise, codes 0 to sums - 1."""
    s = np.arange(float(sums))
    answers = np.rint(offset + gain * s[:, None] + sigma * rng.standard_normal((sums, samples)))
    return MacTransfer(ideal_sum=s, code=np.clip(answers, 0, sums - 1).astype(int))


def powered(rng, cells, ratio, bias, times=15):
    from scipy.special import ndtr

    share = ndtr((rng.standard_normal(cells) + bias) / ratio)
    return PowerUp(ones=rng.binomial(times, share), power_ups=np.array(times))


def soft_bounds(rng, devices, pulses=120, dtod=0.2, cycle=0.3, write=0.005):
    """Trains of soft-bounds devices: step 0.01 at w = 0, asymmetry 0.1, bounds +-0.6 that spread by 10 %."""
    trains, direction, device = [], [], []
    for d in range(devices):
        gain, u = 1 + dtod * rng.standard_normal(), 0.1 + 0.05 * rng.standard_normal()
        high, low = 0.6 * (1 + 0.1 * rng.standard_normal()), -0.6 * (1 + 0.1 * rng.standard_normal())
        w = 0.0
        for up in (1, -1, 1, -1):
            read = [w + write * rng.standard_normal()]
            for _ in range(pulses):
                step = 0.01 * ((gain + u) * (1 - w / high) if up > 0 else -(gain - u) * (1 - w / low))
                w += step * (1 + cycle * rng.standard_normal())
                read.append(w + write * rng.standard_normal())
            trains.append(read)
            direction.append(up)
            device.append(d)
    return PulseResponse(conductance=np.array(trains), direction=np.array(direction), device=np.array(device), unit="1")
