"""Noise-based learning: the noise is not the rule's, which knows neither its values nor how large it is.

Two passes of the same samples, each with noise of its own, show sums z, z' and losses L, L'; what they differ by tells:

    delta_l = N (L' - L) / |z' - z|^2 (z'_l - z_l),    N = n_1 + ... + n_L, |z' - z|^2 over all layers,

for each sample; the estimate of the gradient of layer l is a_in^T delta_l / samples. It is activity-based node
perturbation with two noisy passes and a source of noise that needs no random numbers: stochastic magnetic tunnel
junctions at the nodes, or the read noise of the chip itself.
Koenders et al. 2025, Phys. Rev. Applied 23, 054035.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, ClassVar

from imcsim.network.protocols import Updates
from imcsim.rng import Generators, children, draw_keys
from imcsim.rules.entry import RuleEntry, Shapes, StepCost, units_of, weights_of
from imcsim.rules.layer_updates import mean
from imcsim.rules.node_perturbation import Nodes, by_activity, info_of, needs_losses, noisy_pass
from imcsim.rules.rule import Batch, Info, LearningRule, require
from imcsim.rules.seen import refusing_the_unseen
from imcsim.rules.tunnel_junctions import Junctions, TunnelJunctions, first_states, voltages
from imcsim.specs.fields import Spec, limited


@dataclass(frozen=True, kw_only=True)
class ReadNoise(Spec):
    """Nothing is added: passes differ by what the network itself draws at its reads."""

    kind: ClassVar[str] = "read_noise"


_MEASURED = TunnelJunctions()


@dataclass(frozen=True, kw_only=True)
class NoiseBasedSpec(Spec):
    """`source` is what makes two passes differ; the mean is taken of `draws` pairs of passes."""

    source: TunnelJunctions | ReadNoise = _MEASURED
    draws: int = limited(1, low=1, high=100_000)


_DEFAULT = NoiseBasedSpec()


def noise_based_learning(spec: NoiseBasedSpec = _DEFAULT) -> LearningRule:
    """Delta = N dL / |dz|^2 dz of two noisy passes; the state is the source's, which goes on from pass to pass."""

    def init(network: Any, rng: Generators) -> Any:
        needs_losses(network, rng)
        return _begun(spec.source, network, rng)

    def step(network: Any, state: Any, batch: Batch, rng: Generators) -> tuple[Updates, Any, Info]:
        keys, units, samples = draw_keys(rng), units_of(network.shapes), batch.x.shape[-2]
        estimates = []
        for draw in range(spec.draws):
            passes = []
            for which in ("first", "second"):
                added, state = _added(spec.source, state, samples, children(keys, "source", which, draw))
                passes.append(noisy_pass(network, batch, added, keys, which, draw))
            first, second = passes
            estimates.append(by_activity(first, second, units))
        return mean(estimates), state, info_of(network, two_passes_cost(spec, network.shapes, samples))

    return refusing_the_unseen(LearningRule(init, step), "source")


@singledispatch
def _begun(source: Spec, network: Any, rng: Generators) -> Any:
    """The state of a source ahead of the first pass."""
    del network, rng
    raise TypeError(f"no source of noise {type(source).__name__}")


@singledispatch
def _added(source: Spec, state: Any, samples: int, rng: Generators) -> tuple[Nodes | None, Any]:
    """What a source adds to the sums of each layer in a pass, None: nothing; and its state after it."""
    del state, samples, rng
    raise TypeError(f"no source of noise {type(source).__name__}")


@_begun.register
def _(source: TunnelJunctions, network: Any, rng: Generators) -> Junctions:
    return first_states(source, tuple(units for _, units in network.shapes), rng)


_added.register(TunnelJunctions, voltages)


@_begun.register
def _(source: ReadNoise, network: Any, rng: Generators) -> None:
    del source, rng
    remedy = 'let source be { kind = "tunnel_junctions" }, or take rule anp, which draws noise'
    require(network, "noisy_reads", "noise at its reads", "learning from read noise", remedy)


@_added.register
def _(source: ReadNoise, state: None, samples: int, rng: Generators) -> tuple[None, None]:
    del source, state, samples, rng
    return None, None


def two_passes_cost(spec: NoiseBasedSpec, shapes: Shapes, samples: int) -> StepCost:
    """Of pairs of passes whose noise costs no random numbers: the sums of both are held."""
    return StepCost(
        forward_passes=2 * spec.draws * samples,
        stored=samples * (sum(inputs for inputs, _ in shapes) + 2 * units_of(shapes)),
        multiplications=spec.draws * samples * weights_of(shapes),
    )


def needs_noise(spec: NoiseBasedSpec) -> Collection[str]:
    """Of a rule that lives on the noise of reads, where that is its source."""
    return ("each_loss", "noisy_reads") if isinstance(spec.source, ReadNoise) else ("each_loss",)


ENTRIES = (
    RuleEntry(
        name="nbl",
        summary="noise-based learning: two passes, and noise of devices or of the chip's own reads between them",
        options=NoiseBasedSpec,
        build=noise_based_learning,
        requires=needs_noise,
        asks=two_passes_cost,
        unbiased=False,
        needs="forward reads; the loss of each sample; a chip whose reads are noisy where source.kind is read_noise",
        cost="2 draws B forward passes; no random numbers: junctions, or reads, draw them",
        source="Koenders et al. 2025, Phys. Rev. Applied 23, 054035",
    ),
)
