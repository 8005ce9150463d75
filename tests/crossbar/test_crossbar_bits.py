"""Bits: the same generator gives the same reads, however samples are batched and on however many threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from crossbar_chips import chip, inputs_of, programmed, weights_of

from imcsim.rng import child, draw_key
from imcsim.specs.adc import SarADC, UniformADC
from imcsim.specs.dac import BitSerialDAC, OneShotDAC
from imcsim.specs.library import load

CELL = load("sram8t_65nm").cell
FROZEN = {"offset_sigma_lsb": 0.5, "gain_sigma_rel": 0.01}
# every engine with every kind of noise
DESIGNS = {
    "bit lines": chip(
        cell=CELL, adc=UniformADC(bits=6, noise_lsb=0.5, **FROZEN), dac=BitSerialDAC(bits=3, signed=True)
    ),
    "sums become codes in passing": chip(
        cell=CELL.replace("droop_per_V", 0.0).replace("swing_V", 5.0), adc=UniformADC(bits=6, noise_lsb=0.5, **FROZEN)
    ),
    "one shot": chip(cell=CELL, adc=UniformADC(bits=6, rounding="stochastic"), dac=OneShotDAC(bits=3, noise_lsb=0.3)),
    "charge": chip(
        cell=load("sram_cap_28nm").cell,
        adc=SarADC(bits=6, comparator_noise_lsb=0.3, **FROZEN),
        dac=OneShotDAC(bits=3, signed=True),
    ),
    "subtracted": chip(
        cell=CELL, subtraction="analog", adc=UniformADC(bits=6), dac=BitSerialDAC(bits=3, accumulation="analog")
    ),
}
EVERY_DESIGN = pytest.mark.parametrize("design", DESIGNS)


def everything(design="bit lines", samples=300):
    """A crossbar with samples for it: a few blocks of the kernels."""
    spec = DESIGNS[design]
    x = inputs_of(spec.dac, samples, 19)
    return programmed(spec, weights_of(4, (19, 15)), x), x


@EVERY_DESIGN
def test_the_same_generator_gives_the_same_bits_and_two_reads_differ(design):
    xbar, x = everything(design)
    rng = child(0, "read")
    first, second = xbar.mvm(x, rng), xbar.mvm(x, rng)
    np.testing.assert_array_equal(xbar.mvm(x, child(0, "read")), first)
    assert (first != second).mean() > 0.5
    assert (xbar.mvm(x, child(1, "read")) != first).mean() > 0.5


def test_a_read_takes_one_key_from_its_generator_however_many_samples_it_has():
    xbar, x = everything()
    rngs = child(0, "read"), child(0, "read"), child(0, "read")
    xbar.mvm(x, rngs[0])
    xbar.mvm(x[:1], rngs[1])
    draw_key(rngs[2])
    assert len({rng.bit_generator.state["state"]["state"] for rng in rngs}) == 1


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 127, 128, 129, 255, 256, 257])
@EVERY_DESIGN
def test_the_first_samples_of_a_batch_have_the_bits_of_the_whole(design, samples):
    xbar, x = everything(design)
    np.testing.assert_array_equal(xbar.mvm(x[:samples], child(0, "read")), xbar.mvm(x, child(0, "read"))[:samples])


def test_leading_axes_are_samples():
    xbar, x = everything()
    flat = xbar.mvm(x, child(0, "read"))
    np.testing.assert_array_equal(xbar.mvm(x.reshape(4, 3, 25, 19), child(0, "read")), flat.reshape(4, 3, 25, 15))
    np.testing.assert_array_equal(xbar.mvm(x[0], child(0, "read")), flat[0])
    assert xbar.mvm(x[:0], child(0, "read")).shape == (0, 15)


@EVERY_DESIGN
def test_the_bits_of_a_read_do_not_depend_on_the_threads(design, on_threads):
    xbar, x = everything(design)
    one, two = (on_threads(threads, lambda: xbar.mvm(x, child(0, "read"))) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


PROGRAM = """
import hashlib, numpy as np, imcsim
spec = imcsim.load("sram8t_65nm").replace("adc.noise_lsb", 0.5).replace("adc.bits", 6)
rng = imcsim.child(0, "threads")
x, weights = rng.uniform(size=(300, 150)), rng.normal(size=(150, 10))
xbar = imcsim.manufacture(spec, weights.shape, 3).program(weights, rng).calibrate(x)
steps = [xbar.calibrate(rng.uniform(size=(100, 150))).input_step[0] for _ in range(10)]
print(hashlib.sha256(xbar.mvm(x, rng).tobytes() + np.array(steps).tobytes()).hexdigest())
"""


@pytest.mark.parametrize(
    "variable",
    [
        "NUMBA_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
    ],
)
def test_a_process_with_one_thread_and_one_with_two_give_the_same_bits(variable):
    printed = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, variable: threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 65


THREADED = """
import threading
reads = [None] * 4
def read(k):
    for _ in range(10):
        reads[k] = xbar.mvm(x, imcsim.child(1, "read"))
threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import numba
print(numba.threading_layer(), all(np.array_equal(read, xbar.mvm(x, imcsim.child(1, "read"))) for read in reads))
"""


def test_python_threads_may_read_at_once_under_the_layer_that_aborts_when_they_do():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("print", "str") + THREADED],
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "workqueue True\n"), done.stderr
