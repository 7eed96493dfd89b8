"""Weights in a memory outside, in the top: the engine that reads rows, the read master, and their users' wires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Dataflow, Rows
from spikegpt_hls.hls.fold.rows import shifts, tiling
from spikegpt_hls.hls.memory import Layout
from spikegpt_hls.hls.rtl.image import Image, pack
from spikegpt_hls.quant.ops import Linear

ENGINE = "row_engine"
MODULES = (ENGINE, "read_master", "read_ports", "row_linear", "row_embedding")
ADDRESS_BITS = 32
BURST = 16  # beats: what an AXI3 port takes
STEPS = 16
#: Of each member: bits, or what stands here.
_ONE = ("request", "grant", "selected", "valid", "room", "done")


def of(dataflow: Dataflow) -> Rows | None:
    """What they have in common, where weights lie outside."""
    return dataflow.ring.rows if dataflow.ring else None


def widths(dataflow: Dataflow) -> dict[str, int]:
    """The integer parameters that say how wide numbers are."""
    rows, layout = of(dataflow), Layout(dataflow)
    assert rows is not None
    tilings = [tiling(block) for block in layout.members]
    longest = max(*(tiles.words for tiles in tilings), layout.row_beats)
    return {
        **_members(rows),
        "WORD_BITS": max(1, (rows.words - 1).bit_length()),
        "TILE_BITS": max(1, (max(tiles.tiles for tiles in tilings) - 1).bit_length()),
        "BEAT_BITS": layout.beat_bits,
        "LENGTH_BITS": longest.bit_length(),
    }


def _members(rows: Rows) -> dict[str, int]:
    """The widths of what a member and the engine say to each other."""
    return {
        "SCAN_BITS": max(1, (rows.beats - 1).bit_length()),
        "SHIFT_BITS": max(1, rows.shift.bit_length()),
        "LAYER_BITS": max(1, (rows.layers - 1).bit_length()),
    }


def linear(block: Block) -> dict[str, int]:
    """Of ``row_linear.sv``, beside what the operation says."""
    rows, tiles = block.rows, tiling(block)
    assert rows is not None
    sends = rows.pe // block.lanes
    return {
        "BATCH": rows.batch,
        "TILES": tiles.tiles,
        "TILE_BEATS": tiles.words * sends,
        "LAST_BEATS": tiles.last * sends,
        "BUS_BITS": rows.x_bits,
        "SUM_BITS": rows.sum_bits,
        **_members(rows),
    }


def engine(dataflow: Dataflow) -> dict[str, int]:
    """Of ``row_engine.sv``."""
    rows = of(dataflow)
    assert rows is not None
    return {
        "MEMBERS": rows.members,
        "LANES": dataflow.blocks[0].lanes,
        "BATCH": rows.batch,
        "PE": rows.pe,
        "X_BITS": rows.x_bits,
        "WEIGHT_BITS": rows.weight_bits,
        "SUM_BITS": rows.sum_bits,
        "STEPS": STEPS,
        **widths(dataflow),
    }


def ports(dataflow: Dataflow) -> dict[str, int]:
    """Of ``read_ports.sv``."""
    bits = widths(dataflow)
    return {name: bits[name] for name in ("BEAT_BITS", "LENGTH_BITS")}


def master(dataflow: Dataflow) -> dict[str, int]:
    """Of ``read_master.sv``."""
    rows = of(dataflow)
    assert rows is not None
    return {"ADDRESS_BITS": ADDRESS_BITS, "DATA_BITS": rows.bus, **ports(dataflow), "BURST": BURST}


def modules(dataflow: Dataflow) -> dict[str, tuple[str, dict[str, int]]]:
    """What the top has for a memory outside beside its blocks, by the name that a report gives it."""
    if of(dataflow) is None:
        return {}
    found = {ENGINE: engine(dataflow), "read_master": master(dataflow), "read_ports": ports(dataflow)}
    return {name: (name, values) for name, values in found.items()}


def beside(dataflow: Dataflow, block: Block) -> dict[str, int]:
    """Parameters of a block that depend on what lies in the memory in front of it."""
    return embedding(dataflow) if block.rows and block.kind == "BinaryEmbedding" else {}


def _values(parameters: Mapping[str, int]) -> str:
    return ", ".join(f".{name}({value})" for name, value in parameters.items())


def images(dataflow: Dataflow) -> dict[str, Image]:
    """Of ``row_engine.sv``: what it knows of its members."""
    if of(dataflow) is None:
        return {}
    bits, layout = widths(dataflow), Layout(dataflow)
    word, tile, scan = bits["WORD_BITS"], bits["TILE_BITS"], bits["SCAN_BITS"]
    table, base = [], []
    for block in layout.members:
        tiles = tiling(block)
        entry = int(not block.events)
        for value, width in ((tiles.last, word), (tiles.words, word), (tiles.tiles, tile), (block.beats_in, scan)):
            entry = entry << width | value - 1
        table.append([entry])
        places = [
            shifts(block)[number] << bits["BEAT_BITS"] | layout.first(block, number) for number in range(block.layers)
        ]
        base += [[place] for place in (*places, *[0] * ((1 << bits["LAYER_BITS"]) - len(places)))]
    return {
        "TABLE_FILE": pack(np.array(table), 1 + 2 * word + tile + scan),
        "BASE_FILE": pack(np.array(base), bits["SHIFT_BITS"] + bits["BEAT_BITS"]),
    }


def top_ports(dataflow: Dataflow) -> Iterator[str]:
    """The top's ports to the memory: an AXI4 read channel, its reset, its window, what went wrong, beats that came."""
    rows = of(dataflow)
    if rows is None:
        return
    yield "    input  logic memory_rst,"
    yield f"    input  logic [{ADDRESS_BITS - 1}:0] memory_base,"
    yield f"    input  logic [{widths(dataflow)['BEAT_BITS']}:0] memory_size,"
    yield "    output logic [3:0] memory_fault,"
    yield "    output logic [47:0] memory_beats,"
    for name, width, inward in channel(rows.bus):
        direction = "input " if inward else "output"
        yield f"    {direction} logic {f'[{width - 1}:0] ' if width > 1 else ''}m_axi_{name},"


def channel(bus: int) -> list[tuple[str, int, bool]]:
    """The signals of an AXI4 read channel of so many bits: name, bits, whether it is an input of the master."""
    return [
        ("arid", 1, False), ("araddr", ADDRESS_BITS, False), ("arlen", 8, False), ("arsize", 3, False),
        ("arburst", 2, False), ("arlock", 1, False), ("arcache", 4, False), ("arprot", 3, False),
        ("arvalid", 1, False), ("arready", 1, True), ("rid", 1, True), ("rdata", bus, True), ("rresp", 2, True),
        ("rlast", 1, True), ("rvalid", 1, True), ("rready", 1, False),
    ]  # fmt: skip


def instance(dataflow: Dataflow, busy: str, image_path: dict[str, str]) -> Iterator[str]:
    """The lines that declare the wires, and instantiate the engine and the read master."""
    rows = of(dataflow)
    if rows is None:
        return
    bits, count, lanes = widths(dataflow), rows.members, dataflow.blocks[0].lanes
    wave = rows.batch.bit_length()
    beat, length = bits["BEAT_BITS"], bits["LENGTH_BITS"]
    ring, head = dataflow.ring, dataflow.driver[dataflow.sink]
    assert ring is not None
    yield f"  logic [{count - 1}:0] {', '.join(f'rows_{wire}' for wire in (*_ONE, 'whole'))};"
    yield f"  logic [{count * bits['LAYER_BITS'] - 1}:0] rows_layer;"
    yield f"  logic [{count * wave - 1}:0] rows_tokens;"
    yield f"  logic [{bits['SCAN_BITS'] - 1}:0] rows_beat;"
    yield f"  logic [{count * lanes * rows.batch * rows.x_bits - 1}:0] rows_x;"
    yield f"  logic [{lanes * rows.sum_bits - 1}:0] rows_sum_q;"
    yield f"  logic [{bits['SHIFT_BITS'] - 1}:0] rows_shift_q;"
    yield f"  logic [{wave - 1}:0] ring_wave;"
    yield "  logic ring_closed, ring_coming, memory_valid, memory_ready, unused_whole;"
    yield "  assign unused_whole = ^rows_whole;"
    yield f"  logic [{2 * beat - 1}:0] asked_first;"
    yield f"  logic [{2 * length - 1}:0] asked_beats;"
    yield "  logic [1:0] asked_valid, asked_taken, come_valid, come_ready;"
    yield f"  logic [{beat - 1}:0] run_first;"
    yield f"  logic [{length - 1}:0] run_beats;"
    yield "  logic run_valid, run_ready;"
    yield f"  logic [{rows.bus - 1}:0] memory_data;"
    given = {name: str(value) for name, value in engine(dataflow).items()}
    given |= {name: f'"{path}"' for name, path in image_path.items()}
    yield f"  {ENGINE} #("
    yield ",\n".join(f"      .{name}({value})" for name, value in given.items())
    yield f"  ) u_{ENGINE} ("
    wires = [f"      .{name}(rows_{name})" for name in (*_ONE, "layer", "tokens", "beat", "x", "sum_q", "shift_q")]
    wires += [
        f"      .run_first(asked_first[0+:{beat}])", f"      .run_beats(asked_beats[0+:{length}])",
        "      .run_valid(asked_valid[0])", "      .run_ready(asked_taken[0])", "      .data(memory_data)",
        "      .data_valid(come_valid[0])", "      .data_ready(come_ready[0])", f"      .busy({busy})",
    ]  # fmt: skip
    yield ",\n".join(["      .clk", "      .rst", *wires])
    yield "  );"
    yield f"  read_ports #({_values(ports(dataflow))}) u_read_ports ("
    yield "      .clk, .rst, .first(asked_first), .beats(asked_beats), .asks(asked_valid), .taken(asked_taken),"
    yield "      .valid(come_valid), .ready(come_ready), .run_first, .run_beats, .run_valid, .run_ready,"
    yield "      .data_valid(memory_valid), .data_ready(memory_ready));"
    yield f"  read_master #({_values(master(dataflow))}) u_read_master ("
    yield "      .clk, .rst, .memory_rst, .base(memory_base), .size(memory_size),"
    yield "      .run_first, .run_beats, .run_valid, .run_ready,"
    yield "      .data(memory_data), .valid(memory_valid), .ready(memory_ready), .fault(memory_fault),"
    named = ("araddr", "arlen", "arvalid", "arready", "rdata", "rresp", "rid", "rlast", "rvalid", "rready")
    yield f"      {', '.join(f'.m_axi_{name}' for name in named)});"
    size = (rows.bus // 8).bit_length() - 1
    constants = {"arid": "1'b0", "arsize": f"3'd{size}", "arburst": "2'b01", "arlock": "1'b0", "arcache": "4'b0011",
                 "arprot": "3'b000"}  # fmt: skip
    yield from (f"  assign m_axi_{name} = {value};" for name, value in constants.items())
    yield "  always_ff @(posedge clk) memory_beats <= rst ? '0 : memory_beats + 48'(m_axi_rvalid && m_axi_rready);"
    number = [block.name for block in Layout(dataflow).members].index(head.name)
    yield f"  wire ring_taken = rows_whole[{number}];"


def linear_ports(dataflow: Dataflow, block: Block) -> list[str]:
    """The lines that connect a member with the engine."""
    rows, bits = of(dataflow), widths(dataflow)
    assert rows is not None
    number = [member.name for member in Layout(dataflow).members].index(block.name)
    wave, layer, x = rows.batch.bit_length(), bits["LAYER_BITS"], block.lanes * rows.batch * rows.x_bits
    own = [f"      .{wire}(rows_{wire}[{number}])" for wire in (*_ONE, "whole")]
    return [
        *own, f"      .layer(rows_layer[{number * layer}+:{layer}])",
        f"      .tokens(rows_tokens[{number * wave}+:{wave}])",
        f"      .x(rows_x[{number * x}+:{x}])", "      .beat(rows_beat)", "      .sum_q(rows_sum_q)",
        "      .shift_q(rows_shift_q)", "      .wave(ring_wave)", "      .closed(ring_closed)",
    ]  # fmt: skip


def embedding(dataflow: Dataflow) -> dict[str, int]:
    """Of ``row_embedding.sv``, beside what the operation says."""
    rows, bits, layout = of(dataflow), widths(dataflow), Layout(dataflow)
    assert rows is not None
    return {
        "DATA_BITS": rows.bus, "BEAT_BITS": bits["BEAT_BITS"], "LENGTH_BITS": bits["LENGTH_BITS"],
        "FIRST": layout.first(layout.embedding), "ROW_BEATS": layout.row_beats,
    }  # fmt: skip


def embedding_ports(dataflow: Dataflow) -> list[str]:
    bits = widths(dataflow)
    beat, length = bits["BEAT_BITS"], bits["LENGTH_BITS"]
    return [
        f"      .run_first(asked_first[{beat}+:{beat}])", f"      .run_beats(asked_beats[{length}+:{length}])",
        "      .coming(ring_coming)",
        "      .run_valid(asked_valid[1])", "      .run_ready(asked_taken[1])", "      .data(memory_data)",
        "      .data_valid(come_valid[1])", "      .data_ready(come_ready[1])",
    ]  # fmt: skip


def is_linear(block: Block) -> bool:
    return block.rows is not None and isinstance(block.operation, Linear)


def testbench(dataflow: Dataflow) -> Iterator[str]:
    """The lines of a testbench that put a memory at the top's port."""
    rows = of(dataflow)
    if rows is None:
        return
    beat, size = widths(dataflow)["BEAT_BITS"], Layout(dataflow).size
    yield "  wire memory_rst = rst;"
    yield f"  logic [{ADDRESS_BITS - 1}:0] memory_base = 32'h4000_0000;"
    yield f"  logic [{beat}:0] memory_size = {beat + 1}'d{size * 8 // rows.bus};"
    for name, width, _ in channel(rows.bus):
        yield f"  logic {f'[{width - 1}:0] ' if width > 1 else ''}m_axi_{name};"
    yield f"  memory #(.DATA_BITS({rows.bus}), .WORDS({size * 8 // rows.bus})) u_memory (.base(memory_base), .*);"
