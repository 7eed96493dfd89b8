"""Building a simulation: in any folder, with this Python, and with one sentence where it fails."""

import shutil
from pathlib import Path

import pytest

from spikegpt_hls.hls.rtl.blocks import single
from spikegpt_hls.host import builds
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import LIF
from spikegpt_hls.rtl_tests import bench, simulator, verilate
from spikegpt_hls.rtl_tests.errors import ToolError
from spikegpt_hls.rtl_tests.lint import lint

PLACE = "a folder é's"


def test_a_build_needs_neither_a_plain_path_nor_a_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, build, cache and temporary files lie in a folder with a blank, a quote and a letter beyond ASCII; what
    the PATH calls python is none."""
    (tmp_path / PLACE / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (tmp_path / PLACE / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / PLACE / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / PLACE / "bin"), prepend=":")
    monkeypatch.setenv(builds.VARIABLE, str(tmp_path / PLACE / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / PLACE))
    monkeypatch.setattr(bench, "BUILD", tmp_path / PLACE)
    op = LIF.of(8, Format(8, 4))
    bench.check(single(op, 2, {}), bench.sequences(op, (3, 2), seed=1), (3, 2), test="flowing", edit=("clk", "clk"))


def test_a_build_that_fails_says_why(tmp_path: Path) -> None:
    path = tmp_path / PLACE / "wrong.sv"
    path.parent.mkdir()
    path.write_text("module wrong (input logic clk);\n  assign = 1;\nendmodule\n")
    with pytest.raises(ToolError, match=r"^wrong could not be built: %Error: wrong\.sv:2:10: .*; see .*build\.log$"):
        simulator.build([path], "wrong", tmp_path / "build")
    assert "wrong.sv:2" in lint("wrong", [str(path)])


def test_equal_texts_share_a_simulation(tmp_path: Path) -> None:
    """Wherever they lie; not those that differ in a letter, a name, a parameter or an option."""
    found: list[str] = []

    def kept(key: str, make: object) -> Path:
        found.append(key)
        return tmp_path

    for number, (name, text, parameters, options) in enumerate(
        (
            ("one.sv", "", {}, []), ("one.sv", "", {}, []), ("one.sv", " ", {}, []), ("two.sv", "", {}, []),
            ("one.sv", "", {"N": 1}, []), ("one.sv", "", {}, ["-O3"]),
        )
    ):  # fmt: skip
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        path.write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builds, "kept", kept)
            verilate.simulation([path], "one", tmp_path / "log", options, parameters)
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    paths = [tmp_path / "one.sv", tmp_path / "below" / "one.sv"]
    for path in paths:
        path.write_text("")
    with pytest.raises(ToolError, match=r"two sources of one have the same name: one\.sv, one\.sv"):
        verilate.simulation(paths, "one", tmp_path / "log")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("a\n%Warning: error: x\n%Error: one.sv:1: first\n%Error: second\n", "%Error: one.sv:1: first"),
        ("g++ x\n/bin/sh: 1: python: not found\nmake: *** [a] Error 127\n", "/bin/sh: 1: python: not found"),
        ("cc1plus: fatal error: x.h: No such file\n", "cc1plus: fatal error: x.h: No such file"),
        ("killed\n\n", "killed"),
        ("", "it said nothing"),
    ],
)
def test_the_first_error_is_told(said: str, line: str) -> None:
    assert verilate.first_error(said) == line


@pytest.mark.parametrize("name", ["g++", "make"])
def test_a_missing_tool_is_one_sentence(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (other,) = {"g++", "make"} - {name}
    (tmp_path / other).symlink_to(shutil.which(other) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=rf"^{name.replace('+', '.')} is needed, and is not on the PATH"):
        simulator.require_tools()
