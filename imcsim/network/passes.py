"""A pass through a network: layer by layer, what entered, the sums, the outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imcsim.network.protocols import Reads

Array = np.ndarray[Any, Any]


def layer_by_layer(
    layers: int,
    x: Array,
    read: Callable[[int, Array], tuple[Array, Array]],
    outputs: Callable[[int, Array], Array],
    nodes: tuple[Array | None, ...] | None,
) -> Reads:
    """The reads of x: read(layer, x) gives what entered a layer and its sums, `nodes` is added to them (None: nothing).

    outputs(layer, z) is what a hidden layer makes of them; the last one gives its sums.
    """
    a_in, sums, a_out = [], [], []
    for layer in range(layers):
        entered, z = read(layer, x)
        if nodes is not None and (perturbation := nodes[layer]) is not None:
            z = z + perturbation
        x = z if layer == layers - 1 else outputs(layer, z)
        a_in.append(entered)
        sums.append(z)
        a_out.append(x)
    return Reads(tuple(a_in), tuple(sums), tuple(a_out))
