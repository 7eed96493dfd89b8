"""Mutation testing: the share of single-point mutants of a block that its bench notices.

    python -m spikegpt_hls.rtl_tests.proofs.mutate [BLOCK ...] [--mutants N] [--seed N] [--folder FOLDER]

Yosys draws the mutants (a cell's port bit inverted, constant, or taken from another bit) over all shapes that the bench
runs, and puts all of one shape into one design, where the input ``mutsel`` turns one of them on. ``replay.cpp`` plays the
runs of ``bench.py`` - the same streams, the same stalls, the same verdicts - against each. A mutant that no run notices
is compared with the design itself by ABC (induction over all input sequences): what is proved equivalent is no fault.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from spikegpt_hls.hls.dataflow import Block
from spikegpt_hls.hls.rtl.blocks import MODULES, images, parameters, sources
from spikegpt_hls.rtl_tests import bench, simulator
from spikegpt_hls.rtl_tests.contexts import interleave
from spikegpt_hls.rtl_tests.proofs import yosys
from spikegpt_hls.rtl_tests.proofs.cases import Case, cases
from spikegpt_hls.rtl_tests.proofs.formal import search

BLOCKS = ("lif", "token_shift", "wkv", "layernorm", "linear")
#: The runs of ``bench.py``: shares of idle sources and of a blocked sink. ``timing`` is judged by its cycles.
RUNS = {
    "flowing": (0.0, 0.0),
    "stalled": (0.4, 0.4),
    "starved": (0.8, 0.0),
    "blocked": (0.0, 0.8),
    "timing": (0.0, 0.0),
}
PATTERN = 4096  # cycles after which a pattern of stalls begins again
SELECT = 12  # bits of mutsel


def mutants(block: Block, number: int, seed: int, folder: Path) -> list[str]:
    """Write ``mutants.v``, the design with ``number`` mutants of it; give their descriptions, the first being mutant 1."""
    top, memory = MODULES[block.kind], images(block)
    for name, image in memory.items():
        (folder / f"{name}.hex").write_text(image.hex())
    values = {**parameters(block), **{name: f'"{folder / name}.hex"' for name in memory}}
    yosys.run(
        [
            *yosys.read(sources(block.kind), top, values, folder), f"prep -top {top} -flatten", "opt -full",
            f"mutate -list {number} -seed {seed} -ctrl mutsel {SELECT} 1 -o mutants.txt", "script mutants.txt",
            "opt_clean", "rename -top mutants", "write_verilog -noattr mutants.v",
        ], folder,
    )  # fmt: skip
    return (folder / "mutants.txt").read_text().splitlines()


def _hex(path: Path, words: Sequence[int], least: int = 1) -> None:
    path.write_text("".join(f"{word:x}\n" for word in [*words, *[0] * (least - len(words))]))


def stimuli(case: Case, folder: Path) -> str:
    """Write the memories of the runs of ``case``; give the module ``replay`` that plays them."""
    op, block = case.block.operation, case.block
    assert op is not None
    order = interleave(case.lengths, block.contexts)
    user, marks = 1 + (block.contexts - 1).bit_length(), order.tuser.tolist()
    schedule = bench.transfers(block, sum(case.lengths))
    pieces, pins, moves = [], [".clk(clk)", ".rst(rst)", ".mutsel(mutsel)"], []

    def stalls(name: str, seed: int, shares: Sequence[float]) -> None:
        rows = [
            list(islice(bench.bursts(random.Random(seed), share), PATTERN)) if share else [False] * PATTERN
            for share in shares
        ]
        if name == "m":
            rows[-1] = [not ready for ready in islice(_cycle(bench.READY), PATTERN)]
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
        pieces.append(
            _SOURCE.format(name=name, beats=len(words), width=width, user=user, pattern=PATTERN, timing=len(RUNS) - 1)
        )
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
        select=SELECT - 1, beats=len(words), width=width, user=user, pattern=PATTERN, timing=len(RUNS) - 1, top="mutants",
        sources="".join(pieces), pins=", ".join(pins), moves=" || ".join(moves),
    )  # fmt: skip


def _cycle(pattern: Sequence[bool]) -> Any:
    while True:
        yield from pattern


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
  assign {{{name}_mark, {name}_end, {name}_tdata}} = {name}_words[{name}_beat < {beats} ? {name}_beat : 0];
  assign {name}_tlast = timed ? 1'b0 : {name}_end;
  assign {name}_tuser = timed ? 0 : {name}_mark;
  assign {name}_tvalid = !rst && {name}_beat < {beats}
      && ({name}_held || (timed ? cycle >= {name}_at[{name}_beat] : !{name}_pause[cycle % {pattern}][run]));
  assign {name}_failed = timed && {name}_tvalid && {name}_tready && {name}_moves[{name}_beat] != cycle;
  always_ff @(posedge clk) begin
    {name}_held <= !rst && {name}_tvalid && !{name}_tready;
    if (rst) {name}_beat <= 0;
    else if ({name}_tvalid && {name}_tready) {name}_beat <= {name}_beat + 1;
  end
"""

_REPLAY = """
module replay (input logic clk, input logic rst, input logic [{select}:0] mutsel, input logic [2:0] run,
               output logic failed, output logic done);
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
  assign m_axis_tready = !rst && !pause[cycle % {pattern}][run];
  wire leave = m_axis_tvalid && m_axis_tready;
  wire wrong = leave && (timed ? beat >= {beats} || moves[beat] != cycle
                               : beat < {beats} && words[beat] != {{m_axis_tuser, m_axis_tlast, m_axis_tdata}});
  logic [3:0] quiet;
  always_ff @(posedge clk) begin
    if (rst) begin
      beat <= 0;
      failed <= 1'b0;
      quiet <= 0;
    end else begin
      if (leave) beat <= beat + 1;
      if (wrong || {moves}) failed <= 1'b1;
      if (beat >= {beats} && quiet != 8) quiet <= quiet + 1;
    end
  end
  assign done = !rst && beat >= {beats} && (!timed || quiet == 8);
  {top} u_mutants ({pins}, .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser));
endmodule
"""


def _compile(folder: Path) -> None:
    shutil.copy(Path(__file__).parent / "replay.cpp", folder)
    command = ["verilator", "--cc", "--exe", "--build", "-O3", "--x-initial", "0", "-Wno-fatal", "-Wno-lint", "-Wno-style",
               "-CFLAGS", "-O1", "--output-split", "0", "--top-module", "replay", "replay.sv", "mutants.v",
               "replay.cpp"]  # fmt: skip
    with simulator.tool_environment():
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise simulator.ToolError(f"the replay in {folder} could not be built: {done.stderr[-500:]}")


def _runs(case: Case) -> int:
    return 1 if case.test == "flowing" else len(RUNS)


def _judge(folder: Path, first: int, last: int, runs: int, limit: int) -> list[list[int]]:
    command = [str(folder / "obj_dir" / "Vreplay"), *map(str, (first, last, runs, limit))]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def judge(same: Sequence[Case], number: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Verdicts of ``number`` mutants of one design, under all cases that run it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    drawn = mutants(same[0].block, number, seed, folder)
    verdicts: list[dict[str, Any]] = [{"mutant": _describe(text), "caught": None} for text in drawn]
    for case in same:
        (folder / "replay.sv").write_text(stimuli(case, folder))
        _compile(folder)
        ((_, run, cycles),) = _judge(folder, 0, 0, _runs(case), 10**7)
        if run != -1:
            raise AssertionError(f"the design itself fails the replay in {folder}, run {run}, cycle {cycles}")
        for mutant, run, at in _judge(folder, 1, len(drawn), _runs(case), 2 * cycles + 1000):
            if run != -1 and verdicts[mutant - 1]["caught"] is None:
                verdicts[mutant - 1] |= {"caught": list(RUNS)[run], "cycle": at}
    for index, verdict in enumerate(verdicts, 1):
        if verdict["caught"] is None:
            verdict["reason"] = _compare(folder, index)
    return verdicts


def _describe(line: str) -> str:
    wanted = ("mode", "cell", "port", "portbit", "ctrlbit", "src")
    found = {name: value for name, value in re.findall(r"-(\w+) (\S+)", line) if name in wanted}
    sources = re.findall(r"-src (\S+)", line)
    return " ".join(f"{k}={v}" for k, v in found.items() if k != "src") + (f" src={sources[-1]}" if sources else "")


def _compare(folder: Path, mutant: int, seconds: int = 20) -> str:
    """Why a mutant survived: ``equivalent`` where ABC proves it the design's equal for every sequence of inputs."""
    (folder / "any.v").write_text("module any (input a, b, output y); assign y = a & b; endmodule\n")
    text = (folder / "mutants.v").read_text()
    header = re.search(r"^module mutants\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header is not None
    names = [name.strip() for name in header[1].split(",")]
    widths = {n: w or "" for w, n in re.findall(r"^  (?:input|output) (\[\d+:0\] )?(\w+) ?;", text, re.MULTILINE)}
    kinds = {n: k for k, n in re.findall(r"^  (input|output) (?:\[\d+:0\] )?(\w+) ?;", text, re.MULTILINE)}
    inputs = [n for n in names if kinds[n] == "input" and n not in ("mutsel", "clk")]
    outputs = [n for n in names if kinds[n] == "output"]
    lines = ["module miter (input clk" + "".join(f", input {widths[n]}{n}" for n in inputs) + ");"]
    lines += [f"  wire {widths[n]}{side}_{n};" for n in outputs for side in ("gold", "gate")]
    for side, select in (("gold", 0), ("gate", mutant)):
        pins = [".clk(clk)", f".mutsel({SELECT}'d{select})", *(f".{n}({n})" for n in inputs)]
        lines += [f"  mutants {side} ({', '.join([*pins, *(f'.{n}({side}_{n})' for n in outputs)])});"]
    # What a port carries while it is not valid is nobody's business.
    checked = " && ".join(
        f"(gold_m_axis_tvalid == 0 || gold_{n} == gate_{n})" if n.startswith("m_axis") and n != "m_axis_tvalid"
        else f"gold_{n} == gate_{n}" for n in outputs
    )  # fmt: skip
    lines += [
        "  reg started_q = 0;",
        "  always @(posedge clk) started_q <= 1;",
        f"  always @* begin assume (started_q || rst); assert (!started_q || ({checked})); end",
        "endmodule",
    ]
    (folder / "miter.sv").write_text("\n".join(lines) + "\n")
    to_aiger = """
read_verilog mutants.v
read_verilog -formal -sv miter.sv
prep -top miter -flatten
memory_map
setundef -undriven -zero
setundef -init -zero
async2sync
chformal -lower
opt -full
techmap
opt -fast
dffunmap
aigmap
opt_clean
write_aiger -zinit proof.aig
""".strip()
    try:
        yosys.run([to_aiger], folder)
        verdict = search(folder, f"scorr;dc2;pdr,-T,{seconds}")
    except simulator.ToolError as error:
        return f"not compared: {error}"
    return "equivalent" if verdict.proved else "missed" if verdict.broken else "open"


def run(name: str, number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Mutants of one block, spread evenly over the shapes of its bench; what is done is kept in ``folder``."""
    shapes: dict[str, list[Case]] = {}
    for case in cases(name):
        block = case.block
        shapes.setdefault(repr((sorted(parameters(block).items()), sorted(images(block).items()))), []).append(case)
    verdicts: list[dict[str, Any]] = []
    share = -(-number // len(shapes))
    for index, same in enumerate(shapes.values()):
        kept = folder / f"{name}_{index}_{share}_{seed}.json"
        if not kept.exists():
            done = judge(same, share, seed + index, folder / f"{name}_{index}")
            kept.with_suffix(".part").write_text(json.dumps(done))
            kept.with_suffix(".part").replace(kept)
        verdicts += [{"shape": index, **verdict} for verdict in json.loads(kept.read_text())]
        caught = sum(verdict["caught"] is not None for verdict in verdicts)
        print(f"{name}: shape {index + 1} of {len(shapes)}, {caught} of {len(verdicts)} caught", flush=True)
    return summary(name, seed, verdicts)


def summary(name: str, seed: int, verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts: ``share`` is of the mutants that are not proved equivalent."""
    reasons = Counter(verdict["reason"] for verdict in verdicts if verdict["caught"] is None)
    caught = sum(verdict["caught"] is not None for verdict in verdicts)
    share = caught / max(len(verdicts) - reasons["equivalent"], 1)
    return {"block": name, "seed": seed, "mutants": len(verdicts), "caught": caught, "share": share,
            "reasons": dict(reasons), "verdicts": verdicts}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="the share of mutants that a block's bench notices")
    parser.add_argument("blocks", nargs="*", choices=[[], *BLOCKS], help="all stateful ones by default")
    parser.add_argument("--mutants", type=int, default=240)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/mutants"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}")
    results = [run(name, arguments.mutants, arguments.seed, folder) for name in arguments.blocks or BLOCKS]
    print(f"{'block':12} {'mutants':>8} {'caught':>7} {'equivalent':>11} {'missed':>7} {'open':>5} {'share':>7}")
    for result in results:
        reasons = Counter(result["reasons"])
        print(
            f"{result['block']:12} {result['mutants']:8} {result['caught']:7} {reasons['equivalent']:11} "
            f"{reasons['missed']:7} {reasons['open']:5} {result['share']:7.1%}"
        )
        for verdict in result["verdicts"]:
            if verdict["caught"] is None and verdict["reason"] != "equivalent":
                print(f"    {verdict['reason']}: shape {verdict['shape']}, {verdict['mutant']}")
        (folder / f"{result['block']}.json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
