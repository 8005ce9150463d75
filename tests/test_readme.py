"""The README: its Python runs, its commands are those that the project's own check runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_of_the_readme_runs_and_prints_an_accuracy_for_each_number_of_bits(capsys):
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), {})
    printed = capsys.readouterr().out
    accuracies = [float(found) for found in re.findall(r"weight bits: ([\d.]+)%", printed)]
    assert len(accuracies) == 4
    assert accuracies[-1] > 90  # six weight bits are enough for digits
    learned = [float(found) for found in re.findall(r"(?:on_chip_backprop|dfa): ([\d.]+)%", printed)]
    assert len(learned) == 2
    assert min(learned) > 85


def test_its_ten_lines_of_python_are_ten_lines():
    code = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(code) == 10


def test_its_first_screen_has_two_commands_each_on_one_line():
    commands = blocks("bash")
    assert len(commands) == 2
    assert all(len(command.strip().splitlines()) == 1 for command in commands)


def test_its_commands_are_those_of_the_projects_own_check():
    check = ROOT / ".ci" / "run"
    if not check.exists():
        pytest.skip("the project's check is not part of this copy")
    lines = [line.strip() for line in check.read_text(encoding="utf-8").splitlines()]
    main, tests = (command.strip() for command in blocks("bash"))
    assert tests in lines
    assert f"{main} --quick" in lines
