"""Interrupts in a callback of C code, which drops what they raise, as compilers have some; and while locks are held."""

from __future__ import annotations

import ctypes
import signal

import pytest

from imcsim.study.interrupts import held, remembered
from imcsim.study.run import run
from imcsim.study.store import read_shards
from imcsim.study.work import Work

POINTS = 72
SIGNALS = [signal.SIGINT, signal.SIGTERM]
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is what is dropped


def quiet(progress):
    pass


@pytest.fixture(autouse=True)
def sigterm_interrupts():
    """SIGTERM as the command line handles it; handlers are those of before when a run is over."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    handlers = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    signal.signal(signal.SIGTERM, before)


def dropped(number):
    """Be interrupted in a callback of ctypes: nothing is raised here."""
    ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))()


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("then_fails", [True, False])
def test_an_interrupt_that_a_callback_drops_ends_the_run_and_no_point_has_failed(
    make_plan, evaluator, tmp_path, number, then_fails
):
    def at_26(place):
        if len(evaluator.asked) != 26:
            return False
        dropped(number)
        return then_fails  # what a compiler left behind may be of no use

    evaluator.fails = at_26
    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, evaluator.work, quiet)
    kept = 25 if then_fails else 26
    assert len(evaluator.asked) == 26
    assert len(read_shards(tmp_path / "shards").results) == kept
    assert not (tmp_path / "failures.jsonl").exists()
    evaluator.fails = lambda place: False
    outcome = run(make_plan(), tmp_path, evaluator.work, quiet)
    assert (outcome.computed, outcome.reused, outcome.failed) == (POINTS - kept, kept, 0)


def test_an_interrupt_that_is_dropped_while_an_artifact_is_made_fails_nobody(make_plan, evaluator, tmp_path):
    def evaluate(config, training, replicates, artifacts):
        artifacts.get({"training": training})
        yield from evaluator.evaluate(config, training, replicates, artifacts)

    def make(key, artifacts):
        dropped(signal.SIGINT)
        raise RuntimeError("nothing was compiled")

    with pytest.raises(KeyboardInterrupt):
        run(make_plan(), tmp_path, Work(evaluate, make), quiet)
    assert not (tmp_path / "failures.jsonl").exists()
    outcome = run(make_plan(), tmp_path, Work(evaluate, lambda key, artifacts: {}), quiet)
    assert (outcome.computed, outcome.failed) == (POINTS, 0)


def test_a_point_that_fails_without_an_interrupt_has_failed(make_plan, evaluator, tmp_path):
    evaluator.fails = lambda place: len(evaluator.asked) == 26
    assert run(make_plan(), tmp_path, evaluator.work, quiet).failed == 1


def test_an_interrupt_waits_until_a_lock_is_given_back():
    seen = []

    def interrupted():
        with held():
            with held():
                signal.raise_signal(signal.SIGINT)
                seen.append("inner")
            seen.append("outer")
        seen.append("never")

    with remembered(), pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == ["inner", "outer"]


def test_what_is_not_held_is_interrupted_at_once():
    seen = []

    def interrupted():
        with held():
            seen.append("held")
        signal.raise_signal(signal.SIGINT)
        seen.append("never")

    with remembered(), pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen == ["held"]
