"""The report in a browser: it sorts, shows what a dot is, fits a phone, asks nobody for anything, and runs no text."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import re
import time

import numpy as np
import pytest
from browser import Browser, executable

from imcsim.cli import main
from imcsim.errors import DataError, SpecError
from imcsim.experiment.study_file import read_study
from imcsim.report import write_report
from imcsim.study.axes import Axis, Cell, Gap, Replicates
from imcsim.study.plan import Plan
from imcsim.study.questions import PlotSpec, SearchSpec, YieldSpec
from imcsim.study.run import run
from imcsim.study.table import open_study
from imcsim.study.work import Work

EVIL = '<img src=x onerror="document.title=1">'
SIDES = ("plain", f"{EVIL}</script><script>document.title='2'</script>")

needs_chromium = pytest.mark.skipif(executable() is None, reason="no chromium or google-chrome is installed")


def quiet(progress):
    pass


def evaluate(config, training, replicates, artifacts):
    for die, _ in replicates:
        if (config["bits"], config["side"], training, die) == (4, 0, 1, 2):
            raise ValueError(f"out of luck {EVIL}")
        accuracy = 0.9 + 0.001 * config["bits"] + 0.01 * config["side"] + 0.0001 * training + 0.00001 * die
        yield {"accuracy": accuracy, "accuracy_float": 0.97}


def constant(config, training, replicates, artifacts):
    for _ in replicates:
        yield {"accuracy": 0.9, "accuracy_float": 0.97}


def spread(config, training, replicates, artifacts):
    for _ in replicates:
        yield {"accuracy": 0.5 + 0.02 * training, "accuracy_float": 0.97}


WORK = Work(evaluate, lambda key, artifacts: {})


def plan_of(bits=(4, 10, 6), trainings=2, dies=3, **changes):
    axes = (Axis("chip.adc", SIDES), Axis("chip.adc.bits", bits))
    cells = [
        Cell.of({axes[0].path: side, axes[1].path: b}, {"side": k, "bits": b})
        for k, side in enumerate(SIDES)
        for b in bits
    ]
    return Plan(
        **{
            "name": "report",
            "config": {"name": "report"},
            "toml": f'name = "report"  # {EVIL}\n',
            "axes": axes,
            "cells": tuple(cells),
            "replicates": Replicates(trainings=trainings, dies=dies),
            "dataset_sha256": "d" * 64,
            "chance": 0.1,
            "test_samples": 400,
            "plot": PlotSpec(kind="accuracy_vs_bits", x="chip.adc.bits", series="chip.adc"),
            "gaps": (Gap(0, {"chip.adc": SIDES[0], "chip.adc.bits": 2}, f"no {EVIL}"),),
            "question": f"How many bits? {EVIL}",
            **changes,
        }
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The path of the report of a small study, whose texts are hostile."""
    folder = tmp_path_factory.mktemp("report")
    run(plan_of(), folder, WORK, quiet)
    return write_report(folder)


@pytest.fixture(scope="module")
def browser():
    with Browser() as one:
        yield one


@pytest.fixture
def shown(browser, report):
    """The browser, at the page of the report at a desktop's width."""
    browser.messages.clear()
    browser.open(report)
    return browser


def column(browser, table, place):
    rows = f"document.querySelectorAll('{table} tbody tr')"
    return json.loads(browser.js(f"JSON.stringify([...{rows}].map((row) => row.cells[{place}].textContent))"))


def box(browser, selector):
    return json.loads(browser.js(f"JSON.stringify(document.querySelector('{selector}').getBoundingClientRect())"))


def press(browser, selector):
    browser.js(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
    at = box(browser, selector)
    browser.click(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)


def choose(browser, number, value):
    of = f"document.querySelectorAll('#choose select')[{number}]"
    browser.js(f"{of}.value = '{value}'; {of}.dispatchEvent(new Event('change'))")


@needs_chromium
def test_a_heading_sorts_its_column_by_size_both_ways(shown):
    bits = ["2", "4", "4", "6", "6", "10", "10"]  # the gap's row, too
    press(shown, "#cells + div th:nth-child(2) button")
    assert column(shown, "#cells + div", 1) == bits
    press(shown, "#cells + div th:nth-child(3) button")
    assert column(shown, "#cells + div", 2)[-1] == "-"  # what has no value comes last
    press(shown, "#cells + div th:nth-child(2) button")
    press(shown, "#cells + div th:nth-child(2) button")
    assert column(shown, "#cells + div", 1) == bits[::-1]
    assert shown.js("document.querySelector('#cells + div th:nth-child(2)').ariaSort") == "descending"
    assert shown.messages == []


@needs_chromium
def test_a_key_sorts_the_table_of_all_points(shown):
    shown.js("document.querySelector('#points th:nth-child(6) button').focus()")
    shown.key("Enter")
    found = column(shown, "#points", 5)
    known = [float(one.split()[0]) for one in found[:-1]]
    assert len(found) == 36
    assert known == sorted(known)
    assert found[-1] == "\N{EN DASH}"  # the point that failed


@needs_chromium
def test_a_dot_tells_its_values_and_its_die_when_it_is_pointed_at(shown):
    place = 13  # the first side, 6 bits, training 0, die 1
    shown.js("document.getElementById('plot').scrollIntoView({block: 'center'})")
    at = box(shown, f'#plot path[data-k="{place}"]')
    shown.mouse("mouseMoved", at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    told = shown.js("document.getElementById('tip').innerText").split("\n")
    fields = dict(zip(told[::2], told[1::2], strict=True))
    assert fields["ADC bits"] == "6"
    assert (fields["training"], fields["die"], fields["read"]) == ("0", "1", "0")
    assert fields["accuracy"] == "90.60 %"
    assert fields["accuracy in float"] == "97.00 %"
    assert fields["status"] == "ok"
    shown.mouse("mouseMoved", 2, 2)
    assert shown.js("document.getElementById('tip').hidden")


@needs_chromium
def test_arrow_keys_go_from_dot_to_dot(shown):
    shown.js("document.querySelector('#plot svg').focus()")
    assert shown.js("document.getElementById('tip').hidden")
    shown.key("ArrowRight")
    first = shown.js("document.getElementById('tip').innerText")
    shown.key("ArrowRight")
    assert first != shown.js("document.getElementById('tip').innerText")
    assert not shown.js("document.getElementById('tip').hidden")
    shown.key("Escape")
    assert shown.js("document.getElementById('tip').hidden")


@needs_chromium
def test_the_choices_change_what_is_shown(shown):
    count = "document.querySelectorAll('#plot path[data-k]').length"
    assert shown.js(count) == 35  # all but the one that failed
    choose(shown, 1, "")  # no series: its filter comes up
    assert shown.js("document.querySelectorAll('#legend li').length") == 0
    filters = "[...document.querySelectorAll('#choose label')].filter((one) => !one.hidden).length"
    assert shown.js(filters) == 4
    choose(shown, 3, "1")  # the second side alone
    assert shown.js(count) == 18
    assert shown.messages == []


@needs_chromium
def test_what_the_figure_cannot_show_is_counted(shown):
    assert shown.js("document.getElementById('count').textContent") == "35 of 36 points shown, 1 without accuracy"


@needs_chromium
def test_a_tap_on_a_phone_shows_a_dot_and_the_tooltip_stays_inside(browser, report):
    browser.open(report, 390, 844, mobile=True)
    browser.js("document.getElementById('plot').scrollIntoView({block: 'center'})")
    at = box(browser, '#plot path[data-k="0"]')
    touch = [{"x": at["x"] + at["width"] / 2, "y": at["y"] + at["height"] / 2}]
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=touch)
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tip = box(browser, "#tip")
    assert not browser.js("document.getElementById('tip').hidden")
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 390


@needs_chromium
def test_intervals_are_drawn_in_full(browser, tmp_path):
    # two trainings: 12.7 standard errors to either side, far beyond the dots
    run(plan_of(bits=(6, 8), trainings=2, dies=1), tmp_path, Work(spread, lambda key, artifacts: {}), quiet)
    path = write_report(tmp_path)
    summary = open_study(tmp_path).summary()
    browser.open(path)
    bars = "[...document.querySelectorAll('#plot line[stroke-width=\"2\"]')]"
    spans = json.loads(
        browser.js(f"JSON.stringify({bars}.map((one) => [+one.getAttribute('y1'), +one.getAttribute('y2')]))")
    )
    known = [row.accuracy for row in summary.rows if row.ok]
    assert len(spans) == len(known) == 4
    # of one scale in y: the length of each is as many points as its interval has
    lengths = [bottom - top for top, bottom in spans]
    widths = [one.high - one.low for one in known]
    assert np.ptp(np.array(lengths) / np.array(widths)) < 1e-6 * lengths[0] / widths[0]
    assert min(min(span) for span in spans) >= 0
    axis = browser.js("+[...document.querySelectorAll('#plot line[stroke=\"#888\"]')].at(-1).getAttribute('y1')")
    assert max(max(span) for span in spans) <= axis


@needs_chromium
def test_a_name_of_markup_is_text(browser, tmp_path):
    run(plan_of(name=f"</title></script><script>document.title=3</script>{EVIL}"), tmp_path, WORK, quiet)
    browser.messages.clear()
    browser.open(write_report(tmp_path))
    assert browser.js("document.title").startswith("</title></script><script>")
    assert browser.js("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.messages == []


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_as_wide_as_its_window_and_runs_none_of_its_texts(browser, report, width):
    browser.messages.clear()
    browser.open(report, width, 900, mobile=width < 500)
    assert browser.js("document.documentElement.scrollWidth") == width
    assert browser.js("document.title") == "report: report"
    assert browser.js("document.querySelectorAll('img[src=x]').length") == 0
    assert browser.js("document.querySelector('h1').textContent") == f"How many bits? {EVIL}"
    assert browser.messages == []  # no error, nothing refused, nobody asked


@needs_chromium
def test_five_thousand_points_open_quickly_and_are_small(browser, tmp_path):
    run(plan_of(bits=tuple(range(10, 60)), trainings=10, dies=5), tmp_path, WORK, quiet)
    path = write_report(tmp_path)
    assert path.stat().st_size < 3_000_000
    started = time.monotonic()
    browser.open(path)
    seconds = time.monotonic() - started
    assert browser.js("document.querySelectorAll('#plot path[data-k]').length") == 5000
    assert column(browser, "#points", 0).count("plain") == 100
    press(browser, "#pages button:last-of-type")
    assert browser.js("document.querySelector('#pages span').textContent") == "101 to 200 of 5000"
    assert seconds < 10, f"{path.stat().st_size} bytes"  # a tenth of it on two quiet cores


# Without a browser


def test_the_page_is_the_same_text_every_time_and_names_the_hash_of_its_script(report):
    text = report.read_text(encoding="utf-8")
    write_report(report.parent)
    assert report.read_text(encoding="utf-8") == text
    script = text[text.rindex("<script>") + len("<script>") : text.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text
    assert re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", text) == []


def test_the_page_holds_question_failures_gaps_configuration_and_how_to_make_it_again(report):
    text = report.read_text(encoding="utf-8")
    sha = hashlib.sha256((report.parent / "study.h5").read_bytes()).hexdigest()
    told = [
        "How many bits? &lt;img",
        "ValueError: out of luck &lt;img",
        "1 of 36 points failed",
        "no &lt;img",
        "name = &quot;report&quot;",
        f"sha256sum results/report/study.h5  # {sha}",
        "pip install imcsim==",
    ]
    assert [one for one in told if one not in text] == []
    assert EVIL not in text


def test_yield_and_what_is_needed_have_tables_of_their_own(tmp_path):
    run(
        plan_of(
            bits=(6, 8, 10),
            trainings=1,
            dies=5,
            gaps=(),
            yields=YieldSpec(accuracy=0.91, target=0.9),
            search=SearchSpec(along="chip.adc.bits", within=0.06),
        ),
        tmp_path,
        WORK,
        quiet,
    )
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Dies that reach 91 %" in text
    assert "needed to stay within 6 points" in text


def test_the_configuration_of_the_page_is_the_study_to_the_bit(tmp_path):
    path = tmp_path / "asked.toml"
    path.write_text(
        '# How many bits?\nname = "asked"\ndataset = "digits"\n[network]\nhidden = [8]\n'
        '[chip]\ndevice = "sram8t_65nm"\n[grid]\n"chip.adc.bits" = [4, 6]\n'
    )
    plan = read_study(path)
    run(plan, tmp_path / "first", Work(constant, lambda key, artifacts: {}), quiet)
    text = write_report(tmp_path / "first").read_text(encoding="utf-8")
    path.write_text(html.unescape(re.search(r"Configuration</h2><pre>(.*?)</pre>", text, flags=re.DOTALL)[1]))
    run(read_study(path), tmp_path / "again", Work(constant, lambda key, artifacts: {}), quiet)
    assert (tmp_path / "again" / "study.h5").read_bytes() == (tmp_path / "first" / "study.h5").read_bytes()


def test_the_page_says_what_is_swept_how_often_it_is_repeated_and_what_is_measured(report):
    text = report.read_text(encoding="utf-8")
    assert "Swept: ADC bits (4 values), ADC (2 values)." in text
    assert "7 cells, each of 2 trainings x 3 dies x 1 read." in text
    assert "on 400 test samples." in text
    assert "<dt>finished / failed / missing</dt><dd>35 / 1 / 0</dd>" in text
    assert 'alt="accuracy vs bits: accuracy (%) over ADC bits"' in text


def test_the_path_of_a_study_file_will_do(report, tmp_path):
    found = write_report(report.parent / "study.h5", tmp_path / "r.html")
    assert found.read_bytes() == report.read_bytes()


def test_a_folder_that_holds_no_study_is_an_error(tmp_path):
    with pytest.raises(SpecError, match=r"holds no study\.h5; give the folder that `imcsim run` wrote"):
        write_report(tmp_path)
    with pytest.raises(SpecError, match="no such folder"):
        write_report(tmp_path / "nowhere")


def test_a_damaged_study_is_an_error_and_leaves_no_page(tmp_path):
    run(dataclasses.replace(plan_of(), gaps=()), tmp_path, WORK, quiet)
    (tmp_path / "study.h5").write_bytes((tmp_path / "study.h5").read_bytes()[:-1])
    with pytest.raises(DataError, match="SHA-256"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_page_goes_into_a_folder_that_is_there(report, tmp_path):
    with pytest.raises(SpecError, match=r"--out.*make the folder first"):
        write_report(report.parent, tmp_path / "nowhere" / "report.html")
    with pytest.raises(SpecError, match=r"must end in \.html or \.htm"):
        write_report(report.parent, report.parent / "study.h5")
    with pytest.raises(SpecError, match="not a folder"):
        write_report(report.parent, tmp_path)
    assert write_report(report.parent, tmp_path / "r.html").read_bytes() == report.read_bytes()


def test_points_go_into_a_folder_that_is_there(report, tmp_path, capsys):
    assert main(["show", str(report.parent), "--points", str(tmp_path / "nowhere" / "points.csv")]) == 2
    assert "--points" in (told := capsys.readouterr().err)
    assert "make the folder first" in told
