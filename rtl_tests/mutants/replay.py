"""The runs of a bench without cocotb: the same streams, stalls and verdicts, at the speed of C++.

The stalls come from the generators of ``bench.py``; what a run compares is what that compares: every beat with its
markers, and in the run ``timing`` the cycle of every transfer.
"""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.host import builds
from spikegpt_hls.quant.format import Format, Ints
from spikegpt_hls.rtl_tests import bench, verilate
from spikegpt_hls.rtl_tests.contexts import Order, interleave
from spikegpt_hls.rtl_tests.mutants.cases import Case

#: The runs of ``bench.py``: shares of idle sources and of a blocked sink. ``timing`` is judged by its cycles.
RUNS = {
    "flowing": (0.0, 0.0),
    "stalled": (0.4, 0.4),
    "starved": (0.8, 0.0),
    "blocked": (0.0, 0.8),
    "timing": (0.0, 0.0),
}
PROGRAM = "replay"
PATTERN = 400 * len(bench.READY)  # cycles after which a pattern of stalls begins again: longer than most runs


@dataclass(frozen=True)
class Stream:
    """A port of a design, and what happens at it: words of data, ``tlast`` and ``tuser``; of each run the cycles in
    which it pauses, over and over; of the run ``timing`` those in which a beat is first shown and in which it moves."""

    port: str
    width: int  # of the data
    user: int
    words: Sequence[int]
    pauses: Sequence[Sequence[bool]]
    shown: Sequence[int] = ()
    moves: Sequence[int] = ()

    @property
    def is_source(self) -> bool:
        return self.port.startswith("s_axis")


@dataclass(frozen=True)
class Play:
    """What a bench does with a design in the first of so many ``runs``."""

    streams: Sequence[Stream]
    runs: int


def play(case: Case) -> Play:
    """The runs that ``bench.check`` makes of a case."""
    op, block = case.block.operation, case.block
    assert op is not None
    order = interleave(case.lengths, block.contexts)
    given = [values[order.row] for values in case.streams]  # events, by which a token's time may go, come in this order
    cycles = {name: times.tolist() for name, times in bench.transfers(block, sum(case.lengths), given).items()}
    streams = []
    for number, (name, values) in enumerate(zip(op.streams, case.streams, strict=True)):
        idle = pauses((1 + number, share) for share, _ in RUNS.values())
        words = packed(block, values, order, 1 if name == "ids" else block.lanes, op.stream_format(name))
        streams.append(Stream(f"s_axis_{name}", *words, idle, cycles[f"at_{name}"], cycles[f"t_{name}"]))
    refused = pauses((0, share) for _, share in RUNS.values())
    refused[-1] = [not ready for ready in islice(cycle(bench.READY), PATTERN)]
    want = bench.expected(op, case.streams, case.lengths, block.params)
    streams.append(Stream("m_axis", *packed(block, want, order, block.lanes, op.out), refused, (), cycles["t_m_axis"]))
    return Play(streams, 1 if case.test == "flowing" else len(RUNS))


def packed(block: Block, values: Ints, order: Order, lanes: int, fmt: Format) -> tuple[int, int, list[int]]:
    """The bits of data and markers, and the words of all beats, of (tokens, channels) integers in this order."""
    width, words = fmt.bits * lanes, []
    for token, mark in zip(bench.beats(values[order.row], lanes, fmt), order.tuser.tolist(), strict=True):
        words += [word | mark << width + 1 for word in token]
        words[-1] |= 1 << width
    return width, 1 + (block.contexts - 1).bit_length(), words


def pauses(drawn: Iterable[tuple[int | str, float]]) -> list[list[bool]]:
    """Of each run's seed and share."""
    return [
        list(islice(bench.bursts(random.Random(seed), share), PATTERN)) if share else [False] * PATTERN
        for seed, share in drawn
    ]


def stimuli(play: Play, folder: Path, design: str, select: int = 1) -> str:
    """Write the memories of a play; give the module ``replay`` that gives it to ``design``: a module, and its
    parameters. ``select`` bits of ``mutsel`` go to it where there are several."""
    pins, pieces = [".clk(clk)", ".rst(rst)", *([".mutsel(mutsel)"] if select > 1 else [])], []
    for stream in play.streams:
        name, rows = stream.port, list(zip(*stream.pauses, strict=True))
        _hex(folder / f"{name}_words.hex", stream.words)
        _hex(folder / f"{name}_shown.hex", stream.shown, len(stream.words))
        _hex(folder / f"{name}_moves.hex", stream.moves, len(stream.words))
        _hex(folder / f"{name}_pause.hex", [sum(int(paused) << run for run, paused in enumerate(row)) for row in rows])
        pins += [f".{name}_{part}({name}_{part})" for part in ("tdata", "tvalid", "tready", "tlast", "tuser")]
        sent = {"name": name, "beats": len(stream.words), "width": stream.width, "user": stream.user}
        even, odd = (f"{stream.width}'h{word:x}" for word in bench.disturbance(stream.width))
        pieces.append(_MEMORIES.format(pattern=PATTERN, **sent))
        if stream.is_source:
            pieces.append(_SOURCE.format(pattern=PATTERN, even=even, odd=odd, **sent))
        else:
            refusing = list(RUNS).index("blocked")
            pieces.append(_SINK.format(pattern=PATTERN, refusing=refusing, blocked=bench.BLOCKED, **sent))
    ends = [stream for stream in play.streams if not stream.is_source]
    return _REPLAY.format(
        select=select - 1, timing=len(RUNS) - 1, design=design, pins=", ".join(pins), pieces="".join(pieces),
        wrong=" || ".join(f"{stream.port}_wrong" for stream in play.streams),
        ended=" && ".join(f"{stream.port}_beat >= {len(stream.words)}" for stream in ends),
    )  # fmt: skip


def _hex(path: Path, words: Sequence[int], least: int = 1) -> None:
    path.write_text("".join(f"{word:x}\n" for word in [*words, *[0] * (least - len(words))]))


_MEMORIES = """
  logic [{width}+{user}:0] {name}_words[{beats}];
  logic [31:0] {name}_shown[{beats}], {name}_moves[{beats}], {name}_beat;
  logic [4:0] {name}_pause[{pattern}];
  initial begin
    $readmemh("{name}_words.hex", {name}_words);
    $readmemh("{name}_shown.hex", {name}_shown);
    $readmemh("{name}_moves.hex", {name}_moves);
    $readmemh("{name}_pause.hex", {name}_pause);
  end
  logic {name}_tvalid, {name}_tready, {name}_tlast, {name}_wrong;
  logic [{user}-1:0] {name}_tuser;
  logic [{width}-1:0] {name}_tdata;
  always_ff @(posedge clk) begin
    if (rst || early) {name}_beat <= 0;
    else if ({name}_tvalid && {name}_tready) {name}_beat <= {name}_beat + 1;
  end
"""

_SOURCE = """
  logic {name}_end, {name}_held;
  logic [{user}-1:0] {name}_mark;
  logic [{width}-1:0] {name}_word;
  assign {{{name}_mark, {name}_end, {name}_word}} = {name}_words[{name}_beat < {beats} ? {name}_beat : 0];
  assign {name}_tdata = early ? (cycle[0] ? {odd} : {even}) : {name}_word;
  assign {name}_tlast = timed || early ? 1'b0 : {name}_end;
  assign {name}_tuser = early ? 1 : timed ? 0 : {name}_mark;
  assign {name}_tvalid = early || !rst && {name}_beat < {beats}
      && ({name}_held || (timed ? cycle >= {name}_shown[{name}_beat] : !{name}_pause[cycle % {pattern}][run]));
  assign {name}_wrong = timed && {name}_tvalid && {name}_tready && {name}_moves[{name}_beat] != cycle;
  always_ff @(posedge clk) {name}_held <= !rst && !early && {name}_tvalid && !{name}_tready;
"""

_SINK = """
  assign {name}_tready = early ? run != {refusing} && cycle >= {blocked}
                               : !rst && !{name}_pause[cycle % {pattern}][run];
  assign {name}_wrong = {name}_tvalid && {name}_tready
      && (timed ? {name}_beat >= {beats} || {name}_moves[{name}_beat] != cycle
                : {name}_beat < {beats} && {name}_words[{name}_beat] != {{{name}_tuser, {name}_tlast, {name}_tdata}});
"""

_REPLAY = """
module replay (input logic clk, input logic rst, input logic early, input logic [{select}:0] mutsel,
               input logic [2:0] run, output logic failed, output logic done);
  logic [31:0] cycle;
  wire timed = run == {timing};
  always_ff @(posedge clk) cycle <= rst ? 0 : cycle + 1;
{pieces}
  wire ended = {ended};
  logic [3:0] quiet;
  always_ff @(posedge clk) begin
    if (rst || early) begin
      failed <= 1'b0;
      quiet <= 0;
    end else begin
      if ({wrong}) failed <= 1'b1;
      if (ended && quiet != 8) quiet <= quiet + 1;
    end
  end
  assign done = !rst && !early && ended && (!timed || quiet == 8);
  {design} u_design ({pins});
endmodule
"""


def build(folder: Path, files: Sequence[str], *coverage: str) -> None:
    """Compile ``replay.sv`` and the design's files, all in ``folder``; ``coverage`` are Verilator's options for it."""
    sources = [folder / "replay.sv", *(folder / name for name in files), Path(__file__).with_name("replay.cpp")]
    quiet = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--no-assert-case")  # a mutant's selects need not be one-hot
    options = ["-O3", "--x-initial", "0", *quiet, "--output-split", "0", *coverage]
    # Not optimised: the compiler takes longer than all runs.
    made = verilate.simulation(sources, "replay", folder / "build.log", options, prefix="Vreplay")
    builds.bring(made, folder / PROGRAM)


def judge(folder: Path, first: int, last: int, runs: int, limit: int) -> list[list[int]]:
    """Of each mutant: its number, the first run that fails or -1, and that one's cycle or the longest run's."""
    command = [str(folder / PROGRAM), *map(str, (first, last, runs, limit))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
