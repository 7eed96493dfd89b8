"""The runs of a block's bench without cocotb: the same streams, stalls and verdicts, at the speed of C++.

The stalls come from the generators of ``bench.py``; what a run compares is what that compares: every beat with its
markers, and in the run ``timing`` the cycle of every transfer.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from spikegpt_hls.rtl_tests import bench, simulator
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.rtl_tests.proofs.cases import Case

#: The runs of ``bench.py``: shares of idle sources and of a blocked sink. ``timing`` is judged by its cycles.
RUNS = {
    "flowing": (0.0, 0.0),
    "stalled": (0.4, 0.4),
    "starved": (0.8, 0.0),
    "blocked": (0.0, 0.8),
    "timing": (0.0, 0.0),
}
PATTERN = 400 * len(bench.READY)  # cycles after which a pattern of stalls begins again: longer than most runs


def _hex(path: Path, words: Sequence[int], least: int = 1) -> None:
    path.write_text("".join(f"{word:x}\n" for word in [*words, *[0] * (least - len(words))]))


def stimuli(case: Case, folder: Path, design: str, select: int = 1) -> str:
    """Write the memories of the runs of ``case``; give the module ``replay`` that plays them to ``design``: a module,
    and its parameters. ``select`` bits of ``mutsel`` go to it where there are several."""
    op, block = case.block.operation, case.block
    assert op is not None
    order = interleave(case.lengths, block.contexts)
    user, marks = 1 + (block.contexts - 1).bit_length(), order.tuser.tolist()
    schedule = bench.transfers(block, sum(case.lengths))
    pieces, pins, moves = [], [".clk(clk)", ".rst(rst)", *([".mutsel(mutsel)"] if select > 1 else [])], []

    def stalls(name: str, seed: int, shares: Sequence[float]) -> None:
        rows = [
            list(islice(bench.bursts(random.Random(seed), share), PATTERN)) if share else [False] * PATTERN
            for share in shares
        ]
        if name == "m":
            rows[-1] = [not ready for ready in islice(cycle(bench.READY), PATTERN)]
        _hex(
            folder / f"pause_{name}.hex", [sum(int(row[n]) << r for r, row in enumerate(rows)) for n in range(PATTERN)]
        )

    for number, (name, values) in enumerate(zip(op.streams, case.streams, strict=True)):
        fmt = op.stream_format(name)
        tokens = [list(token) for token in bench.beats(values[order.row], block.lanes, fmt)]
        width = fmt.bits * (1 if name == "ids" else block.lanes)
        words = [
            word | (beat == len(token) - 1) << width | mark << width + 1
            for token, mark in zip(tokens, marks, strict=True)
            for beat, word in enumerate(token)
        ]
        _hex(folder / f"data_{name}.hex", words)
        _hex(folder / f"at_{name}.hex", schedule[f"at_{name}"].tolist())
        _hex(folder / f"moves_{name}.hex", schedule[f"t_{name}"].tolist())
        stalls(name, 1 + number, [idle for idle, _ in RUNS.values()])
        even, odd = bench.disturbance(width)
        pieces.append(
            _SOURCE.format(
                name=name, beats=len(words), width=width, user=user, pattern=PATTERN, timing=len(RUNS) - 1,
                even=f"{width}'h{even:x}", odd=f"{width}'h{odd:x}",
            )
        )  # fmt: skip
        pins += [f".s_axis_{name}_{part}({name}_{part})" for part in ("tdata", "tvalid", "tready", "tlast", "tuser")]
        moves.append(f"{name}_failed")
    want = bench.expected(op, case.streams, case.lengths, block.params)[order.row]
    width = block.lanes * op.out.bits
    words = [
        word | (beat == len(token) - 1) << width | mark << width + 1
        for token, mark in zip(map(list, bench.beats(want, block.lanes, op.out)), marks, strict=True)
        for beat, word in enumerate(token)
    ]
    _hex(folder / "data_m.hex", words)
    _hex(folder / "moves_m.hex", schedule["t_m_axis"].tolist())
    stalls("m", 0, [backpressure for _, backpressure in RUNS.values()])
    return _REPLAY.format(
        select=select - 1, beats=len(words), width=width, user=user, pattern=PATTERN, timing=len(RUNS) - 1,
        blocked=bench.BLOCKED, refusing=list(RUNS).index("blocked"), design=design,
        sources="".join(pieces), pins=", ".join(pins), moves=" || ".join(moves),
    )  # fmt: skip


_SOURCE = """
  logic [{width}+{user}:0] {name}_words[{beats}];
  logic [31:0] {name}_at[{beats}], {name}_moves[{beats}];
  logic [4:0] {name}_pause[{pattern}];
  initial begin
    $readmemh("data_{name}.hex", {name}_words);
    $readmemh("at_{name}.hex", {name}_at);
    $readmemh("moves_{name}.hex", {name}_moves);
    $readmemh("pause_{name}.hex", {name}_pause);
  end
  logic [31:0] {name}_beat;
  logic {name}_tvalid, {name}_tready, {name}_tlast, {name}_end, {name}_failed, {name}_held;
  logic [{user}-1:0] {name}_tuser, {name}_mark;
  logic [{width}-1:0] {name}_tdata;
  logic [{width}-1:0] {name}_word;
  assign {{{name}_mark, {name}_end, {name}_word}} = {name}_words[{name}_beat < {beats} ? {name}_beat : 0];
  assign {name}_tdata = early ? (cycle[0] ? {odd} : {even}) : {name}_word;
  assign {name}_tlast = timed || early ? 1'b0 : {name}_end;
  assign {name}_tuser = early ? 1 : timed ? 0 : {name}_mark;
  assign {name}_tvalid = early || !rst && {name}_beat < {beats}
      && ({name}_held || (timed ? cycle >= {name}_at[{name}_beat] : !{name}_pause[cycle % {pattern}][run]));
  assign {name}_failed = timed && {name}_tvalid && {name}_tready && {name}_moves[{name}_beat] != cycle;
  always_ff @(posedge clk) begin
    {name}_held <= !rst && !early && {name}_tvalid && !{name}_tready;
    if (rst || early) {name}_beat <= 0;
    else if ({name}_tvalid && {name}_tready) {name}_beat <= {name}_beat + 1;
  end
"""

_REPLAY = """
module replay (input logic clk, input logic rst, input logic early, input logic [{select}:0] mutsel,
               input logic [2:0] run, output logic failed, output logic done);
  logic [31:0] cycle;
  wire timed = run == {timing};
  always_ff @(posedge clk) cycle <= rst ? 0 : cycle + 1;
{sources}
  logic [{width}+{user}:0] words[{beats}];
  logic [31:0] moves[{beats}];
  logic [4:0] pause[{pattern}];
  initial begin
    $readmemh("data_m.hex", words);
    $readmemh("moves_m.hex", moves);
    $readmemh("pause_m.hex", pause);
  end
  logic [31:0] beat;
  logic m_axis_tvalid, m_axis_tready, m_axis_tlast;
  logic [{user}-1:0] m_axis_tuser;
  logic [{width}-1:0] m_axis_tdata;
  assign m_axis_tready = early ? run != {refusing} && cycle >= {blocked} : !rst && !pause[cycle % {pattern}][run];
  wire leave = m_axis_tvalid && m_axis_tready;
  wire wrong = leave && (timed ? beat >= {beats} || moves[beat] != cycle
                               : beat < {beats} && words[beat] != {{m_axis_tuser, m_axis_tlast, m_axis_tdata}});
  logic [3:0] quiet;
  always_ff @(posedge clk) begin
    if (rst || early) begin
      beat <= 0;
      failed <= 1'b0;
      quiet <= 0;
    end else begin
      if (leave) beat <= beat + 1;
      if (wrong || {moves}) failed <= 1'b1;
      if (beat >= {beats} && quiet != 8) quiet <= quiet + 1;
    end
  end
  assign done = !rst && !early && beat >= {beats} && (!timed || quiet == 8);
  {design} u_design ({pins}, .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser));
endmodule
"""


def build(folder: Path, files: Sequence[str], *coverage: str) -> None:
    """Compile ``replay.sv`` and the design's files, all in ``folder``; ``coverage`` are Verilator's options for it."""
    shutil.copy(Path(__file__).parent / "replay.cpp", folder)
    made = folder / "obj_dir"
    made.mkdir(exist_ok=True)
    command = ["verilator", "--cc", "--exe", "--build", "-O3", "--x-initial", "0", "-Wno-fatal", "-Wno-lint",
               "-Wno-style", "--output-split", "0", "--top-module", "replay",
               *coverage, "replay.sv", *files, "replay.cpp"]  # fmt: skip
    store = folder.parent / (".runtime-coverage" if coverage else ".runtime")
    flags = simulator.MAKEFLAGS + simulator.UNOPTIMISED  # the compiler takes longer than all runs
    with simulator.tool_environment(flags), simulator.shared_runtime(made, store):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise simulator.ToolError(f"the replay in {folder} could not be built: {done.stderr[-500:]}")


def runs(case: Case) -> int:
    """How many of RUNS the bench makes of a case."""
    return 1 if case.test == "flowing" else len(RUNS)


def judge(folder: Path, first: int, last: int, runs: int, limit: int) -> list[list[int]]:
    """Of each mutant: its number, the first run that fails or -1, and that one's cycle or the longest run's."""
    command = [str(folder / "obj_dir" / "Vreplay"), *map(str, (first, last, runs, limit))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
