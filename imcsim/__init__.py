"""imcsim: emulates analog and SRAM in-memory-compute chips.

    spec = imcsim.load("sram8t_65nm").replace("adc.bits", 6)
    die = imcsim.manufacture(spec, weights.shape, key)
    y = die.program(weights, rng).calibrate(x).mvm(x, rng)

Names are imported when they are first used: `imcsim --help` must not wait for a compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imcsim.version import MODEL_VERSION, __version__

if TYPE_CHECKING:
    from imcsim import datasets
    from imcsim.crossbar import Crossbar, Die
    from imcsim.descent import DescentSpec
    from imcsim.errors import CapabilityError, DataError, SpecError
    from imcsim.learning import learn
    from imcsim.manufacturing import manufacture, nominal_die
    from imcsim.network.learning_chip import LearningChip, learning_chip
    from imcsim.network.mlp import MLP, NetworkSpec, initial_mlp
    from imcsim.network.on_chip import ChipNetwork, calibrate, program
    from imcsim.rng import child, draw_key
    from imcsim.rules.alignment import gradient_alignment
    from imcsim.rules.library import learning_rule
    from imcsim.specs.chip import ChipSpec
    from imcsim.specs.codec import overlay
    from imcsim.specs.library import load
    from imcsim.study.table import StudyTable, open_study, read_table
    from imcsim.training import TrainingSpec, accuracy, train
    from imcsim.updates import Dense, Outer

_HOMES = {
    "crossbar": ("Crossbar", "Die"),
    "descent": ("DescentSpec",),
    "errors": ("CapabilityError", "DataError", "SpecError"),
    "learning": ("learn",),
    "manufacturing": ("manufacture", "nominal_die"),
    "network.learning_chip": ("LearningChip", "learning_chip"),
    "network.mlp": ("MLP", "NetworkSpec", "initial_mlp"),
    "network.on_chip": ("ChipNetwork", "calibrate", "program"),
    "rng": ("child", "draw_key"),
    "rules.alignment": ("gradient_alignment",),
    "rules.library": ("learning_rule",),
    "specs.chip": ("ChipSpec",),
    "specs.codec": ("overlay",),
    "specs.library": ("load",),
    "study.table": ("StudyTable", "open_study", "read_table"),
    "training": ("TrainingSpec", "accuracy", "train"),
    "updates": ("Dense", "Outer"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "MLP",
    "MODEL_VERSION",
    "CapabilityError",
    "ChipNetwork",
    "ChipSpec",
    "Crossbar",
    "DataError",
    "Dense",
    "DescentSpec",
    "Die",
    "LearningChip",
    "NetworkSpec",
    "Outer",
    "SpecError",
    "StudyTable",
    "TrainingSpec",
    "__version__",
    "accuracy",
    "calibrate",
    "child",
    "datasets",
    "draw_key",
    "gradient_alignment",
    "initial_mlp",
    "learn",
    "learning_chip",
    "learning_rule",
    "load",
    "manufacture",
    "nominal_die",
    "open_study",
    "overlay",
    "program",
    "read_table",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module("imcsim.datasets")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'imcsim' has no attribute {name!r}")
    return getattr(import_module(f"imcsim.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
