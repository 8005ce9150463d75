"""Small chips for the tests of the crossbar, whose integer weights and inputs keep their values, and their oracles."""

from __future__ import annotations

import dataclasses

import numpy as np

from imcsim.manufacturing import manufacture
from imcsim.mapping import cell_digits
from imcsim.rng import child
from imcsim.specs.adc import IdealADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC

MAPPINGS = ("differential", "differential_two_sided", "offset", "twos_complement")

# every way for inputs to enter, at three bits
DACS = {
    "serial": BitSerialDAC(bits=3),
    "serial, two's complement": BitSerialDAC(bits=3, signed=True),
    "two phases": BitSerialDAC(bits=3, signed=True, encoding="two_phase"),
    "sign and magnitude": BitSerialDAC(bits=3, signed=True, encoding="sign_magnitude"),
    "serial, two bits a cycle": BitSerialDAC(bits=3, slice_bits=2),
    "serial, added as charge": BitSerialDAC(bits=3, signed=True, accumulation="analog"),
    "one shot": OneShotDAC(bits=3),
    "one shot, signed": OneShotDAC(bits=3, signed=True),
}


def chip(*, cell=None, dac=None, adc=None, **array):
    """A small chip, with scales of one where the largest code occurs."""
    small = {"rows": 8, "cols": 4, "weight_bits": 4, "weight_scale": "max"}
    if "slices" in array:
        small["cell_bits"] = 8
    return ChipSpec(
        cell=cell or SramCell(),
        array=ArraySpec(**{**small, **array}),
        dac=dac or BitSerialDAC(bits=3),
        adc=adc or IdealADC(),
    )


def weights_of(bits, shape, seed=0):
    """Integers of `bits` bits, the largest among them: the scale of the weights is one."""
    rng = child(seed, "weights", bits)
    top = 2 ** (bits - 1) - 1 if bits > 1 else 1
    weights = rng.integers(-top, top + 1, shape) if bits > 1 else rng.choice([-1, 1], shape)
    weights[0] = top
    return weights.astype(float)


def inputs_of(dac, samples, rows, seed=0):
    """Integers of the DAC, the largest among them: the step of the inputs is one. Of an ideal DAC any number."""
    rng = child(seed, "inputs", dac.kind)
    if isinstance(dac, IdealDAC):
        x = rng.uniform(-1 if dac.signed else 0, 1, (samples, rows))
        x[0] = 1
        return x
    if dac.signed and dac.bits == 1:
        return rng.choice([-1.0, 1.0], (samples, rows))
    top = 2 ** (dac.bits - 1) - 1 if dac.signed else 2**dac.bits - 1
    x = rng.integers(-top if dac.signed else 0, top + 1, (samples, rows)).astype(float)
    x[0] = top
    return x


def programmed(spec, weights, x, key=1):
    return manufacture(spec, weights.shape, key).program(weights, child(0, "write")).calibrate(x)


def read(xbar, x, seed=0):
    return xbar.mvm(x, child(seed, "read"))


# The same crossbar by other engines


def by_cells(xbar):
    """The crossbar without its shortcut: the product of codes, where nothing is lost on the way, is not taken."""
    copy = dataclasses.replace(xbar)
    vars(copy._programmed)["exact"] = None
    return copy


def by_conversions(xbar):
    """The crossbar with codes that are trimmed by nothing, so that no sums become codes in passing."""
    die = xbar.die
    nothing = np.zeros((len(die.currents), die.plan.tiling.tiles, len(die.plan.slice_of)), np.float32)
    return dataclasses.replace(xbar, trimmed=np.stack([nothing + 1, nothing]))


ENGINES = {"shortcut": lambda xbar: xbar, "cells": by_cells, "conversions": by_conversions}


# What the cells hold, and what drives them


def planes_of(dac, x):
    """What drives the rows in each cycle, for codes x (..., rows): (cycles, ..., rows), what each cycle is worth, and
    the constant that completes their sum to x."""
    x = np.asarray(x)
    if not isinstance(dac, BitSerialDAC):
        return x[None], np.ones(1), 0
    if dac.signed and dac.bits == 1 and dac.encoding == "twos_complement":
        return (x[None] + 1) / 2, np.array([2.0]), -1
    bits = max(dac.bits - 1, 1) if dac.signed else dac.bits
    first = np.arange(0, bits, dac.slice_bits)
    worth = 2.0**first

    def slices(magnitudes):
        whole = magnitudes.astype(np.int64)
        return np.stack([(whole >> k) % 2 ** min(dac.slice_bits, bits - k) for k in first]).astype(float)

    if not dac.signed:
        return slices(x), worth, 0
    if dac.encoding == "sign_magnitude":
        return np.sign(x) * slices(np.abs(x)), worth, 0
    if dac.encoding == "two_phase":
        phases = np.concatenate([slices(np.maximum(x, 0)), slices(np.maximum(-x, 0))])
        return phases, np.concatenate([worth, -worth]), 0
    return (
        np.concatenate([slices(x % 2**bits), [(x < 0).astype(float)]]),
        np.append(worth, -(2.0**bits)),
        0,
    )


@dataclasses.dataclass(frozen=True)
class Stored:
    """What the cells of the weights hold, (rows, polarities, slices, cols), and their frozen currents; what the columns
    of each are worth, and the offset of the weights' codes."""

    digits: np.ndarray
    currents: np.ndarray
    worth: np.ndarray
    offset: float


def stored(xbar, member=0):
    """The cells of the weights of a crossbar."""
    die = xbar.die
    currents = die.currents[member].reshape(-1, *die.currents.shape[3:])[: die.shape[0], ..., die.plan.tiling.weights]
    codes = xbar.codes[member % len(xbar.codes)]
    digits = cell_digits(codes, die.spec.array).astype(float)
    return Stored(digits, currents.astype(float), die.plan.layout.worth, die.plan.layout.offset)
