"""What the Makefile hands to the command."""

import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("value", ["a folder é", "b's", 'say "hi"', "`x`; y | z > w & $(v) \\"])
def test_a_value_reaches_the_command_as_it_is(value: str) -> None:
    command = ["make", "-n", "-C", str(ROOT), "generate", f"build={value}", f"prompt={value}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    words = shlex.split(next(line for line in said.splitlines() if "--prompt" in line))
    assert [words[words.index(option) + 1] for option in ("--build", "--prompt")] == [value, value]
