"""Figures of validation: lines are closed forms, markers are emulated; nothing is computed here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.validation.columns import MAPPINGS
from docs.validation.points import Point
from imcsim.plots import COLOURS, MARKERS, STYLE

SMALL: dict[str, Any] = {"fontsize": 8}


def draw(points: Sequence[Point], folder: Path) -> None:
    """Write every figure as validation_NAME.png into `folder`."""
    with mpl.rc_context({**STYLE, "text.parse_math": True}):
        for name, of in FIGURES.items():
            figure = Figure(figsize=(9.2, 4.2), layout="constrained")
            of(points, figure)
            # neither date nor version in the file: the same numbers give the same bytes
            figure.savefig(folder / f"validation_{name}.png", dpi=130, metadata={"Software": None})


def _sqnr(points: Sequence[Point], figure: Figure) -> None:
    series = _series(points, "sqnr")
    mismatched = list(series)[-1]
    for ax, minus in zip(figure.subplots(1, 2), (0.0, 1.0), strict=True):

        def above(p: Point, value: float, minus: float = minus) -> float:
            return value - minus * (6.02 * p.x + 1.76)

        for place, (name, members) in enumerate(series.items()):
            if not minus and name not in ("uniform", mismatched):
                continue  # at this scale one hides the other
            # side by side, as the four kinds agree where they are as designed; the last with its own line
            shift = minus * 0.12 * (place - 2)
            x, style = [p.x + shift for p in members], _style(place)
            ax.plot(x, [above(p, p.emulated) for p in members], linestyle="none", label=name, **style)
            if place == 0 or name == mismatched:
                x = x if name == mismatched else [p.x for p in members]
                ax.plot(x, [above(p, p.closed_form) for p in members], color=style["color"], linewidth=1.1, zorder=1)
        bits = [p.x for p in series["uniform"]]
        law = [(1 - minus) * (6.02 * b + 1.76) for b in bits]
        ax.plot(bits, law, color="0.4", linestyle="--", label="6.02 b + 1.76 dB", zorder=0)
    left, right = figure.axes
    left.set(xlabel="ADC bits b", ylabel="SQNR of a full-scale sine (dB)")
    right.set(xlabel="ADC bits b (markers shifted to be told apart)", ylabel="SQNR above 6.02 b + 1.76 dB (dB)")
    left.set_title("A sine through a column of one cell", loc="left")
    right.set_title("Lines: rounding, the sine's peaks, and the INL", loc="left")
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, **SMALL)


def _inl(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    _pairs(left, _series(points, "inl"), every=4)
    left.set(xlabel="transition k of 256", ylabel="spread over 1024 converters (LSB)")
    left.set_title(r"8 bits; lines: $\sigma\sqrt{k\,(1-k/2^b)}$", loc="left")
    _legend_below(left)
    _pairs(right, _series(points, "inl_correlation"), first=4, every=4)
    right.set(xlabel="transition k of 256", ylabel="correlation with transition 128 (1)")
    right.set_title("What tells SAR and ramp apart", loc="left")
    _legend_below(right)


def _read_noise(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    for ax, name, label in (
        (left, "read_noise_rows", "rows driven, of 128 (bit-serial)"),
        (right, "read_noise_input", "input of all 128 rows (one shot, of full scale)"),
    ):
        series = _series(points, name)
        line = next(iter(series.values()))
        ax.plot([p.x for p in line], [p.closed_form for p in line], color="0.4", label="closed form", zorder=1)
        for place, (of, members) in enumerate(series.items()):
            style = {**_style(place), "markersize": 9 if place == 0 else 5}
            ax.plot([p.x for p in members], [p.emulated for p in members], linestyle="none", label=of, **style)
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel="variance of the column (unit currents$^2$)")
        ax.legend(loc="upper left")
    left.set_title("Jitter 2.3 %, read noise 1 %, mismatch 14 %", loc="left")
    right.set_title("20 000 reads a point", loc="left")


def _mismatch(points: Sequence[Point], figure: Figure) -> None:
    ax = figure.subplots()
    for place, (name, members) in enumerate(_series(points, "mismatch").items()):
        at = [p.x + 0.22 * (place - 1) for p in members]
        style = _style(place)
        ax.errorbar(
            at,
            [p.emulated for p in members],
            yerr=[p.tolerance for p in members],
            linestyle="none",
            capsize=3,
            label=f"{name}, 5 standard errors",
            **style,
        )
        for x, p in zip(at, members, strict=True):
            ax.hlines(p.closed_form, x - 0.09, x + 0.09, color="black", linewidth=1.4, zorder=4)
    ax.plot([], [], color="black", linewidth=1.4, label="closed form")
    ax.set_xticks(range(len(MAPPINGS)), list(MAPPINGS))
    ax.set(ylabel="spread of y over columns (weight x input)", ylim=(0, None))
    ax.set_title("Mismatch of 10 % in 12 weights of 4 bits, by mapping and slices", loc="left")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4, **SMALL)


def _snr(points: Sequence[Point], figure: Figure) -> None:
    ax = figure.subplots()
    series = _series(points, "snr")
    _pairs(ax, series)
    rows = [p.x for p in series["all"]]
    ax.set_xscale("log", base=2)
    ax.set_xticks(rows, [f"{r:g}" for r in rows])
    ax.set(xlabel="rows of the array", ylabel="signal over error of y = W x (dB)")
    ax.set_title(
        "The cell of sram8t_65nm on a linear line: weights of 6, inputs of 8 bits, an 8-bit ADC for the full sum",
        loc="left",
        fontsize=9,
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="lines: closed forms", alignment="left")


def _transfer(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    _pairs(left, _series(points, "droop"))
    left.axhline(0.85, color="0.4", linestyle=":", label="swing, 0.85 V")
    left.set(xlabel="conducting cells, of 128", ylabel="fall of the bit line (V)", ylim=(0, 1.25))
    left.set_title("sram8t_65nm: droop 0.15 / V, then the swing", loc="left")
    left.legend(loc="upper left", ncols=2)
    _pairs(right, _series(points, "load"), first=3)
    right.axhline(2.0, color="0.4", linestyle=":", label="clamp, 2 mA")
    right.set(xlabel="conducting cells, of 128", ylabel="summed current (mA)", ylim=(0, 2.9))
    right.set_title("sram8t_is_65nm: drop at the load, then the clamp", loc="left")
    right.legend(loc="upper left", ncols=2)


def _devices(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    _pairs(left, _series(points, "writes"))
    left.set(xlabel="target, of g_max", ylabel="standard deviation of a write (uS)", yscale="log", ylim=(0.12, 6))
    left.set_title("A million cells a device; lines: as published", loc="left")
    _legend_below(left)
    _pairs(right, _series(points, "flicker"))
    right.set(xlabel="state of pcm, of g_max", ylabel="1/f noise (of the conductance)", ylim=(0, None))
    right.set_title("One read of a million cells, at two times", loc="left")
    _legend_below(right)


def _spreads(points: Sequence[Point], figure: Figure) -> None:
    ax = figure.subplots()
    _pairs(ax, _series(points, "spreads"))
    ax.set(xlabel="code, of the largest", ylabel="standard deviation about the target (uS)", ylim=(0, None))
    ax.set_title("A million cells a memory, some time after their write; lines: as published", loc="left")
    _legend_below(ax)


def _drift(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    _pairs(left, _series(points, "exponents"))
    left.set(xlabel="state of pcm, of g_max", ylabel="drift exponent (1)", ylim=(0, None))
    left.set_title("What a million cells lost in 5.5 hours", loc="left")
    _legend_below(left)
    _pairs(right, _series(points, "drift"))
    right.set(xlabel="time after the write (s)", ylabel="output, of that at once (1)", xscale="log")
    right.set_title("Reads of a crossbar of 128 x 256 cells", loc="left")
    _legend_below(right)


def _wires(points: Sequence[Point], figure: Figure) -> None:
    left, right = figure.subplots(1, 2)
    _pairs(left, _series(points, "ir_drop"))
    left.set(xlabel="column, from the driven end of the rows", ylabel="current, of that of ideal wires", ylim=(0, 1.05))
    left.set_title("32 x 24 cells of 50 uS; lines: circuit, by scipy", loc="left")
    _legend_below(left)
    for place, (name, members) in enumerate(_series(points, "wires").items()):
        at, worst = [p.x for p in members], [max(p.emulated, 1e-17) for p in members]
        right.plot(at, worst, linestyle="none", label=name, **_style(place))
    right.axhline(1e-8, color="0.4", linestyle="--", label="tolerance")
    right.set(xlabel="topology: ends, pairs, terminals", ylabel="largest difference (of the largest current)")
    right.set_yscale("log")
    right.set_title("Against the circuit, 16 x 12 cells a polarity", loc="left")
    _legend_below(right)


def _pulses(points: Sequence[Point], figure: Figure) -> None:
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.7, 1, 1))
    for k, (name, members) in enumerate(_series(points, "pulse_response").items()):
        kind, way = name.rsplit(", ", 1)
        style, x = _style(k // 2), [p.x for p in members]
        left.plot(x, [p.closed_form for p in members], color=style["color"], linewidth=1.1, zorder=1)
        label = {"label": kind} if way == "up" else {}
        left.plot(x, [p.emulated for p in members], linestyle="none", markevery=(k % 2, 2), **label, **style)
    left.set(xlabel="pulses, up from -0.4 or down from 0.6", ylabel="weight (unit of the device)")
    left.set_title("Responses; lines: closed forms", loc="left")
    _legend_below(left)
    for ax, name, label in (
        (middle, "update_mean", "mean of the update (weight)"),
        (right, "update_variance", "variance of the update (dw_min$^2$)"),
    ):
        (members,) = _series(points, name).values()
        members = sorted(members, key=lambda p: p.x)
        _pairs(ax, {name: members})
        ax.set(ylabel=label)
    middle.set_xlabel("learning rate x input x delta")
    right.set(xlabel="its size", ylim=(0, None))
    middle.set_title("50 000 pulse trains", loc="left")


FIGURES = {
    "sqnr": _sqnr,
    "inl": _inl,
    "read_noise": _read_noise,
    "mismatch": _mismatch,
    "snr": _snr,
    "transfer": _transfer,
    "devices": _devices,
    "spreads": _spreads,
    "drift": _drift,
    "wires": _wires,
    "pulses": _pulses,
}


def _series(points: Sequence[Point], figure: str) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        if point.figure == figure:
            found.setdefault(point.series, []).append(point)
    return found


def _pairs(ax: Axes, series: dict[str, list[Point]], first: int = 0, every: int = 1) -> None:
    """A line of closed forms and markers of what was emulated, at `every` so many points, for each series."""
    for place, (name, members) in enumerate(series.items(), start=first):
        style = _style(place)
        line = {"color": style["color"], "linewidth": 1.1}
        x = [p.x for p in members]
        ax.plot(x, [p.closed_form for p in members], **line, zorder=1)
        ax.plot(x, [p.emulated for p in members], linestyle="none", label=name, markevery=every, **style)


def _style(place: int) -> dict[str, Any]:
    colour = COLOURS[place]
    return {
        "color": colour,
        "marker": MARKERS[place],
        "markersize": 5,
        "markerfacecolor": "white" if place % 2 else colour,  # a difference that survives a print in grey
    }


def _legend_below(ax: Axes) -> None:
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, **SMALL)
