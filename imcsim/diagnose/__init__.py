"""Diagnosis: what is wrong with a network on a chip, told from what the chip shows to anybody who reads it.

saturated_and_dead(network, x, rng)     units without a slope, units that never change, conversions that clip
lost_updates(updates, resolution)       how much of an update is too small to be written
perturbed_nodes(a, b)                   which units depend otherwise on the others than on a healthy chip
"""

from __future__ import annotations

from imcsim.diagnose.perturbed import PerturbedNodes, perturbed_nodes
from imcsim.diagnose.resolution import LayerLoss, LostUpdates, lost_updates
from imcsim.diagnose.units import LayerUnits, SaturatedAndDead, saturated_and_dead

__all__ = [
    "LayerLoss",
    "LayerUnits",
    "LostUpdates",
    "PerturbedNodes",
    "SaturatedAndDead",
    "lost_updates",
    "perturbed_nodes",
    "saturated_and_dead",
]
