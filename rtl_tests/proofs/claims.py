"""What is proved of each block and cell, at the smallest shape that has all of its control, and a mutant of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.blocks import SOURCES, files, images, module, parameters, single, sources
from spikegpt_hls.hls.rtl.timing import timing
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.operation.schema import Formats, domains
from spikegpt_hls.quant.ops import (
    BIT,
    LIF,
    NAMES,
    OPERATIONS,
    WKV,
    BinaryEmbedding,
    Gate,
    LayerNorm,
    Linear,
    Operation,
    Residual,
    Sigmoid,
    SquaredReLU,
    TokenShift,
)  # fmt: skip
from spikegpt_hls.rtl_tests.bench import random_params
from spikegpt_hls.rtl_tests.proofs.formal import Claim, Port, Rules

Edits = Mapping[str, tuple[str, str]]  # of a source file: old text and new


@dataclass(frozen=True)
class Case:
    """A claim, the files it is about, the edits that it must reject, and the depth of a search that is bounded."""

    claim: Claim | Rules
    files: tuple[Path, ...]
    mutant: Edits
    depth: int | None = None


def _block(
    op: Operation,
    lanes: int,
    mutant: Edits,
    reuse_factor: int = 1,
    depth: int | None = None,
    contexts: int = 1,
    events: bool = False,
    **others: int,
) -> Case:
    block: Block = single(op, lanes, random_params(op, seed=1), reuse_factor, contexts=contexts, events=events)
    memory = images(block)
    inputs = tuple(
        Port(name, lanes * fmt.bits if name != "ids" else fmt.bits, block.beats_in)
        for name, fmt in ((name, op.stream_format(name)) for name in op.streams)
    )
    values: dict[str, int | str] = {**parameters(block), **{name: f"{name}.hex" for name in memory}, **others}
    return Case(
        Claim(
            module(block), values, inputs, Port("m", lanes * op.out.bits, block.beats_out), _capacity(block),
            _patience(block), whole=block.kind in ("BinaryEmbedding", "LayerNorm", "Linear"),
            contexts=contexts, cut=("u_results.out",) if events else Claim.cut,
            images={f"{name}.hex": image.hex() for name, image in memory.items()},
        ),
        tuple(files(module(block))),
        mutant,
        depth,
    )  # fmt: skip


def _plain(cls: type[Operation]) -> Case:
    """Of a block that keeps beats in its pipe alone, at two channels of two bits, other integers at their least."""
    values: dict[str, Any] = {
        name: SMALL if isinstance(domain, Formats) else 2 if name in cls.axes else domain.least
        for name, domain in domains(cls).items()
    }
    return _block(cls(**values), 1, _CREDIT)


def _capacity(block: Block) -> tuple[int, ...]:
    """Output beats that a block may owe for each of its inputs: two tokens where it keeps two, and its credits."""
    # of one driven by events: its banks, as its result words are credits
    tokens = {"BinaryEmbedding": 2, "LayerNorm": 2, "Linear": timing(block).banks if block.events else 4}
    kept = tokens.get(block.kind, 0) * block.beats_out
    return tuple(kept + timing(block).credits + depth for depth in (block.fifo_depths or (0,)))


def _patience(block: Block) -> int:
    """Cycles from what a block waits for to what it gives: latency, the state's loop, statistics, a token's steps."""
    times = timing(block)
    steps = block.folding.steps + times.result if block.kind == "Linear" else 0
    return max(times.latency, times.loop) + times.stats + steps + block.beats_in + block.beats_out + 2


def _cell(module: str, files: tuple[str, ...], mutant: Edits, beats: int = 2, **values: int) -> Case:
    depth = values.get("DEPTH", values.get("CREDITS", 2))
    claim = Claim(
        module, values, (Port("x", values.get("BITS", 1), beats),), Port("m", values.get("BITS", 1), beats),
        (depth,), values.get("LATENCY", 0) + values.get("LOOP", 0) + 2, carries=True, cut=(),
    )  # fmt: skip
    return Case(claim, tuple(SOURCES / f"{name}.sv" for name in files), mutant)


def _join() -> Case:
    inputs = Port("a", 1, 2), Port("b", 1, 2)
    claim = Claim("join_cell", {"A_DEPTH": 2, "B_DEPTH": 3}, inputs, Port("m", 2, 2), (5, 6), 4, carries=True, cut=())
    files = tuple(SOURCES / f"{name}.sv" for name in ("stream_join", "stream_pipe", "fifo", "delay"))
    return Case(claim, files, {"stream_join": (".m_ready(ready && b_valid)", ".m_ready(ready)")})


def _fork() -> Case:
    claim = Claim(
        "stream_fork", {"WIDTH": 1, "OUTPUTS": 2}, (Port("x", 1, 2),), Port("m", 1, 2), (2,), 2,
        carries=True, copies=2, cut=(),
    )  # fmt: skip
    files = tuple(sources("Fork"))
    return Case(claim, files, {"stream_fork": ("assign s_axis_x_tready = &place", "assign s_axis_x_tready = |place")})


def _ring() -> Case:
    """Tokens of two beats, two of them inside, through two layers; the blocks of a layer hold one token."""
    claim = Claim(
        "ring_cell", {}, (Port("x", 1, 2),), Port("m", 1, 2), (6,), 24, carries=True, cut=(),
    )  # fmt: skip
    mutant = {"ring": ("inside_q ? round_q : round_valid", "round_valid")}
    return Case(claim, tuple(SOURCES / f"{name}.sv" for name in ("ring", "beat_counter", *_PIPE)), mutant, depth=18)


def _engine(rival: bool, mutant: Edits, depth: int) -> Case:
    """Table: last beat 2, 3 steps a word, weights from step 0 and 6 on. How long it may wait is not claimed."""
    images = {"WEIGHT_FILE.hex": "5\n" * 12, "TABLE_FILE.hex": f"{3 << 2 | 2:02x}\n{6 << 4 | 3 << 2 | 2:02x}\n"}
    claim = Claim(
        "engine_cell", {"RIVAL": int(rival), **{name.removesuffix(".hex"): name for name in images}},
        (Port("x", 1, 3),), Port("m", 1, 4), (16,), 0, whole=True, timely=False, cut=("u_member.u_results.out",),
        images=images,
    )  # fmt: skip
    return Case(claim, tuple(files("shared_linear", "engine")), mutant, depth)


def _read_master(good: bool, mutant: Edits, depth: int) -> Case:
    """A memory that may do anything, or one that keeps AXI's rules, whose bytes are right at the other end."""
    inputs = {
        "run_first": 12, "run_beats": 2, "run_valid": 1, "ready": 1, "arready": 1, "rvalid": 1, "rdata": 8, "rresp": 2,
        "rid": 1, "rlast": 1, "choose": 1, "pick": 2, "restart": 1,
    }  # fmt: skip
    claim = Rules("read_master_rules", {"GOOD": int(good)}, inputs, {"base": 14, "size": 13})
    return Case(claim, tuple(SOURCES / f"{name}.sv" for name in ("read_master", "fifo")), mutant, depth)


def _row_reader(mutant: Edits) -> Case:
    """A member's table: dense, beats of a row in the last tile and in others, tiles, beats of input; then its bases."""
    images = {"TABLE_FILE.hex": "07\n10\n", "BASE_FILE.hex": "01\n2d\n19\n3b\n"}
    inputs = {"request": 2, "layer": 2, "tokens": 2, "run_ready": 1, "step_ready": 1, "job_ready": 1}
    claim = Rules(
        "row_reader_rules", {name.removesuffix(".hex"): name for name in images}, inputs, {"content": 4, "dense": 2},
        images=images,
    )  # fmt: skip
    return Case(claim, (SOURCES / "row_reader.sv",), mutant)


BYTE, SMALL = Format(2, 0), Format(2, 1)
_JOIN = {"stream_join": (".m_ready(ready && b_valid)", ".m_ready(ready)")}
_CREDIT = {"stream_pipe": ("reserved_q != CreditBits'(CREDITS)", "reserved_q != CreditBits'(CREDITS + 1)")}
_PIPE = ("stream_pipe", "fifo", "delay")

CASES = {
    "fifo": _cell("fifo_cell", _PIPE, {"fifo": ("count_q != CountBits'(DEPTH)", "1'b1")}, BITS=1, DEPTH=4),
    "fifo, depth not a power of two": _cell(
        "fifo_cell", _PIPE, {"fifo": ("(head_q == Last) ? '0 : head_q + 1'b1", "head_q + 1'b1")}, BITS=1, DEPTH=3
    ),
    "stream_pipe": _cell("pipe_cell", _PIPE, _CREDIT, LATENCY=2, CREDITS=4),
    "stream_pipe with an interlock": _cell(
        "pipe_cell", _PIPE, {"stream_pipe": ("flight_q < FlightBits'(BEATS)", "flight_q < FlightBits'(BEATS - 1)")},
        beats=1, LATENCY=3, CREDITS=5, BEATS=1, LOOP=3,
    ),
    "stream_join": _join(),
    "stream_fork": _fork(),
    "embedding": _block(BinaryEmbedding(BIT, 2, 3), 1, {"embedding": (".m_ready(ready && last)", ".m_ready(last)")}),
    "sigmoid": _block(Sigmoid(SMALL, 2, SMALL), 1, {"sigmoid": (".last  (s_axis_x_tlast)", ".last  (1'b1)")}),
    "squared_relu": _block(
        SquaredReLU(SMALL, 2, SMALL), 1,
        {"squared_relu": (".valid (s_axis_x_tvalid)", ".valid (s_axis_x_tvalid && m_axis_tready)")},
    ),
    "gate": _block(Gate(SMALL, 2, SMALL, SMALL), 1, _JOIN),
    "residual": _block(
        Residual(SMALL, 2, SMALL), 1, {"stream_join": (".m_ready(ready && a_valid)", ".m_ready(ready)")}
    ),
    "residual of numbers": _block(Residual(SMALL, 2, SMALL, Format(3, 2)), 1, _JOIN),
    "lif": _block(LIF.of(3, BYTE), 1, {"lif": (".user  (s_axis_x_tuser)", ".user  (!s_axis_x_tuser)")}),
    "lif, two contexts": _block(
        LIF.of(2, BYTE), 1, {"lif": (".user  (s_axis_x_tuser)", ".user  (s_axis_x_tuser & 1)")}, contexts=2
    ),
    "lif, one beat a token": _block(LIF.of(1, BYTE), 1, _CREDIT),
    "token_shift": _block(
        TokenShift(SMALL, 2, SMALL, Format(2, 0)), 1,
        {"token_shift": (".valid (s_axis_x_tvalid)", ".valid (s_axis_x_tvalid && index == '0)")},
    ),
    "wkv": _block(WKV(Format(2, 2), 2, BYTE, BYTE), 1, _JOIN, depth=30),  # a beat needs 22 cycles to leave
    "layernorm": _block(
        LayerNorm(SMALL, 2, SMALL, Format(2, 0), Format(2, 0)), 1,
        {"layernorm": ("assign s_axis_x_tready = full_q != 2'd2", "assign s_axis_x_tready = 1'b1")},
        depth=40,  # a token needs 32 cycles to leave
    ),
    "linear": _block(
        Linear(SMALL, 2, 2, SMALL, Format(2, 0)), 1,
        {"linear": ("full_q != 2'd0 && words_q != 2'd2", "full_q != 2'd0")},
        reuse_factor=4, depth=26,  # a token needs 17 cycles to leave
    ),
    "event_linear": _block(
        Linear(SMALL, 2, 2, BIT, Format(2, 0)), 1,
        {"event_linear": ("assign s_axis_x_tready = !full_q[BANK_BITS]", "assign s_axis_x_tready = 1'b1")},
        reuse_factor=4, depth=30, events=True, PLACES=2,  # a token needs 21 cycles to leave
    ),
    "ring": _ring(),
    "read_master": _read_master(False, {"read_master": ("asks = !outside && !dead_q", "asks = !dead_q")}, 10),
    "read_master before a good memory": _read_master(
        True, {"read_master": ("int'(page_left) < BURST", "int'(page_left) < BURST - 1")}, 10
    ),
    "row_reader": _row_reader({"row_reader": ("row_q + BEAT_BITS'(LANES) * row", "row_q + row")}),
    "engine": _engine(False, {"shared_linear": ("pending_q != 2'd0 && room", "pending_q != 2'd0")}, 32),
    "engine with a rival": _engine(True, {"engine": ("count - COUNT_BITS'(2)", "count - COUNT_BITS'(3)")}, 32),
}  # fmt: skip
CASES |= {NAMES[kind]: _plain(cls) for kind, cls in OPERATIONS.items() if NAMES[kind] not in CASES}
