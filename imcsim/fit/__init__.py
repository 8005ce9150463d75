"""Estimators: measurements -> parameters with intervals -> a device model that chips run on.

    found = fit(read("measurements.h5"))
    device_model(found.results, measurements, "my_cell").to_toml()

or one by itself: `DriftFit(law="power").fit(measurements.groups["drift"], rng)`.
"""

from imcsim.fit.adc import AdcFit, code_density
from imcsim.fit.drift import DriftFit
from imcsim.fit.estimators import ESTIMATORS, Fits, estimators, fit
from imcsim.fit.mac import MacFit
from imcsim.fit.model import device_model
from imcsim.fit.power_up import PowerUpFit
from imcsim.fit.programming import ProgrammingFit
from imcsim.fit.pulses import PulseFit
from imcsim.fit.read_noise import ReadNoiseFit
from imcsim.fit.result import FitResult, Parameter
from imcsim.fit.spectrum import SpectrumFit
from imcsim.fit.telegraph import TelegraphFit
from imcsim.fit.variance import ComponentsFit, SpreadFit

__all__ = [
    "ESTIMATORS",
    "AdcFit",
    "ComponentsFit",
    "DriftFit",
    "FitResult",
    "Fits",
    "MacFit",
    "Parameter",
    "PowerUpFit",
    "ProgrammingFit",
    "PulseFit",
    "ReadNoiseFit",
    "SpectrumFit",
    "SpreadFit",
    "TelegraphFit",
    "code_density",
    "device_model",
    "estimators",
    "fit",
]
