"""Breaking any row of the decision table turns a test red, and the script that says so is right."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools/break_each_row.py"
ROWS = ["1", "2", "2b", "3", "3b", "4", "5", "6", "7", "8", "8b", "8c", "9"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_whatever_is_broken_in_any_row_a_test_notices() -> None:
    done = run()
    assert "NOBODY NOTICES" not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    for number in ROWS:
        for what in ("removed", "never applies", "always applies", "negated", "answers"):
            assert re.search(rf"^row {number} +{what}.* test_\w+", done.stdout, re.MULTILINE)
    for number, following in pairwise(ROWS):
        assert re.search(
            rf"^row {number} +swapped with row {following} ", done.stdout, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("def test_blind() -> None: pass", "NOBODY NOTICES"),
        ("def test_red_already() -> None: assert False", "must be green .* test_red_already"),
    ],
    ids=["that see nothing", "that are red already"],
)
def test_the_script_fails_with_tests_that_prove_nothing(
    tmp_path: Path, tests: str, said: str
) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(tests)
    done = run(str(file))
    assert done.returncode == 1
    assert re.search(said, done.stdout)
