"""Every block at the corners of its operation's schema, all in one simulation.

Each is fed from a file whenever it is ready, and judged against another. The cocotb test below runs inside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.rtl.blocks import image_file, images, single, sources
from spikegpt_hls.hls.rtl.image import pack
from spikegpt_hls.hls.rtl.writer import instance
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear, Operation
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import expected
from spikegpt_hls.rtl_tests.corners import CORNERS, corner_parameters, corner_streams, lanes_of

LENGTHS = (9, 1, 14)
CYCLES = 4000

PORTS = """
module player #(parameter int WIDTH = 1, parameter int BEATS = 1, parameter int WORDS = 1, parameter FILE = "") (
    input logic clk, input logic rst, input logic tready,
    output logic [WIDTH-1:0] tdata, output logic tvalid, output logic tlast, output logic tuser
);
  logic [WIDTH:0] words[WORDS];  // the first token's mark above the data
  int next;
  initial $readmemh(FILE, words);
  assign tvalid = !rst && next < WORDS;
  assign {tuser, tdata} = words[tvalid ? next : 0];
  assign tlast = next % BEATS == BEATS - 1;
  always_ff @(posedge clk) next <= rst ? 0 : next + int'(tvalid && tready);
endmodule

module judge #(parameter int WIDTH = 1, parameter int WORDS = 1, parameter FILE = "") (
    input logic clk, input logic rst, input logic tvalid, input logic [WIDTH-1:0] tdata,
    output logic done, output logic wrong
);
  logic [WIDTH-1:0] words[WORDS];
  int next;
  initial $readmemh(FILE, words);
  assign done = next == WORDS;
  always_ff @(posedge clk) begin
    next <= rst ? 0 : next + int'(tvalid);
    wrong <= !rst && (wrong || (tvalid && (done || tdata != words[done ? 0 : next])));
  end
endmodule
"""


def block_of(number: int, op: Operation) -> Block:
    lanes, name = lanes_of(op), f"c{number}"
    factors = legal_factors(op.inputs, op.outputs, lanes) if isinstance(op, Linear) else (1,)
    block = single(op, lanes, corner_parameters(op), factors[len(factors) // 2], name=name)
    return replace(block, inputs=tuple(f"{name}_{stream}" for stream in op.streams), outputs=(f"{name}_out",))


def write_words(path: Path, values: Ints, lanes: int, fmt: Format, marks: Sequence[int] = ()) -> int:
    """``values`` (tokens, channels) as a memory image, a beat a word, each with its token's mark; the words' number."""
    rows = np.reshape(values, (-1, lanes))
    words = pack(rows, fmt.bits).words
    beats = len(words) // len(values)
    marked = [word | marks[n // beats] << (lanes * fmt.bits) if marks else word for n, word in enumerate(words)]
    path.write_text("".join(f"{word:x}\n" for word in marked))
    return len(words)


def bench(block: Block, folder: Path) -> Iterator[str]:
    """The lines of a block between players and a judge, whose files go into ``folder``."""
    op, lanes = block.operation, block.lanes
    assert op is not None
    streams = corner_streams(op, sum(LENGTHS))
    marks = [int(n == 0) for length in LENGTHS for n in range(length)]
    for stream, fmt, values in zip(block.inputs, block.format_in, streams, strict=True):
        each = 1 if isinstance(op, BinaryEmbedding) else lanes
        words = write_words(folder / f"{stream}.hex", values, each, fmt, marks)
        yield from wires(stream, each * fmt.bits)
        sizes = f".WIDTH({each * fmt.bits}), .BEATS({words // sum(LENGTHS)}), .WORDS({words})"
        ports = ", ".join(f".{wire}({stream}_{wire})" for wire in ("tdata", "tvalid", "tready", "tlast", "tuser"))
        yield f'  player #({sizes}, .FILE("{folder / stream}.hex")) p_{stream} (.clk, .rst, {ports});'
    (sink,) = block.outputs
    width = lanes * op.out.bits
    words = write_words(folder / f"{sink}.hex", expected(op, streams, LENGTHS, block.params), lanes, op.out)
    yield from wires(sink, width)
    yield f"  assign {sink}_tready = 1'b1;"
    for name, image in images(block).items():
        (folder / image_file(block.name, name)).write_text(image.hex())
    yield from (line.replace('"images/', f'"{folder}/images/') for line in instance(block, ("      .busy()",)))
    number = block.name[1:]
    ports = f".tvalid({sink}_tvalid), .tdata({sink}_tdata), .done(done[{number}]), .wrong(wrong[{number}])"
    yield f'  judge #(.WIDTH({width}), .WORDS({words}), .FILE("{folder / sink}.hex")) j_{sink} (.clk, .rst, {ports});'


def wires(stream: str, width: int) -> Iterator[str]:
    yield f"  logic [{width - 1}:0] {stream}_tdata;"
    yield f"  logic {stream}_tvalid, {stream}_tready, {stream}_tlast, {stream}_tuser;"


def test_every_block_at_the_corners_of_its_schema(tmp_path: Path) -> None:
    blocks = [block_of(number, op) for number, op in enumerate(CORNERS)]
    (tmp_path / "images").mkdir()
    lines = [line for block in blocks for line in bench(block, tmp_path)]
    head = "module corners (input logic clk, input logic rst,"
    ports = f"  output logic [{len(blocks) - 1}:0] done, output logic [{len(blocks) - 1}:0] wrong);"
    top = tmp_path / "corners.sv"
    top.write_text("\n".join([PORTS, head, ports, *lines, "endmodule\n"]))
    files = dict.fromkeys(path for block in blocks for path in sources(block.kind))
    simulator.build([*files, top], "corners", tmp_path)
    (tmp_path / "case.json").write_text(json.dumps([str(op) for op in CORNERS]))
    environment = {"CASE": str(tmp_path / "case.json")}
    simulator.run("corners", "spikegpt_hls.rtl_tests.test_corners", tmp_path, environment)


@cocotb.test()
async def every_beat_is_as_in_numpy(dut: Any) -> None:
    names = json.loads(Path(os.environ["CASE"]).read_text())
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, CYCLES)
    await RisingEdge(dut.clk)
    done, wrong = int(dut.done.value), int(dut.wrong.value)
    assert not wrong, [name for n, name in enumerate(names) if wrong >> n & 1]
    assert done == (1 << len(names)) - 1, [name for n, name in enumerate(names) if not done >> n & 1]
