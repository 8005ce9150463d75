"""What tests of rules on chips share: designs without errors and with them, small networks on them, and a batch."""

import numpy as np
from rule_cases import SAMPLES, SHAPES

from imcsim.network.learning_chip import learning_chip
from imcsim.network.mlp import MLP
from imcsim.rng import child
from imcsim.rules.library import RULES, learning_rule, rule_options
from imcsim.rules.rule import Batch
from imcsim.specs.adc import IdealADC, UniformADC
from imcsim.specs.array import ArraySpec
from imcsim.specs.cells import SramCell
from imcsim.specs.chip import ChipSpec
from imcsim.specs.dac import OneShotDAC
from imcsim.specs.decorrelation import DigitalDecorrelation
from imcsim.specs.learning import WritePath
from imcsim.specs.transpose import TransposeRead


def design(bits, adc, mismatch=0.0, read_noise=0.0):
    """SRAM whose weights, inputs and errors have so many bits, read both ways, with converters for feedback arrays."""
    dac = OneShotDAC(bits=bits, signed=True, out_of_range="clip")
    back = TransposeRead(dac=dac, adc=adc)
    return ChipSpec(
        cell=SramCell(mismatch_sigma_rel=mismatch, read_noise_rel=read_noise),
        array=ArraySpec(rows=4, cols=6, weight_bits=bits, cell_bits=8, weight_scale="max", weight_headroom=2.0),
        dac=dac,
        adc=adc,
        transpose=back,
        feedback=back,
        decorrelation=DigitalDecorrelation(),
        write=WritePath(accumulator_bits=bits + 8),
    )


LARGE = ((150, 120), (120, 60), (60, 10))  # with enough to do for threads to share it
EXACT = design(bits=16, adc=IdealADC())
DESIGNS = {
    "without errors": design(8, UniformADC(bits=8, range="mse")),
    "with mismatch and read noise": design(8, UniformADC(bits=8, range="mse", noise_lsb=0.5), 0.1, 0.05),
}


# Perturbations that designs of 8 bits resolve, by the name of the rule.
PERTURBED = {
    "wp": {"sigma": 0.1, "noise": "rademacher"},
    "spsa": {"step": 0.1},
    "mgd": {"norm": 20.0},
    "mgd_analog": {"norm": 20.0, "tau_x": 3},
}


def rule_for(name, options, shapes=SHAPES, samples=SAMPLES):
    """A rule with options that the designs resolve, and what a step of it asks for."""
    told = {**PERTURBED.get(name, {}), **options}
    return learning_rule(name, told), RULES[name].asks(rule_options(name, told), shapes, samples)


def batch_for(samples, inputs=SHAPES[0][0], classes=SHAPES[-1][1], seed=0):
    rng = child(seed, "batch")
    return Batch(rng.uniform(-1, 1, (samples, inputs)), rng.integers(0, classes, samples))


def on_chip(spec, shapes=SHAPES, key=7):
    """A calibrated network on the die of a key."""
    rng = child(0, "network")
    mlp = MLP(
        tuple(rng.uniform(-1, 1, shape) for shape in shapes), tuple(rng.normal(size=n) for _, n in shapes), "tanh"
    )
    network = learning_chip(mlp, spec, "cross_entropy", key, child(0, "program"))
    batch = batch_for(64, shapes[0][0], shapes[-1][1])
    return network.calibrated(batch.x, batch.y, child(0, "calibrate"))


def digest_of_steps(cases):
    """The bytes of the updates of a step of each case (name, options), and of the weights after it, on both designs."""
    from imcsim.updates import dense

    parts = []
    for spec in DESIGNS.values():
        large, small = on_chip(spec, LARGE), on_chip(spec)
        for name, options in cases:
            network = small if name == "wp_sequential" else large  # a pass for each of 26,000 weights takes minutes
            rule, _ = rule_for(name, options)
            state = rule.init(network, child(0, "init"))
            updates, _, _ = rule.step(
                network, state, batch_for(300, network.shapes[0][0], network.shapes[-1][1]), child(0, "step")
            )
            after = network.write(updates, child(0, "write"))
            parts += [np.asarray(dense(u.weights)) for u in updates] + list(after.written)
    return b"".join(part.tobytes() for part in parts)
