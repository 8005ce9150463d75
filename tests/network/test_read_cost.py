"""What reads ask for, in closed form, against designs whose array reads and conversions were counted by hand."""

import numpy as np
import pytest

from imcsim.crossbar import Crossbar
from imcsim.floorplan import floorplan
from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import NetworkSpec, initial_mlp
from imcsim.network.protocols import Counts
from imcsim.network.read_cost import read_cost
from imcsim.rng import child
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import BitSerialDAC, IdealDAC, OneShotDAC
from imcsim.specs.transpose import TransposeRead

SERIAL = BitSerialDAC(bits=8)  # 8 cycles
WHOLE = {"weight_bits": 8, "cell_bits": 7}  # a slice


def serial(**fields):
    return BitSerialDAC(**{"bits": 8, "signed": True, **fields})


# name: array, DAC, shape, array reads and conversions of a sample
BY_HAND = {
    # 3 tiles of rows x 2 of columns x 7 slices x 8 cycles; 3 tiles x 200 columns x 2 polarities x 7 slices x 8 cycles
    "sliced": ({"weight_bits": 8}, SERIAL, (300, 200), 3 * 2 * 7 * 8, 3 * 200 * 2 * 7 * 8),
    # 7 bits in slices of 3, 3 and 1
    "slices of three bits": ({"cell_bits": 3}, SERIAL, (10, 5), 3 * 8, 5 * 2 * 3 * 8),
    "one shot": (WHOLE, OneShotDAC(), (300, 200), 3 * 2, 3 * 200 * 2),
    "unquantised inputs": (WHOLE, IdealDAC(), (300, 200), 3 * 2, 3 * 200 * 2),
    "analog subtraction": ({**WHOLE, "subtraction": "analog"}, OneShotDAC(), (300, 200), 3 * 2, 3 * 200),
    # 100 rows in arrays of 64, 16 at a time: 4 groups in each of 2 tiles
    "rows in parallel": ({**WHOLE, "rows": 64, "rows_parallel": 16}, OneShotDAC(), (100, 5), 2 * 4, 2 * 4 * 5 * 2),
    # 2 tiles of 50 rows, 25 at a time
    "equal tiles": (
        {**WHOLE, "rows": 64, "tiling": "equal", "rows_parallel": 25},
        OneShotDAC(),
        (100, 5),
        2 * 2,
        2 * 2 * 5 * 2,
    ),
    # the tile is not higher than the matrix: 10 rows, 4 at a time
    "a matrix lower than its array": ({**WHOLE, "rows_parallel": 4}, OneShotDAC(), (10, 5), 3, 3 * 5 * 2),
    "two's complement inputs": (WHOLE, serial(), (10, 5), 8, 5 * 2 * 8),
    # 7 bits of the size, positive inputs and then negative ones
    "two phases": (WHOLE, serial(encoding="two_phase"), (10, 5), 14, 5 * 2 * 14),
    "sign and magnitude": (WHOLE, serial(encoding="sign_magnitude"), (10, 5), 7, 5 * 2 * 7),
    # 7 bits of the size in 4 slices, then the sign
    "two bits a cycle": (WHOLE, serial(slice_bits=2), (10, 5), 5, 5 * 2 * 5),
    "cycles added as charge": (WHOLE, serial(accumulation="analog"), (10, 5), 8, 5 * 2),
    "two phases added as charge": (
        WHOLE,
        serial(encoding="two_phase", accumulation="analog"),
        (10, 5),
        14,
        5 * 2,
    ),
    # one polarity; 10 columns in arrays of 4: 3 arrays, each with a column more
    "unit columns": (
        {"weight_bits": 4, "cols": 4, "mapping": "offset", "offset_correction": "unit_column"},
        SERIAL,
        (10, 10),
        3 * 4 * 8,
        13 * 4 * 8,
    ),
    "digital offset": ({"weight_bits": 4, "cols": 4, "mapping": "offset"}, SERIAL, (10, 10), 3 * 4 * 8, 10 * 4 * 8),
    "two's complement weights": (
        {"weight_bits": 4, "cell_bits": 3, "mapping": "twos_complement"},
        SERIAL,
        (10, 10),
        2 * 8,
        10 * 2 * 8,
    ),
    "two-sided pairs": ({**WHOLE, "mapping": "differential_two_sided"}, OneShotDAC(), (10, 5), 1, 5 * 2),
    "weights of one bit": ({"weight_bits": 1, "mapping": "offset"}, OneShotDAC(), (10, 5), 1, 5),
}


def chip(array, dac, adc=None, **more):
    return ChipSpec(cell=SramCell(), array=ArraySpec(**array), dac=dac, adc=adc or UniformADC(), **more)


@pytest.mark.parametrize(("array", "dac", "shape", "reads", "conversions"), BY_HAND.values(), ids=BY_HAND)
def test_a_read_asks_for_the_array_reads_and_conversions_that_were_counted_by_hand(
    array, dac, shape, reads, conversions
):
    for samples in (1, 17):
        expected = Counts(array_reads=samples * reads, conversions=samples * conversions)
        assert read_cost(floorplan(chip(array, dac), shape), samples) == expected


def test_an_ideal_adc_converts_nothing():
    assert read_cost(floorplan(chip(WHOLE, OneShotDAC(), IdealADC()), (300, 200)), 3) == Counts(array_reads=18)


# ---- a whole chip: (9, 7), (7, 5), (5, 3) on arrays of 4 x 6, in two slices

SHAPES = ((9, 7), (7, 5), (5, 3))
ARRAY = {"rows": 4, "cols": 6, "weight_bits": 5, "cell_bits": 2}
SPEC = chip(
    ARRAY,
    BitSerialDAC(bits=4, signed=True, out_of_range="clip"),
    transpose=TransposeRead(dac=OneShotDAC(bits=5, signed=True)),
    feedback=TransposeRead(dac=BitSerialDAC(bits=3, signed=True, encoding="two_phase")),
)
# of a sample: forward 4 cycles and 2 slices; 3, 2, 2 tiles of rows and 2, 1, 1 of columns; 2 polarities
FORWARD_READS = (3 * 2 * 2 * 4, 2 * 1 * 2 * 4, 2 * 1 * 2 * 4)
FORWARD_CONVERSIONS = (3 * 7 * 2 * 2 * 4, 2 * 5 * 2 * 2 * 4, 2 * 3 * 2 * 2 * 4)
# backward one cycle, arrays of 6 x 4: 5 outputs lie in one of them, 7 inputs in two; 3 in one, 5 in two
BACKWARD_READS = (None, 2 * 2, 2 * 2)
BACKWARD_CONVERSIONS = (None, 7 * 2 * 2, 5 * 2 * 2)


def learning(spec=SPEC):
    start = initial_mlp(NetworkSpec(hidden=(7, 5), activation="tanh"), 9, 3, child(0, "weights"))
    return learning_chip(start, spec, "cross_entropy", 7, child(0, "program"))


X = child(0, "samples").uniform(-1, 1, (20, 9))
Y = child(0, "labels").integers(0, 3, 20)


def test_a_forward_pass_costs_the_reads_of_all_layers():
    expected = Counts(forward_passes=11, array_reads=11 * sum(FORWARD_READS), conversions=11 * sum(FORWARD_CONVERSIONS))
    assert learning().cost(11) == expected


@pytest.mark.parametrize("layer", [1, 2])
def test_a_backward_read_costs_those_of_the_transposed_arrays(layer):
    expected = Counts(
        backward_reads=11, array_reads=11 * BACKWARD_READS[layer], conversions=11 * BACKWARD_CONVERSIONS[layer]
    )
    assert learning().backward_cost(layer, 11) == expected


def test_a_feedback_array_costs_the_reads_of_its_own_converters():
    array = learning().calibrated(X, Y, child(0)).auxiliary("one", np.ones((3, 7)), child(0, "auxiliary"))
    # two phases of two bits: 4 cycles, 2 slices; 3 rows in an array of 6, 7 columns in two of 4; 2 polarities
    assert array.cost(11) == Counts(array_reads=11 * 2 * 2 * 4, conversions=11 * 7 * 2 * 2 * 4)


@pytest.fixture
def reads(monkeypatch):
    """(direction, shape of the crossbar, samples) of every read from here on."""
    seen = []

    def watched(name):
        original = getattr(Crossbar, name)

        def call(self, x, *args, **kwargs):
            seen.append((name, self.die.shape, np.shape(x)[-2]))
            return original(self, x, *args, **kwargs)

        monkeypatch.setattr(Crossbar, name, call)

    watched("mvm")
    watched("mvm_t")
    return seen


def counted(reads):
    """The array reads and conversions of reads that were seen, of the chip above."""
    found = Counts()
    for name, shape, samples in reads:
        layer = SHAPES.index(shape)
        of_one = FORWARD_READS, FORWARD_CONVERSIONS
        if name == "mvm_t":
            of_one = BACKWARD_READS, BACKWARD_CONVERSIONS
            found = found.plus(Counts(backward_reads=samples))
        array_reads, conversions = (samples * per_layer[layer] for per_layer in of_one)
        found = found.plus(Counts(array_reads=array_reads, conversions=conversions))
    return found


@pytest.mark.parametrize("transposed", [True, False])
def test_a_calibration_costs_what_it_reads(reads, transposed):
    network = learning(SPEC if transposed else SPEC.replace("transpose", None))
    network.calibrated(X, Y, child(0, "calibrate"))
    cost = network.calibration_cost(len(X))
    assert cost._replace(forward_passes=0) == counted(reads)
    assert cost.forward_passes == (2 if transposed else 1) * len(X)


def test_a_calibration_without_hidden_layers_reads_nothing(reads):
    start = initial_mlp(NetworkSpec(hidden=()), 9, 3, child(0, "weights"))
    network = learning_chip(start, SPEC, "cross_entropy", 7, child(0, "program"))
    network.calibrated(X, Y, child(0, "calibrate"))
    assert reads == []
    assert network.calibration_cost(len(X)) == Counts()


def test_forward_and_backward_cost_what_they_read(reads):
    network = learning().calibrated(X, Y, child(0, "calibrate"))
    reads.clear()
    network.forward(X, child(0, "forward"))
    assert counted(reads) == network.cost(len(X))._replace(forward_passes=0)
    reads.clear()
    network.backward(2, child(0, "errors").normal(size=(6, 3)), child(0, "backward"))
    assert counted(reads) == network.backward_cost(2, 6)
