"""What can be measured of cells, converters and macros: a class a group of a measurement file.

Each field says its axes, its SI units and what it is; a file has a dataset for it, and docs/measurements.md a row.
Numbers that are missing are NaN.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Quantity:
    """What a field holds: `what`, along `axes`, in one of `units`; without units it counts or names: whole numbers.

    Leading axes beyond the last `least` may be left out: a `shared` field is then the same along them, any other has
    them of length one.
    """

    name: str
    what: str
    axes: tuple[str, ...]
    least: int
    units: tuple[str, ...]
    required: bool
    shared: bool

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers."""
        return not self.units

    @property
    def shape(self) -> str:
        """Its axes in words: "(times) or (cells, times)"."""
        tails = [self.axes[len(self.axes) - count :] for count in range(self.least, len(self.axes) + 1)]
        return " or ".join(f"({', '.join(tail)})" if tail else "one number" for tail in tails)


def quantity(
    what: str, *axes: str, units: str = "", least: int | None = None, required: bool = False, shared: bool = False
) -> Any:
    """A field of a group; `units` are parted by blanks, `least` is all of the axes where it is not given."""
    told = {"what": what, "axes": axes, "units": tuple(units.split()), "required": required, "shared": shared}
    return dataclasses.field(default=None, metadata=told | {"least": len(axes) if least is None else least})


@dataclass(frozen=True, kw_only=True)
class Group:
    """What groups share: arrays by field, float64 in SI units or int64, None where a file has none."""

    name: ClassVar[str]
    title: ClassVar[str]
    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()  # of each, one at least must be there
    masked: ClassVar[str] = ""  # the field whose gaps the file's `valid` marks

    @classmethod
    def quantities(cls) -> dict[str, Quantity]:
        """The fields of the group, by name."""
        return {
            field.name: Quantity(field.name, **field.metadata) for field in dataclasses.fields(cls) if field.metadata
        }

    def unit_of(self, name: str) -> str:
        """The SI unit of a field, "" for what counts or names; where a group leaves a choice, its `unit`."""
        units = self.quantities()[name].units
        return units[0] if len(units) == 1 else getattr(self, "unit", "") if units else ""

    @property
    def present(self) -> dict[str, Array]:
        """The fields that are there."""
        return {name: value for name in self.quantities() if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, kw_only=True)
class ProgramVerify(Group):
    """Writes of cells, a row each: what was asked for, and what the last verify read found."""

    name = "program_verify"
    title = "writes of cells, and what they left"
    one_of = (("target", "low"), ("conductance", "success"))
    masked = "conductance"
    target: Array | None = quantity("the conductance asked for", "writes", units="S")
    conductance: Array | None = quantity("that of the last verify read", "writes", units="S")
    low: Array | None = quantity("lower end of the window to hit, NaN where it is open", "writes", units="S")
    high: Array | None = quantity("its upper end, NaN where it is open", "writes", units="S")
    success: Array | None = quantity("1 where the last verify read lay in the window", "writes")
    pulses: Array | None = quantity("pulses it took", "writes")
    device: Array | None = quantity("which cell", "writes")
    cycle: Array | None = quantity("which write of that cell", "writes")
    row: Array | None = quantity("its row", "writes")
    column: Array | None = quantity("its column", "writes")
    die: Array | None = quantity("its die", "writes")


@dataclass(frozen=True, kw_only=True)
class ReadNoise(Group):
    """Cells that are read again and again at equal intervals, nothing else being done to them."""

    name = "read_noise"
    title = "series of reads of the same cells"
    masked = "conductance"
    conductance: Array | None = quantity("what each read gave", "cells", "reads", units="S", required=True)
    interval: Array | None = quantity("time from read to read; without it no rate is told in Hz", units="s")
    target: Array | None = quantity("the conductance asked for", "cells", units="S")
    device: Array | None = quantity("which cell", "cells")
    row: Array | None = quantity("its row", "cells")
    column: Array | None = quantity("its column", "cells")
    die: Array | None = quantity("its die", "cells")


@dataclass(frozen=True, kw_only=True)
class Drift(Group):
    """Cells that are written once, and read as time goes on."""

    name = "drift"
    title = "cells after one write, read as time goes on"
    masked = "conductance"
    conductance: Array | None = quantity("what each read gave", "cells", "times", units="S", required=True)
    time: Array | None = quantity("since the write", "cells", "times", units="s", least=1, required=True, shared=True)
    target: Array | None = quantity("the conductance asked for", "cells", units="S")
    device: Array | None = quantity("which cell", "cells")
    row: Array | None = quantity("its row", "cells")
    column: Array | None = quantity("its column", "cells")
    die: Array | None = quantity("its die", "cells")


@dataclass(frozen=True, kw_only=True)
class AdcTransfer(Group):
    """A converter's codes at inputs that step through its range."""

    name = "adc_transfer"
    title = "a converter's codes along its range"
    unit: str = "1"  # of input
    input: Array | None = quantity("what was put in, rising", "steps", units="1 V A", required=True)
    code: Array | None = quantity("what came out", "chips", "steps", "repeats", least=2, required=True)
    bits: Array | None = quantity("of the converter", required=True)
    chip: Array | None = quantity("which chip", "chips")


@dataclass(frozen=True, kw_only=True)
class MacTransfer(Group):
    """The codes with which a macro answers known sums: samples, how many of each code, or how probable each is."""

    name = "mac_transfer"
    title = "a macro's codes for sums that are known"
    one_of = (("code", "counts", "probability"),)
    ideal_sum: Array | None = quantity("what was summed, rising", "sums", units="1", required=True)
    code: Array | None = quantity("what came out, sample by sample", "chips", "sums", "samples", least=2)
    counts: Array | None = quantity("how often each code came out", "chips", "sums", "codes", least=2)
    probability: Array | None = quantity("how probable each code is", "chips", "sums", "codes", units="1", least=2)
    observations: Array | None = quantity("how many a probability is of", "chips", "sums", least=0, shared=True)
    code_value: Array | None = quantity(
        "the sum that a code stands for; without it the code itself", "codes", units="1"
    )
    chip: Array | None = quantity("which chip, or which setting of it", "chips")


@dataclass(frozen=True, kw_only=True)
class PulseResponse(Group):
    """Trains of equal pulses, all of one direction, and what a cell conducts after each of them."""

    name = "pulse_response"
    title = "what a cell conducts, pulse by pulse"
    masked = "conductance"
    unit: str = "S"  # of conductance
    conductance: Array | None = quantity(
        "after each pulse; the first may be before any", "trains", "pulses", units="S 1", required=True
    )
    direction: Array | None = quantity("1 for a train of pulses up, -1 for one down", "trains", required=True)
    device: Array | None = quantity("which cell", "trains")
    cycle: Array | None = quantity("which of that cell's trains", "trains")
    die: Array | None = quantity("its die", "trains")


@dataclass(frozen=True, kw_only=True)
class PowerUp(Group):
    """SRAM cells that are powered up again and again: how often each came up as 1."""

    name = "power_up"
    title = "how often SRAM cells power up as 1"
    one_of = (("ones", "majority"),)
    power_ups: Array | None = quantity("how often each cell was powered up", required=True)
    ones: Array | None = quantity("how often it came up as 1", "chips", "rows", "columns", least=1)
    majority: Array | None = quantity("how often it came up as it mostly does", "chips", "rows", "columns", least=1)
    chip: Array | None = quantity("which chip", "chips")


@dataclass(frozen=True, kw_only=True)
class Spread(Group):
    """The same thing measured at the same places of several dies, again and again: where its variance comes from."""

    name = "spread"
    title = "one quantity at the same places of several dies"
    one_of = (("value", "mean"),)
    unit: str = "1"  # of what is measured
    value: Array | None = quantity("each measurement", "dies", "places", "repeats", units="1 S V A Hz s ohm")
    mean: Array | None = quantity("the mean of the repeats", "dies", "places", units="1 S V A Hz s ohm")
    sigma: Array | None = quantity("the standard deviation of the repeats", "dies", "places", units="1 S V A Hz s ohm")
    repeats: Array | None = quantity("how many there are")
    die: Array | None = quantity("which die", "dies")


GROUPS: dict[str, type[Group]] = {
    one.name: one for one in (ProgramVerify, ReadNoise, Drift, AdcTransfer, MacTransfer, PulseResponse, PowerUp, Spread)
}
