"""A budget in words and as plain data."""

from __future__ import annotations

import math
from typing import Any

from imcsim.budget.emulation import DIES
from imcsim.budget.results import LOSS_DB, Budget, Line, Point, effective_bits, snr_dB
from imcsim.budget.setting import SAMPLES
from imcsim.budget.sources import INTERACTION, WORDS
from imcsim.specs.adc import IdealADC


def text(budget: Budget) -> str:
    """The setting, a table of the sources, and advice on the ADC."""
    return "\n".join([*_setting(budget), "", *_table(budget), "", *_advice(budget)])


def plain(budget: Budget) -> dict[str, Any]:
    """All numbers, for JSON."""
    enough = budget.bits_enough
    return {
        "layer": list(budget.layer),
        "seed": budget.seed,
        "samples": SAMPLES,
        "dies": DIES,
        "columns_emulated": budget.columns,
        "signal": {**_plain(budget.signal), "power": budget.signal_power},
        "sources": [{**_plain(line), "share": budget.share(line)} for line in budget.lines],
        "total": _plain(budget.total),
        "snr_ahead_of_adc_dB": _finite(snr_dB(budget.ahead)),
        "adc": {
            "bits_enough": None if enough is None else enough.at,
            "bits_by_rule": None if enough is None else budget.bits_by_rule,
            "loss_dB": LOSS_DB,
            "by_bits": [_plain_point(point) for point in budget.by_bits],
        },
    }


def _setting(budget: Budget) -> list[str]:
    rows, cols = budget.layer
    inputs = "N(0, 1)" if budget.spec.dac.signed else "the positive part of N(0, 1), half of them 0"
    some = "" if budget.columns == cols else f", {budget.columns} of the {cols} columns"
    return [
        f"layer {rows}x{cols} on arrays of {budget.spec.array.rows} rows; weights ~ N(0, 1), inputs {inputs}",
        f"emulated: {SAMPLES} samples, {DIES} dies{some}, seed {budget.seed}",
    ]


def _table(budget: Budget) -> list[str]:
    head = ("", "SNR (dB)", "+-", "closed form", "eff. bits", "share", "closed form and emulation")
    signal = f"{budget.signal.verdict}: a power of {budget.signal_power:.4g} (weight x input)^2"
    rows = [head, ("signal", "", f"{budget.signal.standard_error_dB:.1f}", "", "", "", signal)]
    for line in (*budget.lines, budget.total):
        if line.name == INTERACTION and abs(budget.share(line)) < 0.005:
            continue
        name = WORDS.get(line.name, "total")
        verdict = "; ".join(text for text in (line.verdict, line.remark) if text)
        share = f"{100 * budget.share(line):.3g} %"
        if line.emulated < 0:
            rows.append((name, "-", "", "-", "-", share, verdict))
            continue
        form = "-" if line.closed_form is None or line.closed_form < 0 else _dB(line.closed_form)
        bits = f"{effective_bits(line.emulated):.1f}" if line.emulated > 0 else "-"
        rows.append((name, _dB(line.emulated), f"{line.standard_error_dB:.1f}", form, bits, share, verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place in (0, 6) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _advice(budget: Budget) -> list[str]:
    lines, enough = [f"ahead of the converters: {_dB(budget.ahead)} dB"], budget.bits_enough
    if isinstance(budget.spec.adc, IdealADC):
        return [*lines, "ADC: none"]
    if enough is None:
        return [*lines, "ADC: as measured: its bits cannot be changed"]
    lines += [
        f"ADC: beyond {enough.at} bits nothing is gained: {_dB(enough.emulated)} dB, within {LOSS_DB} dB of the best",
        f"     a rule for one conversion clipped at 4 sigma (unverified) has {budget.bits_by_rule:.1f} bits",
    ]
    more = [point for point in budget.by_bits if point.at > enough.at]
    worst = max((point.emulated for point in more), default=0.0)
    if worst > enough.emulated * 10 ** (LOSS_DB / 10):
        lines += [
            f"     more bits are worse, down to {_dB(worst)} dB: finer steps, to which they calibrate,",
            "     pass on errors that coarser ones round away",
        ]
    lines += [f"     ranges at {enough.at} bits, in MAC units, beyond which nothing is gained:"]
    return lines + [f"     slice {r.slice}: {r.lo:.4g} to {r.hi:.4g}, LSB {r.lsb:.4g}" for r in enough.ranges]


def _dB(error: float) -> str:  # noqa: N802
    return f"{snr_dB(error):.1f}" if error > 0 else "inf"


def _plain(line: Line) -> dict[str, Any]:
    has = line.emulated > 0 and line.name != "signal"
    form = line.closed_form
    return {
        "name": line.name,
        "emulated": line.emulated,
        "standard_error": line.standard_error,
        "closed_form": form,
        "snr_dB": _finite(snr_dB(line.emulated)) if has else None,
        "snr_closed_form_dB": _finite(snr_dB(form)) if has and form is not None else None,
        "effective_bits": _finite(effective_bits(line.emulated)) if has else None,
        "difference_dB": line.difference_dB,
        "verdict": line.verdict,
        "remark": line.remark,
    }


def _plain_point(point: Point) -> dict[str, Any]:
    return {
        "bits": point.at,
        "snr_dB": _finite(snr_dB(point.emulated)),
        "snr_closed_form_dB": _finite(snr_dB(point.total)),
        "closed_forms": point.closed_forms,
        "ranges": [{"slice": r.slice, "lo": r.lo, "hi": r.hi, "lsb": r.lsb} for r in point.ranges],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
