"""The commands of ``docs/howto.md``, and the Python of ``docs/python.md``, do what the pages say, in their order."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.main import run
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.spikegpt import SpikeGPT

PAGE = Path(__file__).parents[1] / "docs" / "howto.md"
PYTHON = PAGE.with_name("python.md")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: What makes a command small enough for a test.
TEXT = {"tokens": "18", "sequences": "2"}
SMALL = {"train-qat": {"steps": "6", "layers": "1", "channels": "16"}, "export": TEXT, "hls": TEXT, "cosim": TEXT}


@dataclass(frozen=True)
class Snippet:
    """A fenced block of the page."""

    line: int
    language: str
    text: str


def snippets(path: Path = PAGE) -> list[Snippet]:
    page = path.read_text()
    return [Snippet(page.count("\n", 0, found.start()) + 1, *found.groups()) for found in FENCE.finditer(page)]


def arguments(line: str) -> list[str]:
    """``make X a=b`` as what the Makefile makes of it: ``spikegpt-hls X --a b``."""
    command, *named = shlex.split(line)[1:]
    settings = dict(part.split("=", 1) for part in named) | SMALL.get(command, {})
    return [command, *(word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", value))]


def run_shell(text: str) -> None:
    for line in text.splitlines():
        if line.startswith("make "):
            assert run(arguments(line)) == 0, line
        else:
            subprocess.run(shlex.split(line), check=True)


def run_python(text: str, plugins: Path) -> None:
    """As it is; or put where its first line says, where that names a file."""
    if named := re.match(r"# cli/targets/(\w+\.py)\n", text):
        (plugins / named[1]).write_text(text)
        targets.targets.cache_clear()
    else:
        exec(compile(text, str(PAGE), "exec"), {})


@pytest.fixture
def plugins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as one of ``cli/targets``."""
    folder = tmp_path_factory.mktemp("targets")
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(folder)])
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that a reader is supposed to have."""
    (tmp_path / "my.txt").write_text("the cat sat on the mat; " * 120)
    torch.save(SpikeGPT(Config(2, 16)).state_dict(), tmp_path / "SpikeGPT-216M.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_does_what_it_says(desk: Path, plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = {}
    for snippet in snippets():
        try:
            run_shell(snippet.text) if snippet.language == "sh" else run_python(snippet.text, plugins)
        except BaseException as error:
            raise AssertionError(f"docs/howto.md, line {snippet.line}: {error!r}") from error
        said[snippet.text.splitlines()[0]] = capfd.readouterr().out
    targets.targets.cache_clear()
    assert (
        "mine/tiny/checkpoint.safetensors was not made by train-qat here: it is used as it is"
        in said["mkdir -p mine/tiny"]
    )
    assert "up to date" in said["make status"]
    assert "mismatches: flowing 0 of" in said["make cosim"]
    assert "cycles_per_token" in said["import json"]
    assert "lines of SystemVerilog" in said["make hls target=lines"]
    assert (desk / "build" / "tiny" / "report" / "index.html").exists()


def test_python_goes_from_a_checkpoint_to_hardware(desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """One script, as a reader would paste it together."""
    exec(compile("".join(snippet.text for snippet in snippets(PYTHON)), str(PYTHON), "exec"), {})
    said = capfd.readouterr().out
    assert re.search(r"^0 of [1-9]\d* values differ$", said, re.MULTILINE), said
    for unit in ("cycles", "nJ"):
        figure = re.search(rf"^([\d.]+) {unit} per token$", said, re.MULTILINE)
        assert figure is not None, said
        assert float(figure[1]) > 0


def test_what_the_page_names_is_there() -> None:
    """Each ``name=`` of its prose and tables is a setting; each link leads to a page."""
    prose, options = FENCE.sub("", PAGE.read_text()), PAGE.with_name("options.md").read_text()
    for name in re.findall(r"`([a-z_]+)=", prose):
        assert f"| `{name}` |" in options, f"{name}= is no setting"
