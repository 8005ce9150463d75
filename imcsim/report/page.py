"""The page, from top to bottom: question, figures, tables, what failed, where it is from, how to make it again."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from imcsim.errors import SpecError
from imcsim.figures import drawn
from imcsim.plots import STYLE, words_of
from imcsim.report.data import LABELS, embedded
from imcsim.study.exports import REPLICATES, STATUS, numbers_of
from imcsim.study.failures import read_failures
from imcsim.study.folder import read_manifest
from imcsim.study.merge import FAILED, MISSING, REFUSED, tuned_name
from imcsim.study.needed import AllNeeded, needed
from imcsim.study.statistics import Interval
from imcsim.study.summary import Row, Summary, interval_notes, methods
from imcsim.study.table import StudyTable, open_study
from imcsim.study.text import bounds, percent, replicates, short, together
from imcsim.study.yields import Yields, yields

MOST_SVG = 1_000_000  # bytes: a drawing of more dots is smaller, and quicker to show, as pixels
MOST_TRACEBACKS = 50
WIDE = 1.9  # times its height: a figure that has the page's width to itself
MOST_NAMES = 4  # in the sentence that says what is swept and measured
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-{sha256}'">
<title>{title}</title><style>
{css}</style></head><body>
{body}
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body></html>
"""


def page(results: Path) -> str:
    """The report of the study.h5 `results` and the files beside it: the same text whenever these are the same."""
    table, folder = open_study(results), results.parent
    summary, sha256 = table.summary(), hashlib.sha256(results.read_bytes()).hexdigest()
    try:
        manifest = read_manifest(folder)
    except SpecError:  # results that were copied without it
        manifest = {}
    sections = [
        ("dots", "Every point", _every_point()),
        ("figures", "Figures", _figures(table)),
        ("cells", "Cells", _cells(summary)),
        ("yield", "Yield", _yields(summary)),
        ("needed", "What is needed", _needed(summary)),
        ("all", "All points", _all_points(table)),
        ("failures", "Failures and gaps", _failures(folder, table)),
        ("configuration", "Configuration", f"<pre>{_text(_configuration(table))}</pre>"),
        ("provenance", "Where it is from", _provenance(sha256, table, manifest)),
        ("again", "Make it again", _again(sha256, table)),
    ]
    held = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{_text(title)}</a>' for name, title, _ in held)
    body = [_head(table, summary), f"<nav>{links}</nav>"]
    body += [f'<section><h2 id="{name}">{_text(title)}</h2>{content}</section>' for name, title, content in held]
    script = _resource("page.js")
    return _PAGE.format(
        sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=_text(f"{table.attributes['name']}: report"),
        css=_resource("page.css"),
        body="\n".join(body),
        data=embedded(table, summary),
        script=script,
    )


# The top


def _head(table: StudyTable, summary: Summary) -> str:
    question = str(table.attributes.get("question", "")) or _sentence(table)
    return (
        f'<p class="over">{_text(table.attributes["name"])}</p><h1>{_text(question)}</h1>'
        f'<p class="lead">{_text(_setting(table, summary))}</p>{_facts(table, summary)}{_beware(table, summary)}'
    )


def _sentence(table: StudyTable) -> str:
    """What the study asks, where its file does not say it."""
    plot = table.plot
    shown = [plot.x, *([plot.series] if plot.series else [])] if plot is not None else list(table.axes[:3])
    return f"How does accuracy depend on {' and '.join(words_of(path) for path in shown)}?"


def _setting(table: StudyTable, summary: Summary) -> str:
    """What is swept over what, how often each cell is repeated, and what is measured."""
    plot = table.plot
    first = [path for path in (plot.x, plot.series) if path in table.axes] if plot is not None else []
    counts = {
        path: len(set(map(repr, summary.values(path))) - {"None"}) for path in dict.fromkeys([*first, *table.axes])
    }
    swept = [f"{words_of(path)} ({count} values)" for path, count in counts.items() if count > 1]
    sides = zip(*(row.values.shape for row in summary.rows if not row.gap), strict=True)
    often = [
        ("up to " if min(side) < max(side) else "") + _counted(max(side), name)
        for side, name in zip(sides, REPLICATES, strict=False)  # no sides where every cell is a gap
    ]
    own = ", each training on a die of its own" if summary.own_dies else ""
    beside = [words_of(name) for name in (*table.numbers, *table.series)]
    return (
        f"Swept: {_listed(swept) or 'nothing'}. {_counted(len(summary.rows), 'cell')}"
        + (f", each of {' x '.join(often)}{own}. " if often else ". ")
        + f"Measured: accuracy on the chip and in float, on {table.attributes['test_samples']} test samples"
        + (f"; beside it {_listed(beside)}." if beside else ".")
    )


def _listed(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    left = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {left} more" if left > 0 else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _facts(table: StudyTable, summary: Summary) -> str:
    known = [row.accuracy.mean for row in summary.rows if not math.isnan(row.accuracy.mean)]
    in_float = [row.accuracy_float.mean for row in summary.rows if not math.isnan(row.accuracy_float.mean)]
    status = table.columns["status"].tolist()
    failed, missing = status.count(FAILED), status.count(MISSING)
    finished = len(status) - failed - missing - status.count(REFUSED)
    rows = [
        ("points", f"{len(status)}"),
        ("finished / failed / missing", f"{finished} / {failed} / {missing}"),
        ("mean accuracy of cells", _range(known)),
        ("in float", _range(in_float)),
        ("chance", f"{100 * summary.chance:.3g} %"),
    ]
    return '<dl class="facts">' + "".join(f"<div><dt>{k}</dt><dd>{_text(v)}</dd></div>" for k, v in rows) + "</dl>"


def _range(shares: Sequence[float]) -> str:
    if not shares:
        return "-"
    low, high = (f"{100 * value:.1f}" for value in (min(shares), max(shares)))
    return f"{low} %" if low == high else f"{low} to {high} %"


def _beware(table: StudyTable, summary: Summary) -> str:
    """What a reader must know before the first number."""
    status = table.columns["status"].tolist()
    lines = [
        f"{count} of {len(status)} points {word}: the means leave them out"
        for what, word in ((FAILED, "failed"), (MISSING, "are missing"), (REFUSED, "could not begin"))
        if (count := status.count(what))
    ]
    if beyond := int(table.columns["extrapolated"].sum()):
        lines.append(f"{beyond} points use a device model beyond what it was measured for")
    if gaps := sum(bool(row.gap) for row in summary.rows):
        lines.append(f"{gaps} cells cannot be: the reasons stand under Failures and gaps")
    if not lines:
        return ""
    return '<div class="beware">' + "<br>".join(_text(line) for line in lines) + "</div>"


# Figures


def _every_point() -> str:
    return (
        '<p class="note">Small dots are single results: one training, on one die, at one read. Large marks are means,'
        " bars the 95 % interval of the mean of a cell. Point at a dot, tap it, or go through them with the arrow keys,"
        ' to see its values and its die.</p><div class="choose" id="choose"></div><ul class="legend" id="legend"></ul>'
        '<p class="note" id="count"></p>'
        '<div id="plot"><div id="tip" role="status" aria-live="polite" hidden></div></div>'
        "<noscript><p>This figure needs JavaScript, which works without a network.</p></noscript>"
    )


def _figures(table: StudyTable) -> str:
    images = "".join(_image(stem, figure) for stem, figure in drawn(table))
    return f'<div class="figures">{images}</div>' if images else ""


def _image(stem: str, figure: Figure) -> str:
    """A figure as the study's folder has it."""
    kind, data = "svg+xml", _saved(figure, "svg", {"Date": None})
    if len(data) > MOST_SVG:
        kind, data = "png", _saved(figure, "png", {})
    words = stem.replace("_", " ")
    width, height = figure.get_size_inches()
    wide = ' class="wide"' if width > WIDE * height else ""
    alt, source = _text(f"{words}: {_axes_of(figure)}"), f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<figure{wide}><img alt="{alt}" src="{source}"><figcaption>{_text(words)}</figcaption></figure>'


def _axes_of(figure: Figure) -> str:
    """What stands along the axes of a figure, for who cannot see it."""
    pairs = [(axes.get_ylabel(), axes.get_xlabel()) for axes in figure.axes]
    told = dict.fromkeys(" over ".join(filter(None, pair)) for pair in pairs if any(pair))
    return " ".join("; ".join(told).split()) or "its numbers stand in the tables below"


def _saved(figure: Figure, kind: str, metadata: Mapping[str, Any]) -> bytes:
    data = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(data, format=kind, metadata=dict(metadata), dpi=160)
    return data.getvalue()


# Tables


def _cells(summary: Summary) -> str:
    axes = [path for path in summary.axes if any(path in row.coordinates for row in summary.rows)]
    tuned = list(dict.fromkeys(path for row in summary.rows for path in row.tuned))
    numbers = list(dict.fromkeys(name for row in summary.rows for name in row.numbers))
    heads = [*map(words_of, axes), *map(tuned_name, tuned)]
    heads += ["accuracy %", "95 % interval", "float %", "trainings x dies", *map(words_of, numbers), "remarks"]
    lines = [_cell(row, axes, tuned, numbers) for row in summary.rows]
    known = [row.accuracy for row in summary.rows if not math.isnan(row.accuracy.mean)]
    notes = [f"Interval of the mean: {methods(known)}.", *interval_notes(known, own_dies=summary.own_dies)]
    return _table(heads, lines) + "".join(f'<p class="note">{_text(note)}</p>' for note in notes)


def _cell(row: Row, axes: Sequence[str], tuned: Sequence[str], numbers: Sequence[str]) -> list[tuple[str, Any]]:
    """The fields of a row, each as it is shown and as it is sorted."""
    remarks = {"failed": row.failed, "missing": row.missing, "stopped early": row.stopped, "diverged": row.diverged}
    told = [row.gap] if row.gap else [f"{count} {what}" for what, count in remarks.items() if count]
    told += ["extrapolated"] if row.extrapolated else []
    mean, known = row.accuracy.mean, not math.isnan(row.accuracy.mean)
    return [
        *((short(row.coordinates.get(path)), row.coordinates.get(path, "")) for path in axes),
        *((short(row.tuned.get(path)), row.tuned.get(path, "")) for path in tuned),
        (percent(mean), mean),
        (bounds(row.accuracy), _width(row.accuracy)),
        (percent(row.accuracy_float.mean), row.accuracy_float.mean),
        (replicates(row.accuracy) if known else "-", row.accuracy.n_trainings * row.accuracy.n_dies),
        *((short(row.numbers.get(name)), row.numbers.get(name, "")) for name in numbers),
        (", ".join(told), ", ".join(told)),
    ]


def _width(interval: Interval) -> float:
    return interval.high - interval.low


def _yields(summary: Summary) -> str:
    if summary.yields is None:
        return ""
    found: Yields = yields(summary, summary.yields)
    lines = [
        [
            *((short(row.coordinates.get(path)), row.coordinates.get(path, "")) for path in found.axes),
            (percent(row.share), row.share),
            ("" if math.isnan(row.low) else f"{percent(row.low)} ... {percent(row.high)}", row.high - row.low),
            (f"{row.good} of {row.dies}", row.good),
        ]
        for row in found.rows
    ]
    told = (
        f"Dies that reach {100 * found.asked.accuracy:g} %, with the exact binomial interval (Clopper & Pearson 1934)."
    )
    parts = [f"<p>{_text(told)}</p>", _table([*map(words_of, found.axes), "yield %", "95 % interval", "good"], lines)]
    if found.limits and found.asked.target is not None:
        limits = [
            [(text := together(one.coordinates, list(one.coordinates)), text), (one.text, one.text)]
            for one in found.limits
        ]
        parts.append(f"<h3>{100 * found.asked.target:g} % of dies, along {_text(words_of(found.along))}</h3>")
        parts.append(_table(["where", "holds"], limits))
    return "".join(parts)


def _needed(summary: Summary) -> str:
    if summary.searched is None:
        return ""
    found: AllNeeded = needed(summary, summary.searched.asked)
    lines = [
        [
            (text := together(one.coordinates, list(one.coordinates)), text),
            (one.text, "" if one.value is None else one.value),
            (one.bounds, one.bounds),
        ]
        for one in found.found
    ]
    asked = found.asked
    told = f"{words_of(asked.along)} needed to stay within {100 * asked.within:g} points of the same weights in float"
    return f"<p>{_text(told)}</p>" + _table(["where", "needed", "95 % interval"], lines)


def _all_points(table: StudyTable) -> str:
    """A table that the script fills: five thousand rows of markup would be slow to open."""
    names = [
        *map(words_of, table.axes),
        *REPLICATES,
        *(LABELS.get(one, words_of(one)) for one in numbers_of(table)),
        "status",
    ]
    heads = "".join(f'<th scope="col">{_text(name)}</th>' for name in names)
    return (
        f'<div class="scroll tall"><table id="points"><thead><tr>{heads}</tr></thead><tbody></tbody></table></div>'
        '<div class="pages" id="pages"><button type="button">back</button><span></span>'
        '<button type="button">on</button></div>'
    )


def _table(heads: Sequence[str], lines: Iterable[Sequence[tuple[str, Any]]]) -> str:
    """A table that sorts: of each field its text and the value it is sorted by."""
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in heads)
    rows = "".join("<tr>" + "".join(_field(*field) for field in line) + "</tr>" for line in lines)
    table = f'<table class="sort"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll tall">{table}</div>'


def _field(shown: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    raw = "" if number and math.isnan(value) else repr(value) if number else str(value)
    kind = ' class="n"' if number else ""
    return f'<td{kind} data-v="{_text(raw)}">{_text(shown)}</td>'


# The end


def _failures(folder: Path, table: StudyTable) -> str:
    parts = list(_errors(folder))
    gaps = json.loads(table.attributes["gaps"])
    for reason in dict.fromkeys(reason for _, _, reason in gaps):
        places = [together(at, list(at)) for _, at, why in gaps if why == reason]
        items = "".join(f"<li>{_text(place)}</li>" for place in places)
        parts.append(
            f"<details><summary>{len(places)} cells cannot be: {_text(reason)}</summary><ul>{items}</ul></details>"
        )
    status = table.columns["status"].tolist()
    counts = {word: status.count(what) for what, word in STATUS.items()}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"<p>Points: {_text(told)}.</p>" + "".join(parts)


def _errors(folder: Path) -> Iterator[str]:
    records = read_failures(folder)
    for record in records[:MOST_TRACEBACKS]:
        at = together(record["at"], list(record["at"]))
        yield (
            f"<details><summary>{_text(at)}: {_text(record['error'])}</summary>"
            f"<pre>{_text(record['traceback'])}</pre></details>"
        )
    if len(records) > MOST_TRACEBACKS:
        yield f"<p>and {len(records) - MOST_TRACEBACKS} more, in failures.jsonl</p>"


def _configuration(table: StudyTable) -> str:
    """The study's file in full; its question at the head, which is a part of study.h5 and so of its SHA-256."""
    question = table.attributes.get("question", "")
    return (f"# {question}\n" if question else "") + str(table.attributes["toml"])


def _provenance(sha256: str, table: StudyTable, manifest: Mapping[str, Any]) -> str:
    attributes = table.attributes
    rows = [
        ("imcsim", f"{attributes['imcsim_version']}, model version {attributes['model_version']}"),
        ("study.h5, SHA-256", sha256),
        ("configuration, SHA-256", attributes["config_sha256"]),
        ("data set, SHA-256", attributes["dataset_sha256"]),
    ]
    for number, run in enumerate(manifest.get("runs", []), start=1):
        ended = f"to {run['finished']}" if run.get("finished") else "cut short"
        rows.append((f"run {number}", f"{run.get('started')} {ended}"))
        where = f"{run.get('host')}: {run.get('cpu')}, {run.get('cores')} cores, {run.get('platform')}"
        rows.append(("", where))
        rows.append(("", ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())))
        machines = [f"{one['workers']} workers on {one['host']} ({one['cpu']})" for one in run.get("workers", [])]
        rows += [("", f"Dask, {run['scheduler']}: {', '.join(machines)}")] if machines else []
    cells = "".join(f'<tr><th scope="row">{_text(key)}</th><td>{_text(value)}</td></tr>' for key, value in rows)
    return f'<div class="scroll"><table>{cells}</table></div>'


def _again(sha256: str, table: StudyTable) -> str:
    name = str(table.attributes["name"])
    out = shlex.quote(f"results/{name}")
    lines = [
        f"pip install imcsim=={table.attributes['imcsim_version']}",
        f"imcsim run study.toml --out {out}  # study.toml: the configuration above",
        f"sha256sum {out}/study.h5  # {sha256}",
    ]
    told = (
        "On the same kind of CPU with the same versions study.h5 comes out the same to the bit, on any number of"
        " workers. Devices that are files of your own must lie beside study.toml."
    )
    commands = "\n".join(lines)
    return f"<pre>{_text(commands)}</pre><p>{_text(told)}</p>"


def _resource(name: str) -> str:
    return resources.files("imcsim.report").joinpath(name).read_text(encoding="utf-8")


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
