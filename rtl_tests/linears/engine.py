"""The bench of the engine: Linears of several sizes and formats take turns at it, whatever stalls at their ports.

``run_case`` builds a case and starts the simulator; the cocotb tests below run inside it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.fold.engine import NAME, share
from spikegpt_hls.hls.rtl import engine
from spikegpt_hls.hls.rtl.blocks import files, image_file, single
from spikegpt_hls.hls.rtl.writer import instance
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.quant.ops import BIT, Linear
from spikegpt_hls.rtl_tests import simulator
from spikegpt_hls.rtl_tests.bench import Build, beats, bursts, expected, random_params, restart, sequences
from spikegpt_hls.rtl_tests.contexts import interleave

LENGTHS = (3, 1, 4, 2)
BYTE, UNSIGNED, WIDE = Format(8, 4), Format(8, 7, signed=False), Format(12, 6)


@dataclass(frozen=True)
class Case:
    """Linears that share an engine, the deepest last; ``linears`` are inputs, outputs, weight bits, x and out."""

    lanes: int
    multipliers: int
    contexts: int
    linears: tuple[tuple[int, int, int, Format, Format | None], ...]

    def members(self) -> tuple[Block, ...]:
        made = [self._member(number, *linear) for number, linear in enumerate(self.linears)]
        return share(made, [block.name for block in made])

    def _member(self, number: int, inputs: int, outputs: int, bits: int, x: Format, out: Format | None) -> Block:
        op = Linear(out or BIT, inputs, outputs, x, Format(bits, bits - 1))
        op = op if out else Linear(op.accumulator, inputs, outputs, x, op.weight)
        params, factor = random_params(op, seed=number), inputs * outputs // self.multipliers
        made = single(op, self.lanes, params, factor, contexts=self.contexts, name=f"member{number}")
        return replace(made, inputs=(f"s_axis_{made.name}",), outputs=(f"m_axis_{made.name}",))


CASES = (
    Case(1, 8, 1, ((16, 8, 8, BYTE, BYTE), (8, 16, 8, UNSIGNED, BYTE), (24, 8, 4, BYTE, None), (9, 8, 2, BIT, BYTE))),
    Case(1, 3, 3, ((3, 3, 8, UNSIGNED, BYTE), (4, 9, 8, UNSIGNED, WIDE), (5, 6, 8, UNSIGNED, None))),  # the least steps
    Case(2, 6, 1, ((8, 6, 8, BYTE, WIDE), (4, 12, 4, WIDE, BYTE), (12, 18, 8, BYTE, UNSIGNED))),  # rows over two beats
    Case(4, 2, 5, ((4, 4, 2, BIT, BYTE), (8, 4, 2, BIT, None), (4, 8, 2, BIT, BYTE))),  # a beat in two steps
    Case(4, 16, 2, ((12, 4, 8, BYTE, BYTE), (16, 8, 4, BYTE, BYTE), (12, 8, 8, UNSIGNED, None))),
    Case(1, 1, 1, ((3, 5, 8, BYTE, BYTE), (4, 2, 8, BYTE, BYTE))),  # one multiplier
)  # fmt: skip


def top(members: tuple[Block, ...]) -> Iterator[str]:
    """The lines of an engine with its members, whose streams are the module's ports."""
    flow = Dataflow(members, "", "")
    yield "module top (\n    input logic clk,\n    input logic rst,"
    yield ",\n".join(port for block in members for port in ports(block))
    yield ");"
    yield from engine.instance(flow, "")
    for block in members:
        yield from instance(block, engine.ports(flow, block))
    yield "endmodule"


def ports(block: Block) -> Iterator[str]:
    user = (block.contexts - 1).bit_length()
    for stream, fmt, side in ((block.inputs[0], block.format_in[0], 0), (block.outputs[0], block.format_out, 1)):
        inward, outward = ("output", "input") if side else ("input", "output")
        yield f"    {inward} logic [{block.lanes * fmt.bits - 1}:0] {stream}_tdata"
        yield f"    {inward} logic {stream}_tvalid, {stream}_tlast"
        yield f"    {inward} logic [{user}:0] {stream}_tuser"
        yield f"    {outward} logic {stream}_tready"


def run_case(
    folder: Path,
    number: int,
    test: str | None = None,
    flipped: bool = False,
    edit: tuple[str, str] = ("", ""),
    build: Build = simulator.build,
) -> None:
    """Build case ``number`` in ``folder`` and run the cocotb tests below on it.

    ``flipped`` (its first weight's lowest bit) and ``edit`` (old and new text of its sources) are negative controls.
    ``build`` makes the simulation, and where it counts what is covered, that goes to ``coverage_0.dat``.
    """
    members = CASES[number].members()
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, image in engine.images(tuple(reversed(members))).items():
        words = [image.words[0] ^ (1 if flipped and name == "WEIGHT_FILE" else 0), *image.words[1:]]
        (folder / image_file(NAME, name)).write_text(replace(image, words=tuple(words)).hex())
    (folder / "top.sv").write_text("\n".join(top(members)) + "\n")
    edited = []
    for path in files(NAME, "shared_linear"):
        text = path.read_text()
        (folder / path.name).write_text(text.replace(*edit) if edit[0] else text)
        edited.append(folder / path.name)
    build([folder / "top.sv", *edited], "top", folder, {})
    counts = ["+verilator+coverage+file+coverage_0.dat"]
    simulator.run("top", __name__, folder, {"CASE": str(number)}, counts, test=test)


def values(block: Block) -> Ints:
    """What a member reads."""
    assert block.operation is not None
    return sequences(block.operation, LENGTHS, seed=len(block.name) + block.channels_in)[0]


async def follow(dut: Any, block: Block, idle: float, backpressure: float) -> None:
    """One member's streams: its tokens in, and every beat that leaves against NumPy."""
    op = block.operation
    assert isinstance(op, Linear)
    source, sink = (
        kind(AxiStreamBus.from_prefix(dut, stream), dut.clk, dut.rst, byte_lanes=1)
        for kind, stream in ((AxiStreamSource, block.inputs[0]), (AxiStreamSink, block.outputs[0]))
    )
    for port, stream, share_ in ((source, block.inputs[0], idle), (sink, block.outputs[0], backpressure)):
        port.log.setLevel("WARNING")
        if share_:
            port.set_pause_generator(bursts(random.Random(f"{stream} {share_}"), share_))
    given, order = values(block), interleave(LENGTHS, block.contexts)
    marks = order.tuser.tolist()
    for words, mark in zip(beats(given[order.row], block.lanes, op.x), marks, strict=True):
        source.send_nowait(AxiStreamFrame(words, tuser=mark))
    want = beats(expected(op, [given], LENGTHS, block.params)[order.row], block.lanes, op.out)
    for token, (words, mark) in enumerate(zip(want, marks, strict=True)):
        frame = await with_timeout(sink.recv(), 1, "ms")
        assert (list(frame.tdata), frame.tuser) == (words, mark), f"{block.name}, token {token}"


async def run(dut: Any, idle: float, backpressure: float) -> None:
    members = CASES[int(os.environ["CASE"])].members()
    sources, sinks = zip(*((block.inputs[0], block.outputs[0]) for block in members), strict=True)
    await restart(dut, sources, sinks, backpressure)
    dut.rst.value = 0
    for task in [cocotb.start_soon(follow(dut, block, idle, backpressure)) for block in members]:
        await task


@cocotb.test()
async def flowing(dut: Any) -> None:
    """No port ever stalls."""
    await run(dut, 0, 0)


@cocotb.test()
async def stalled(dut: Any) -> None:
    """Every port stalls at random."""
    await run(dut, 0.4, 0.4)


@cocotb.test()
async def starved(dut: Any) -> None:
    """The inputs are mostly idle."""
    await run(dut, 0.8, 0)


@cocotb.test()
async def blocked(dut: Any) -> None:
    """The outputs are mostly refused."""
    await run(dut, 0, 0.8)
