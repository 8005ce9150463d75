"""`imcsim budget`: what it prints, what it refuses, and the figure it draws."""

import json

import numpy as np
import pytest

from imcsim import cli
from imcsim.budget.budget import budget, by_rows
from imcsim.budget.results import LOSS_DB, Budget, Line, Point, effective_bits, snr_dB
from imcsim.budget_figure import budget_figure
from imcsim.specs.adc import IdealADC
from imcsim.specs.library import load

WRONG_USAGE = 2
SMALL = ("--layer", "64x16", "--set", "array.weight_bits=4", "--set", "dac.bits=4")


@pytest.fixture
def imcsim(capsys):
    """Gives a command in this process: exit code, standard output, standard error."""

    def give(*arguments):
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # of argparse
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return give


@pytest.fixture(scope="module")
def small():
    return budget(load("sram8t_65nm").replace("array.weight_bits", 4).replace("dac.bits", 4), (64, 16))


def test_the_table_has_a_line_for_each_source_and_advice_on_the_adc(imcsim):
    code, out, err = imcsim("budget", "sram8t_65nm", *SMALL)
    assert (code, err) == (0, "")
    for words in ("quantisation of weights", "mismatch of cells", "read noise", "ADC rounding", "total", "signal"):
        assert words in out
    assert "nothing is gained" in out
    assert "layer 64x16" in out


def test_json_has_every_number_and_the_same_command_the_same_numbers(imcsim):
    first, again = (imcsim("budget", "sram_cap_28nm", "--json", *SMALL)[1] for _ in range(2))
    found = json.loads(first)
    assert first == again
    names = [source["name"] for source in found["sources"]]
    assert names[:2] == ["weights", "inputs"]
    assert {"mismatch", "column_noise", "adc_range", "adc_rounding"} <= set(names)
    # what the sources leave unexplained stands in a line of its own
    assert sum(source["share"] for source in found["sources"]) == pytest.approx(1, abs=1e-9)
    assert [point["bits"] for point in found["adc"]["by_bits"]] == list(range(1, 13))


def test_another_seed_draws_other_numbers(imcsim):
    one, other = (json.loads(imcsim("budget", "sram8t_65nm", "--json", "--seed", s, *SMALL)[1]) for s in (0, 1))
    assert one["total"]["emulated"] != other["total"]["emulated"]


@pytest.mark.parametrize(
    "layer",
    ["1152x", "x256", "0x5", "5x0", "-1x5", "1152", "axb", "1x2x3", "99999999x1", "20000x1", "1x99999", "٣x٣", ""],
)
def test_a_layer_that_is_none_is_refused(imcsim, layer):
    code, out, err = imcsim("budget", "sram8t_65nm", f"--layer={layer}")
    assert (code, out) == (WRONG_USAGE, "")
    assert "layer" in err
    assert "ROWSxCOLS" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sram8t"], "no device model"),
        (["nowhere.toml"], "no such file"),
        (["sram8t_65nm", "--set", "adc.bit=5"], 'did you mean "bits"?'),
        (["sram8t_65nm", "--set", "adc.bits=40"], "must be an integer from 1 to 16"),
        (["sram8t_65nm", "--set", "adc.bits"], "must be path=value"),
        (["sram8t_65nm", "--seed", "-1"], "at least 0"),
        (["sram8t_65nm", "--seed", "one"], "invalid int"),
        (["sram8t_65nm", "--out", "figure.gif"], "must end in .png, .svg or .pdf"),
        ([], "CHIP"),
    ],
)
def test_what_is_wrong_is_told_with_exit_code_2(imcsim, arguments, words):
    code, out, err = imcsim("budget", *arguments)
    assert (code, out) == (WRONG_USAGE, "")
    assert words in err
    assert "Traceback" not in err


def test_a_figure_is_written_whole_and_the_same_twice(imcsim, tmp_path):
    for name in ("one.png", "two.png"):
        code, _, err = imcsim("budget", "sram8t_65nm", *SMALL, "--out", tmp_path / name)
        assert code == 0
        assert name in err
    one, two = ((tmp_path / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two
    assert one.startswith(b"\x89PNG")


# The figure and the advice


def test_stacks_end_at_100_percent_and_name_every_source_in_the_legend(small):
    figure = budget_figure(small, by_rows(small.spec, small.layer), "small")
    for ax in figure.axes[2:]:
        heights = {}
        for bar in ax.patches:
            heights[round(bar.get_x(), 3)] = heights.get(round(bar.get_x(), 3), 0) + bar.get_height()
        assert all(98 < height < 100.001 for height in heights.values())  # what cannot be seen is left out
    labels = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {"mismatch of cells", "ADC rounding", "emulated", "closed form"} <= labels


def test_the_fewest_bits_within_half_a_decibel_of_the_best_are_enough(small):
    def at(bits, snr):
        return Point(bits, 10 ** (-snr / 10), 0.0, {}, ())

    def enough(*snrs):
        points = tuple(at(bits, snr) for bits, snr in enumerate(snrs, start=1))
        return Budget(**{**vars(small), "by_bits": points}).bits_enough.at

    assert enough(5, 10, 15, 18.4, 19) == 5
    assert enough(5, 10, 15, 18.6, 19) == 4
    assert enough(5, 10, 20, 18.6, 19) == 3  # more bits are worse, where their steps pass noise on


def test_the_rule_of_adc_bits_keeps_the_loss_to_half_a_decibel(small):
    # at B bits by the rule, SQNR = 6 B - 7.2 dB makes 1/SNR_T = 1/SNR_A + 1/SQNR just LOSS_DB below SNR_A
    sqnr = 6 * small.bits_by_rule - 7.2
    together = -10 * np.log10(small.ahead + 10 ** (-sqnr / 10))
    assert together == pytest.approx(snr_dB(small.ahead) - LOSS_DB, abs=1e-9)


def test_six_decibels_are_a_bit():
    assert effective_bits(10 ** -(4 * 0.602 + 0.176)) == pytest.approx(4)
    assert Line("x", 0.0, 0.0, 0.0, total=1.0).standard_error_dB == 0.0


def test_a_chip_without_converters_has_no_advice_on_bits(imcsim):
    found = budget(load("sram_ideal").replace("adc", IdealADC()), (64, 16))
    assert found.by_bits == ()
    assert found.bits_enough is None
    assert [line.name for line in found.lines] == ["weights", "inputs", "interaction"]
    code, out, _ = imcsim("budget", "sram_ideal", "--layer", "64x16", "--set", 'adc={kind="ideal"}')
    assert code == 0
    assert "ADC: none" in out
