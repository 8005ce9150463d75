"""The report of fits: one HTML file that holds all it shows, and the figures beside it."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

from imcsim.fit.estimators import Fits
from imcsim.fit.result import FitResult, Parameter
from imcsim.fit_figures import panel_figure
from imcsim.measurements.files import Measurements
from imcsim.plots import STYLE, save_as
from imcsim.specs.library import DeviceModel
from imcsim.study.store import write_atomic
from imcsim.version import __version__

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }}
body {{ color: #222; background: #fff; }}
h1, h2 {{ line-height: 1.2; overflow-wrap: anywhere; }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid #ccc; padding-top: 1rem; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e5e5e5; vertical-align: top; }}
td.n {{ text-align: right; white-space: nowrap; }} td.w {{ min-width: 14rem; }}
.beware {{ border-left: .3rem solid #D55E00; padding: .5rem 1rem; background: #fdf3ec; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1rem; }}
img {{ width: 100%; height: auto; }} pre {{ overflow-x: auto; background: #f6f6f6; padding: 1rem; font-size: .85rem; }}
</style></head><body>
{body}
</body></html>
"""


def write_report(found: Fits, measurements: Measurements, model: DeviceModel | None, folder: Path) -> list[Path]:
    """Write report.html, which needs nothing but itself, and each figure as PNG and SVG, to `folder`; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    images: dict[str, list[bytes]] = {}
    for name, result in found.results.items():
        for k, panel in enumerate(result.panels, start=1):
            figure = panel_figure(panel)
            for kind in ("png", "svg"):
                path = folder / f"{name}_{k}.{kind}"
                save_as(figure, path)
                written.append(path)
            data = io.BytesIO()
            with mpl.rc_context(STYLE):
                figure.savefig(data, format="svg", metadata={"Date": None})
            images.setdefault(name, []).append(data.getvalue())
    page = folder / "report.html"
    write_atomic(page, report_page(found, measurements, model, images).encode())
    return [page, *written]


def report_page(
    found: Fits, measurements: Measurements, model: DeviceModel | None, images: Mapping[str, list[bytes]]
) -> str:
    """The page: warnings first, then each fit with its parameters and figures, then the model and where it is from."""
    title = f"Fits of {measurements.source}"
    parts = [f"<h1>{_text(title)}</h1>", _about(measurements), _warnings(found)]
    parts += [_fit(name, result, images.get(name, [])) for name, result in found.results.items()]
    if model is not None:
        parts.append(f"<h2>The device model</h2><pre>{_text(model.to_toml())}</pre>")
    return _PAGE.format(title=_text(title), body="\n".join(parts))


def _about(measurements: Measurements) -> str:
    rows = [("file", measurements.source), ("SHA-256", measurements.sha256), ("imcsim", __version__)]
    rows += [(f"sample, {key}", value) for key, value in measurements.sample.items()]
    rows += [(f"instrument, {key}", value) for key, value in measurements.instrument.items()]
    cells = "".join(f"<tr><th>{_text(key)}</th><td>{_text(value)}</td></tr>" for key, value in rows)
    return f'<div class="scroll"><table>{cells}</table></div>'


def _warnings(found: Fits) -> str:
    lines = [f"{result.estimator}: {warning}" for result in found.results.values() for warning in result.warnings]
    lines += [f"{name} was not fitted: {error}" for name, error in found.failures.items()]
    if not lines:
        return "<p>No warnings.</p>"
    items = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f'<div class="beware"><strong>Beware</strong><ul>{items}</ul></div>'


def _fit(name: str, result: FitResult, images: list[bytes]) -> str:
    head = "<tr><th>parameter</th><th>value</th><th>95 % interval</th><th>unit</th><th>what</th><th>how</th></tr>"
    rows = "".join(_row(one) for one in result.parameters)
    told = "".join(
        f"<tr><th>{_text(key)}</th><td class='n'>{_number(value)}</td></tr>" for key, value in result.goodness.items()
    )
    goodness = f'<h3>How well it fits</h3><div class="scroll"><table>{told}</table></div>' if told else ""
    figures = "".join(
        f'<img alt="{_text(panel.title)}" src="data:image/svg+xml;base64,{base64.b64encode(image).decode()}">'
        for panel, image in zip(result.panels, images, strict=True)
    )
    return (
        f'<h2 id="{_text(name)}">{_text(result.estimator[:1].upper() + result.estimator[1:])}</h2>'
        f'<div class="scroll"><table>{head}{rows}</table></div>{goodness}<div class="figures">{figures}</div>'
    )


def _row(one: Parameter) -> str:
    known = math.isfinite(one.low) and math.isfinite(one.high)
    interval = f"{_number(one.low)} to {_number(one.high)}" if known else ""
    return (
        f"<tr><th>{_text(one.name)}</th><td class='n'>{_number(one.value)}</td><td class='n'>{interval}</td>"
        f"<td>{_text(one.unit)}</td><td class='w'>{_text(one.what)}</td><td class='w'>{_text(one.interval)}</td></tr>"
    )


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
