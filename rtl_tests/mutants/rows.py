"""The engine that reads rows from a memory, with its members, as a design; and what is done with it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from spikegpt_hls.hls.convert import convert
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.hls.rtl import rows
from spikegpt_hls.hls.rtl.blocks import files
from spikegpt_hls.hls.rtl.writer import instance
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network
from spikegpt_hls.rtl_tests.bench import beats, sequences
from spikegpt_hls.rtl_tests.linears.engine import ports
from spikegpt_hls.rtl_tests.mutants.cases import Design
from spikegpt_hls.rtl_tests.mutants.replay import RUNS, Play, Stream, pauses

NAME = rows.ENGINE
BUS = 32
WAVES = 5  # of each member


@dataclass(frozen=True)
class Case:
    """The Linears of a small network of two layers."""

    lanes: int
    channels: int
    batch: int
    weight_bits: int
    placement: str
    vocabulary: int


CASES = (Case(2, 4, 2, 8, "spike-driven", 36), Case(1, 3, 1, 4, "canonical", 40))


@cache
def network(case: Case) -> Dataflow:
    """Of which the Linears are members."""
    model = random_network(
        2, case.channels, 1, case.weight_bits, case.vocabulary, formats="shared", placement=case.placement
    )
    inside = ("att_key", "att_value", "att_receptance", "att_output", "ffn_key", "ffn_receptance", "ffn_value")
    names = [f"blocks_{layer}_{name}" for layer in range(2) for name in inside]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export(model, folder)
        graph = convert(
            folder / "model.onnx", folder / "hls", "SpikeRTL", lanes=case.lanes, depth="folded", weights="memory",
            batch=case.batch, bus=BUS, events=names if case.placement == "spike-driven" else [],
        )  # fmt: skip
        return dataflow(graph)


def members(case: Case) -> list[Block]:
    """The Linears, whose streams are ports."""
    return [
        replace(block, inputs=(f"s_axis_{block.name}",), outputs=(f"m_axis_{block.name}",))
        for block in Layout(network(case)).members
    ]


def top(case: Case) -> Iterator[str]:
    """The lines of the engine between its members, whose streams are ports, and its memory."""
    flow, linears = network(case), members(case)
    values, bits = rows.engine(flow), rows.widths(flow)
    wave, count = case.batch.bit_length(), len(linears)
    yield "module top (\n    input logic clk,\n    input logic rst,"
    yield ",\n".join(port for block in linears for port in _ports(block))
    yield ");"
    single = ("request", "grant", "selected", "valid", "room", "done")
    yield f"  logic [{count - 1}:0] {', '.join(f'rows_{wire}' for wire in (*single, 'whole'))};"
    yield f"  logic [{count * bits['LAYER_BITS'] - 1}:0] rows_layer;"
    yield f"  logic [{count * wave - 1}:0] rows_tokens;"
    yield f"  logic [{bits['SCAN_BITS'] - 1}:0] rows_beat;"
    yield f"  logic [{count * case.lanes * case.batch * values['X_BITS'] - 1}:0] rows_x;"
    yield f"  logic [{case.lanes * values['SUM_BITS'] - 1}:0] rows_sum_q;"
    yield f"  logic [{bits['SHIFT_BITS'] - 1}:0] rows_shift_q;"
    yield f"  wire [{wave - 1}:0] ring_wave = {wave}'d{case.batch};"
    yield "  wire ring_closed = 1'b1;"
    yield f"  logic [{bits['BEAT_BITS'] - 1}:0] run_first;"
    yield f"  logic [{bits['LENGTH_BITS'] - 1}:0] run_beats;"
    yield f"  logic [{BUS - 1}:0] data;"
    yield "  logic run_valid, run_ready, data_valid, data_ready;"
    given = {name: str(value) for name, value in values.items()}
    given |= {name: f'"{name}.hex"' for name in rows.images(flow)}
    joined = [f".{wire}(rows_{wire})" for wire in (*single, "layer", "tokens", "beat", "x", "sum_q", "shift_q")]
    asked = ("run_first", "run_beats", "run_valid", "run_ready", "data", "data_valid", "data_ready")
    yield f"  {NAME} #({', '.join(f'.{name}({value})' for name, value in given.items())}) u_engine ("
    yield f"      .clk, .rst, {', '.join([*joined, *(f'.{name}' for name in asked)])}, .busy());"
    for block in linears:
        yield from instance(block, rows.linear_ports(flow, block))
    # The memory brings a run's beats, every third cycle none.
    yield f"  logic [{BUS - 1}:0] image[{Layout(flow).size * 8 // BUS}];"
    yield '  initial $readmemh("image.hex", image);'
    yield f"  logic [{bits['BEAT_BITS'] - 1}:0] at_q;"
    yield f"  logic [{bits['LENGTH_BITS'] - 1}:0] left_q;"
    yield "  logic [1:0] pace_q;"
    yield "  assign run_ready = left_q == '0;"
    yield "  assign data_valid = left_q != '0 && pace_q != 2'd2;"
    yield "  assign data = image[at_q];"
    yield "  always_ff @(posedge clk) begin"
    yield "    pace_q <= rst || pace_q == 2'd2 ? 2'd0 : pace_q + 2'd1;"
    yield "    if (rst) left_q <= '0;"
    yield "    else if (run_ready && run_valid) left_q <= run_beats;"
    yield "    else if (data_valid && data_ready) left_q <= left_q - 1'b1;"
    yield "    if (run_ready) at_q <= run_first;"
    yield "    else if (data_valid && data_ready) at_q <= at_q + 1'b1;"
    yield "  end"
    yield "endmodule"


def _ports(block: Block) -> Iterator[str]:
    """With the layer in ``tuser``."""
    return ports(replace(block, contexts=block.states))


def design(case: Case) -> Design:
    flow = network(case)
    sources = {"top.sv": "\n".join(top(case)) + "\n"}
    sources |= {path.name: path.read_text() for path in files(NAME, "row_linear")}
    image = Layout(flow).image.view(f"<u{BUS // 8}").tolist()
    memories = {f"{name}.hex": content.hex() for name, content in rows.images(flow).items()}
    return Design("top", sources, {**memories, "image.hex": "".join(f"{word:08x}\n" for word in image)}, {})


def play(case: Case) -> Play:
    """Waves of random layers, of which half the inputs are 0; all runs but ``timing``."""
    streams = []
    for number, block in enumerate(members(case)):
        op = block.operation
        assert isinstance(op, Linear)
        rng = np.random.default_rng(number)
        tokens = WAVES * case.batch
        given = sequences(op, [tokens], seed=number)[0] * rng.integers(0, 2, (tokens, op.n_in))
        layer = np.repeat(rng.integers(0, block.layers, WAVES), case.batch)
        weights = [block.of_layer(n).params["weight"] for n in range(block.layers)]
        want = np.concatenate([op(x[None, None], weight=weights[n])[0] for x, n in zip(given, layer, strict=True)])
        marks = layer << 1 | rng.integers(0, 2, tokens)
        user = 1 + (block.states - 1).bit_length()
        for port, values, fmt, shares in (
            (block.inputs[0], given, op.x, [idle for idle, _ in RUNS.values()]),
            (block.outputs[0], want, op.out, [refused for _, refused in RUNS.values()]),
        ):
            width, words = fmt.bits * case.lanes, []
            for token, mark in zip(beats(values, case.lanes, fmt), marks.tolist(), strict=True):
                words += [word | mark << width + 1 for word in token]
                words[-1] |= 1 << width
            streams.append(Stream(port, width, user, words, pauses((f"{port} {share}", share) for share in shares)))
    return Play(streams, len(RUNS) - 1)
