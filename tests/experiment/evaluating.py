"""Evaluating points without a run."""

from __future__ import annotations

from imcsim.experiment.evaluate import WORK
from imcsim.study.store import MissingArtifactsError


def evaluate_now(cell, training, replicates, artifacts):
    """The values of each (die, read), whatever artifacts have to be made first."""
    artifacts.folder.mkdir(exist_ok=True)
    return _with_artifacts(lambda: list(WORK.evaluate(cell.config, training, replicates, artifacts)), artifacts)


def _with_artifacts(call, artifacts):
    while True:
        try:
            return call()
        except MissingArtifactsError as missing:
            for key in missing.keys:
                artifacts.put(key, _with_artifacts(lambda key=key: WORK.make(key, artifacts), artifacts))
