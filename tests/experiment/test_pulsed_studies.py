"""Studies that learn on pulsed devices: the file that docs/learning.md shows, and what is wrong with others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imcsim.errors import SpecError
from imcsim.experiment.study_file import read_study

PAGE = Path(__file__).parents[2] / "docs" / "learning.md"
if not PAGE.is_file():
    pytest.skip("the pages are not part of this copy", allow_module_level=True)
SECTION = PAGE.read_text(encoding="utf-8").split("## On pulsed devices")[1].split("\n## ")[0]
STUDY, *SCHEMES = re.findall(r"^```toml\n(.*?)^```", SECTION, flags=re.DOTALL | re.MULTILINE)


def told(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_study(path)
    return [problem.removeprefix(f"{path}: ") for problem in str(caught.value).splitlines()]


@pytest.mark.parametrize("scheme", ["", *SCHEMES])
def test_a_scheme_of_the_page_is_one(tmp_path, scheme):
    path = tmp_path / "study.toml"
    others = STUDY if not scheme else re.sub(r"^compound = .*\n", "", STUDY, flags=re.MULTILINE)
    path.write_text(f"{others}\n{scheme}")
    assert len(read_study(path).cells) == 2


def test_the_page_shows_every_scheme():
    kinds = re.findall(r'kind = "(\w*tiki_taka\w*|mixed_precision)"', STUDY + "".join(SCHEMES))
    assert sorted(kinds) == ["chopped_tiki_taka", "mixed_precision", "tiki_taka", "tiki_taka_v2"]


def test_a_fault_of_the_training_is_told_of_a_chip_with_compound_arrays_as_of_any(tmp_path):
    (problem,) = told(tmp_path, STUDY.replace("batch_size", "batchsize"))
    assert problem.startswith('[training] batchsize: unknown key "batchsize"; did you mean "batch_size"?')
