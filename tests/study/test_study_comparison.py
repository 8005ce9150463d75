"""Paired comparisons: what cells share cancels, no family of tests cries wolf, and what cannot be compared says so."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from imcsim.errors import SpecError
from imcsim.rng import child
from imcsim.study.comparison import compare, format_comparisons, holm
from imcsim.study.statistics import estimate_mean, mean_interval
from imcsim.study.summary import Row, Summary

BITS, RULE, SIGMA = "chip.adc.bits", "rule", "rule.sigma"


def row(coordinates, values):
    """A row with the accuracies `values` (trainings, dies, reads)."""
    interval = mean_interval(values.mean(axis=2))
    gaps = int(np.isnan(values).sum())
    return Row(coordinates, interval, interval, values, ok=values.size - gaps, failed=gaps, missing=0)


def summary_of(*rows):
    axes = tuple(dict.fromkeys(path for row in rows for path in row.coordinates))
    return Summary("study", axes, rows, chance=0.1, test_samples=400, plot=None)


def noise(name, scale, shape=(5, 3, 2)):
    return scale * child(1, name).standard_normal(shape)


LUCK = noise("luck", 0.05)  # what the same training, die and read share in every cell
STUDY = summary_of(
    *(
        row({BITS: bits, RULE: rule}, 0.8 + gain + LUCK + noise(f"{bits} {rule}", 0.001))
        for (bits, gain), rule in itertools.product({3: 0.0, 4: 0.02, 6: 0.05}.items(), ("bp", "np"))
    )
)


def at(summary, **coordinates):
    wanted = {BITS: coordinates.get("bits"), RULE: coordinates.get("rule")}
    return next(row for row in summary.rows if row.coordinates == wanted)


# The differences


def test_every_cell_meets_the_same_weights_in_float():
    in_float = np.array([[0.9], [0.92], [0.91], [0.93], [0.9]])
    cells = [dataclasses.replace(one, values_float=in_float) for one in STUDY.rows]
    found = compare(summary_of(*cells), "float")
    assert (len(found.rows), found.left_out) == (len(cells), 0)
    for one, cell in zip(found.rows, cells, strict=True):
        expected = estimate_mean(cell.values.mean(axis=2) - in_float)
        assert one.difference.mean == expected.mean
        assert one.p == expected.p_of_zero()
    text = format_comparisons(found)
    assert text.startswith("study: on the chip against in float\n")
    assert "difference: a cell less the same weights in float" in text


def test_every_cell_meets_the_one_that_agrees_in_all_but_the_path():
    found = compare(STUDY, BITS)
    assert (found.path, found.reference, found.left_out) == (BITS, 3, 0)
    assert [dict(row.coordinates) for row in found.rows] == [
        {BITS: bits, RULE: rule} for bits, rule in itertools.product((4, 6), ("bp", "np"))
    ]
    for one in found.rows:
        cell, counterpart = (at(STUDY, bits=bits, rule=one.coordinates[RULE]) for bits in (one.coordinates[BITS], 3))
        expected = estimate_mean((cell.values - counterpart.values).mean(axis=2))
        assert one.difference == expected.interval()
        assert one.p == expected.p_of_zero()
    assert [row.difference.mean for row in found.rows] == pytest.approx([0.02, 0.02, 0.05, 0.05], abs=0.002)


def test_what_the_cells_share_is_not_in_the_interval():
    paired = compare(STUDY, BITS).rows[0].difference
    alone = STUDY.rows[2].accuracy
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_cells_that_share_nothing_gain_nothing_from_being_paired():
    rows = [row({BITS: bits}, 0.8 + noise(f"own {bits}", 0.05)) for bits in (3, 4)]
    difference = compare(summary_of(*rows), BITS).rows[0].difference
    assert difference.high - difference.low > 0.5 * (rows[0].accuracy.high - rows[0].accuracy.low)


@pytest.mark.parametrize("reference", [4, "4", "4.0"])
def test_the_reference_is_a_value_or_its_text(reference):
    found = compare(STUDY, BITS, reference)
    assert found.reference == 4
    assert {row.coordinates[BITS] for row in found.rows} == {3, 6}
    assert found.rows[0].difference.mean == pytest.approx(-0.02, abs=0.002)


def test_gaps_of_either_cell_are_left_out_of_the_difference():
    values = 0.8 + LUCK
    with_gaps = values + 0.01 + noise("gaps", 0.001)
    whole = compare(summary_of(row({BITS: 3}, values[[0, 1, 3, 4]]), row({BITS: 4}, with_gaps[[0, 1, 3, 4]])), BITS)
    with_gaps[2] = np.nan
    found = compare(summary_of(row({BITS: 3}, values), row({BITS: 4}, with_gaps)), BITS)
    assert found.rows[0].difference == whole.rows[0].difference
    assert found.rows[0].difference.n_trainings == 4


def test_differences_that_are_all_equal_claim_no_certainty():
    found = compare(summary_of(row({BITS: 3}, 0.8 + LUCK), row({BITS: 4}, 0.83 + LUCK)), BITS)
    (only,) = found.rows
    assert only.difference.method == "no spread"
    assert only.difference.mean == pytest.approx(0.03)
    assert math.isnan(only.p)
    assert math.isnan(only.p_holm)
    text = format_comparisons(found)
    assert "no spread, in 1 of 1: all values are equal; it proves no certainty" in text
    assert "no p, in 1 of 1: a test needs two values that differ" in text


def test_one_value_each_gives_a_difference_without_interval_or_p():
    found = compare(summary_of(*(row({BITS: bits}, np.full((1, 1, 1), 0.1 * bits)) for bits in (3, 4))), BITS)
    (only,) = found.rows
    assert only.difference.mean == pytest.approx(0.1)
    assert math.isnan(only.difference.low)
    assert math.isnan(only.p)


def test_where_a_cell_has_no_value_its_difference_has_none():
    found = compare(summary_of(row({BITS: 3}, 0.8 + LUCK), row({BITS: 4}, np.full(LUCK.shape, np.nan))), BITS)
    assert math.isnan(found.rows[0].difference.mean)
    text = format_comparisons(found)
    assert text.splitlines()[2].split() == ["4", "-", "-", "-", "0", "x", "0"]
    assert "interval of the mean difference: no value" in text


# Counterparts in a grid that is no full product


def conditional():
    """The rule np has a sigma, the rule bp has none."""
    bp = row({RULE: "bp"}, 0.8 + LUCK)
    nps = [row({RULE: "np", SIGMA: s}, 0.8 - s + LUCK + noise(f"sigma {s}", 0.001)) for s in (0.1, 0.2)]
    return summary_of(bp, *nps)


def test_a_path_that_one_of_both_lacks_does_not_part_them():
    found = compare(conditional(), RULE, "bp")
    assert [row.coordinates[SIGMA] for row in found.rows] == [0.1, 0.2]
    assert [row.difference.mean for row in found.rows] == pytest.approx([-0.1, -0.2], abs=0.002)


def test_where_several_cells_would_do_none_is_chosen():
    with pytest.raises(SpecError, match="no cell differs in it alone from one at np"):
        compare(conditional(), RULE, "np")


def test_cells_that_the_path_does_not_apply_to_are_left_out_and_counted():
    found = compare(conditional(), SIGMA, 0.1)
    assert [row.coordinates[SIGMA] for row in found.rows] == [0.2]
    assert found.left_out == 1
    assert "left out: 1 cells" in format_comparisons(found)


def test_linked_axes_have_no_counterparts():
    linked = summary_of(*(row({BITS: bits, SIGMA: sigma}, 0.8 + LUCK) for bits, sigma in ((3, 0.1), (4, 0.2))))
    with pytest.raises(SpecError, match=f'compare = "{BITS}": no cell differs in it alone from one at 3; sweep it'):
        compare(linked, BITS)


def test_a_path_that_is_not_swept_is_an_error_with_the_nearest_one():
    with pytest.raises(SpecError, match=r'compare = "chip.adc.bit": is not a swept path; did you mean "chip.adc.bits"'):
        compare(STUDY, "chip.adc.bit")


def test_a_reference_that_is_no_value_of_the_path_is_an_error_with_its_values():
    with pytest.raises(SpecError, match=r'compare = "5": chip.adc.bits has no such value; known: 3, 4, 6'):
        compare(STUDY, BITS, "5")


# Holm's correction


def closed_testing(p):
    """The twin: a hypothesis falls once every set of them that it is in falls by Bonferroni (Marcus et al. 1976)."""
    places = range(len(p))
    sets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(places, size)]
    return [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if place in s) for place in places]


def test_the_correction_is_the_closed_test_of_bonferroni():
    rng = child(2, "p")
    for _ in range(20):
        p = (rng.random(6) ** 3).tolist()
        assert holm(p) == pytest.approx(closed_testing(p), rel=1e-12)


def test_the_correction_rejects_what_the_published_example_rejects():
    # the example of the R package HDLSSkST, function Holm, at 5 %
    p = [0.50, 0.01, 0.001, 0.69, 0.02, 0.05, 0.0025]
    assert [corrected < 0.05 for corrected in holm(p)] == [False, False, True, False, False, False, True]


def test_a_test_that_could_not_be_made_counts_in_the_family_and_stays_without_p():
    corrected = holm([0.01, math.nan, 0.02])
    assert corrected[::2] == pytest.approx([0.03, 0.04])
    assert math.isnan(corrected[1])


def families_with_a_false_positive(p_of, families=400, cells=8):
    """The share of studies, of which no cell differs, where `p_of` finds one that does."""
    rng = child(3, "families")
    count = 0
    for _ in range(families):
        luck = rng.standard_normal((5, 3, 1))
        own = rng.standard_normal((cells + 1, 5, 1, 1)) + 0.3 * rng.standard_normal((cells + 1, 5, 3, 2))
        found = compare(summary_of(*(row({BITS: k}, luck + own[k]) for k in range(cells + 1))), BITS)
        count += min(p_of(one) for one in found.rows) < 0.05
    return count / families


def test_one_family_in_twenty_at_most_has_a_false_positive_after_the_correction():
    assert families_with_a_false_positive(lambda one: one.p_holm) < 0.05 + 5 * math.sqrt(0.05 * 0.95 / 400)


def test_without_the_correction_many_more_have():
    # beyond what five sigma would let pass of the corrected ones
    assert families_with_a_false_positive(lambda one: one.p) > 0.05 + 5 * math.sqrt(0.05 * 0.95 / 400)


# What the user sees


def test_the_table_has_points_intervals_both_p_and_the_method():
    found = compare(STUDY, BITS)
    lines = format_comparisons(found).splitlines()
    assert lines[0] == "study: chip.adc.bits against 3"
    first = found.rows[0]
    interval = f"{100 * first.difference.low:+.2f} ... {100 * first.difference.high:+.2f}"
    assert lines[2].split()[:3] == ["4", "bp", f"{100 * first.difference.mean:+.2f}"]
    assert interval in lines[2]
    assert lines[2].endswith("5 x 3")
    notes = "\n".join(lines[6:])
    assert "a cell less its counterpart at chip.adc.bits = 3" in notes
    assert "crossed random effects" in notes
    assert "Holm (1979) over the 4 comparisons of this table" in notes


def test_the_plain_form_is_json_with_null_for_what_is_no_number():
    equal = summary_of(row({BITS: 3}, 0.8 + LUCK), row({BITS: 4}, 0.83 + LUCK))
    data = json.loads(json.dumps(compare(equal, BITS).plain(), allow_nan=False))
    assert data["rows"][0]["p"] is None
    data = json.loads(json.dumps(compare(STUDY, BITS).plain(), allow_nan=False))
    assert [one["p_holm"] for one in data["rows"]] == [one.p_holm for one in compare(STUDY, BITS).rows]
