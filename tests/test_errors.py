"""An error says where, what was given, what is allowed and what to do; it carries every problem."""

import copy
import pickle

import pytest

from imcsim.errors import CapabilityError, DataError, ImcsimError, Problem, SpecError, did_you_mean


def test_a_problem_in_a_file_reads_as_the_house_style_has_it():
    problem = Problem(("chip", "adc", "bits"), "must be an integer from 1 to 16", given="40", source="study.toml")
    assert str(problem) == "study.toml: [chip.adc] bits = 40: must be an integer from 1 to 16"


def test_a_problem_at_the_top_of_a_file_names_the_key_alone():
    assert str(Problem(("seed",), "must be an integer", "x", source="study.toml")) == (
        "study.toml: seed = x: must be an integer"
    )


def test_a_problem_of_the_whole_file_names_the_file_alone():
    assert str(Problem((), "no such file", source="study.toml")) == "study.toml: no such file"


def test_a_problem_of_a_call_from_python_names_the_dotted_path():
    assert str(Problem(("adc", "bits"), "must be an integer", "x")) == "adc.bits = x: must be an integer"


def test_a_problem_without_a_place_is_its_sentence():
    assert str(Problem((), "no device model", remedy="give one")) == "no device model; give one"


def test_the_remedy_comes_last():
    problem = Problem(("adc_bit",), 'unknown key "adc_bit"', remedy='did you mean "bits"?')
    assert str(problem) == 'adc_bit: unknown key "adc_bit"; did you mean "bits"?'


def test_seen_from_outside_a_problem_has_the_longer_path_and_keeps_the_innermost_source():
    inner = Problem(("bits",), "is wrong").within("chip", "adc", source="device.toml")
    assert inner.path == ("chip", "adc", "bits")
    assert inner.within(source="study.toml").source == "device.toml"


def test_an_error_tells_all_of_its_problems_a_line_each():
    error = SpecError([Problem(("a",), "is wrong"), Problem(("b",), "is wrong, too")])
    assert str(error).splitlines() == ["a: is wrong", "b: is wrong, too"]
    assert [problem.path for problem in error.problems] == [("a",), ("b",)]


def test_the_problems_may_come_from_a_generator():
    assert len(SpecError(Problem((name,), "is wrong") for name in "abc").problems) == 3


def test_an_error_of_one_problem_takes_a_key_or_a_path():
    assert SpecError.of("bits", "is wrong").problems[0].path == ("bits",)
    assert SpecError.of(("adc", "bits"), "is wrong").problems[0].path == ("adc", "bits")
    assert SpecError.of((), "is wrong").problems[0].path == ()


@pytest.mark.parametrize("kind", [SpecError, CapabilityError, DataError])
def test_an_error_comes_whole_out_of_another_process(kind):
    error = kind(
        [Problem(("adc", "bits"), "must be an integer", "x", "round it", "study.toml"), Problem((), "and so on")]
    )
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert again.problems == error.problems
        assert str(again) == str(error)


def test_what_python_code_would_catch_catches_them_too():
    assert issubclass(SpecError, ValueError)
    assert issubclass(DataError, ValueError)
    assert issubclass(CapabilityError, RuntimeError)
    assert all(issubclass(kind, ImcsimError) for kind in (SpecError, DataError, CapabilityError))


def test_a_misspelt_word_is_answered_with_the_nearest_known_one():
    assert did_you_mean("weigth_bits", ["rows", "weight_bits", "cols"]) == 'did you mean "weight_bits"?'


def test_a_word_near_to_none_is_answered_with_all_that_are_known():
    assert did_you_mean("xyz", ["rows", "cols"]) == "known: rows, cols"


def test_a_word_where_nothing_is_known_is_answered_so():
    assert did_you_mean("bits", []) == "none is known here"


def test_the_known_words_may_come_from_a_generator():
    assert did_you_mean("row", (name for name in ["cols", "rows"])) == 'did you mean "rows"?'
