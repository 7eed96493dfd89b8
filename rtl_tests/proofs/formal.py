"""Formal proofs that every block keeps the rules of its streams, for every stall pattern and any length of time.

A block with its checkers (``axis_packets.sv``, ``axis_account.sv``) becomes an AIGER model whose one output is 1 where
a rule is broken. ABC's property-directed reachability (``pdr``, inside Yosys) finds an inductive invariant, or a trace
that breaks a rule. Where no invariant is found in reasonable time, ``bmc3`` looks at every trace of a bounded length.
Data that a block computes is cut off at its frame (``u_pipe.result``) and left free: a protocol that holds for any data
holds for the block's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spikegpt_hls.rtl_tests.proofs import yosys
from spikegpt_hls.rtl_tests.simulator import ToolError

HERE = Path(__file__).parent
SECONDS = 1800  # at most, of an unbounded proof, of which the longest takes 100 on an idle machine
CELLS = ("fifo_cell", "pipe_cell", "join_cell", "engine_cell")
CHECKERS = tuple(HERE / f"{name}.sv" for name in ("axis_packets", "axis_account", *CELLS))

_TO_AIGER = """
prep -top proof -flatten
{cut}
setundef -undriven -anyseq
opt_clean -purge
memory_map -formal
async2sync
chformal -lower
formalff -clk2ff -ff2anyinit
opt -full
techmap
opt -fast
dffunmap
aigmap
opt_clean
write_aiger -I -B -zinit -map proof.aim proof.aig
""".strip()

#: ABC runs on some netlist of Yosys's, reads the model instead, and says in a file what it found.
_ENGINE = """
read_verilog any.v
prep -top any
simplemap
abc -script +backup;read_aiger,proof.aig;fold;strash;scorr;{engine};write_status,status.txt;restore;
""".strip()


@dataclass(frozen=True)
class Port:
    """A stream of a block: its name, and of its beats the data's bits and their number in a token."""

    name: str
    bits: int
    beats: int


@dataclass(frozen=True)
class Claim:
    """What is to be proved of a module: its ports and the bounds of ``axis_account``.

    ``whole``: output beats follow the last beat of a token, not each one. ``capacity``: the output beats that a block
    may owe at most. ``patience``: cycles that it may take. ``carries``: the data goes through unchanged, and is
    compared as well. ``timely``: the bounds on waiting are part of the claim. ``cut``: the wires that
    are left free.
    """

    module: str
    parameters: Mapping[str, int | str]
    inputs: tuple[Port, ...]
    outputs: Port
    capacity: tuple[int, ...]
    patience: int
    whole: bool = False
    carries: bool = False
    copies: int = 1
    timely: bool = True
    cut: tuple[str, ...] = ("u_pipe.result",)
    contexts: int = 1
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """``proved`` for ever, or the ``depth`` in cycles: of the trace that breaks a rule, or of the search."""

    proved: bool
    broken: bool
    depth: int

    def __str__(self) -> str:
        return "proved" if self.proved else f"{'broken' if self.broken else 'open'} at depth {self.depth}"


def top(claim: Claim) -> str:
    """The module ``proof``: the block, its free environment, and the checkers of all its ports."""
    user = 1 if claim.contexts == 1 else 1 + (claim.contexts - 1).bit_length()
    out, copies = claim.outputs, claim.copies
    lines = [
        "module proof (input logic clk);",
        "  logic started_q = 1'b0;",
        "  always_ff @(posedge clk) started_q <= 1'b1;",
    ]
    lines += ["  wire rst = !started_q;"]
    pins = [".clk(clk)", ".rst(rst)"]
    for port in claim.inputs:
        name = f"s_axis_{port.name}"
        lines += [
            f"  (* anyseq *) logic [{port.bits - 1}:0] {name}_tdata;",
            f"  (* anyseq *) logic {name}_tvalid, {name}_tlast;",
            f"  (* anyseq *) logic [{user - 1}:0] {name}_tuser;",
            f"  logic {name}_tready, {name}_broken;",
            f"  wire {name}_accept = {name}_tvalid && {name}_tready;",
            f"  axis_packets #(.BITS({port.bits}), .USER_BITS({user}), .BEATS({port.beats})) u_{port.name} (",
            f"    .clk, .rst, .tdata({name}_tdata), .tvalid({name}_tvalid), .tready({name}_tready),",
            f"    .tlast({name}_tlast),",
            f"    .tuser({name}_tuser), .broken({name}_broken));",
        ]
        pins += [f".{name}_{part}({name}_{part})" for part in ("tdata", "tvalid", "tready", "tlast", "tuser")]
    lines += [
        f"  (* anyseq *) logic [{copies - 1}:0] m_axis_tready;",
        f"  logic [{copies - 1}:0] m_axis_tvalid, m_axis_tlast, m_broken;",
        f"  logic [{copies * user - 1}:0] m_axis_tuser;",
        f"  logic [{copies * out.bits - 1}:0] m_axis_tdata;",
        f"  wire [{copies - 1}:0] leave = m_axis_tvalid & m_axis_tready;",
    ]
    pins += [f".m_axis_{part}(m_axis_{part})" for part in ("tdata", "tvalid", "tready", "tlast", "tuser")]
    values = ", ".join(
        f".{name}({value if isinstance(value, int) else chr(34) + value + chr(34)})"
        for name, value in claim.parameters.items()
    )
    lines += [f"  {claim.module} #({values}) dut ({', '.join(pins)});"]
    offered = " && ".join(f"s_axis_{port.name}_tvalid" for port in claim.inputs)
    accounts = []
    patience = claim.patience if claim.timely else 0
    for copy in range(copies):
        lines += [
            f"  axis_packets #(.BITS({out.bits}), .USER_BITS({user}), .BEATS({out.beats})) u_m{copy} (.clk, .rst,",
            f"    .tdata(m_axis_tdata[{copy * out.bits}+:{out.bits}]), .tvalid(m_axis_tvalid[{copy}]),",
            f"    .tready(m_axis_tready[{copy}]), .tlast(m_axis_tlast[{copy}]),",
            f"    .tuser(m_axis_tuser[{copy * user}+:{user}]), .broken(m_broken[{copy}]));",
        ]
        owing = [f"owing_{port.name}_{copy}" for port in claim.inputs]
        for number, (port, capacity) in enumerate(zip(claim.inputs, claim.capacity, strict=True)):
            name, account = f"s_axis_{port.name}", f"{port.name}_{copy}"
            accounts.append(f"broken_{account}")
            offset = copy * out.bits + sum(earlier.bits for earlier in claim.inputs[:number])
            into, leaving, bits = [], [], 0
            if number == 0:  # the markers are those of the first stream
                into, leaving, bits = [f"{name}_tuser"], [f"m_axis_tuser[{copy * user}+:{user}]"], user
            if claim.carries:
                into, leaving = [*into, f"{name}_tdata"], [*leaving, f"m_axis_tdata[{offset}+:{port.bits}]"]
                bits += port.bits
            payload, due = (", ".join(part) or "1'b0" for part in (into, leaving))
            ready = "&m_axis_tready" if copies > 1 else "m_axis_tready[0]"
            lines += [
                f"  (* anyseq *) logic choose_{account};",
                f"  logic owing_{account}, broken_{account};",
                f"  axis_account #(.BITS({max(bits, 1)}), .WHOLE({int(claim.whole)}),",
                f"    .OWES({out.beats if claim.whole else 1}), .CAPACITY({capacity}), .PATIENCE({patience}))",
                f"    u_{account} (.clk, .rst, .choose(choose_{account}), .offered({offered}),",
                f"    .accept({name}_accept), .last({name}_tlast), .payload_in({{{payload}}}),",
                f"    .due({' && '.join(owing)}),",
                f"    .owing(owing_{account}), .sink_ready({ready}), .leave(leave[{copy}]),",
                f"    .payload_out({{{due}}}), .broken(broken_{account}));",
            ]
    assumed = " && ".join(f"!s_axis_{port.name}_broken" for port in claim.inputs)
    claimed = " && ".join(["!(|m_broken)", *(f"!{name}" for name in accounts)])
    lines += [
        "  always_comb if (!rst) begin",
        f"    assume ({assumed});",
        f"    assert ({claimed});",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


def prove(
    claim: Claim,
    files: Sequence[Path],
    folder: Path,
    edits: Mapping[str, tuple[str, str]] | None = None,
    depth: int | None = None,
) -> Verdict:
    """Prove a claim of a module's source ``files``: for ever, or where ``depth`` is given for so many cycles.

    ``edits`` of the files (stem: old and new text) make a mutant.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in [*files, *CHECKERS]:
        text = path.read_text()
        if edits and path.stem in edits:
            old, new = edits[path.stem]
            if text.count(old) != 1:
                raise ToolError(f"{path.name} has {text.count(old)} places that read {old!r}, not one")
            text = text.replace(old, new)
        (folder / path.name).write_text(text)
    for name, content in claim.images.items():
        (folder / name).write_text(content)
    (folder / "proof.sv").write_text(top(claim))
    (folder / "any.v").write_text("module any (input a, b, output y); assign y = a & b; endmodule\n")
    names = " ".join(path.name for path in [*files, *CHECKERS])
    cut = "\n".join(f"cutpoint w:dut.{wire}" for wire in claim.cut)
    yosys.run(
        [f"read_verilog -formal -sv -defer {names}", "read_verilog -formal -sv proof.sv", _TO_AIGER.format(cut=cut)],
        folder,
    )
    return search(folder, f"bmc3,-F,{depth}" if depth else f"pdr,-T,{SECONDS}")


def search(folder: Path, engine: str, seconds: float | None = None) -> Verdict:
    """ABC's verdict on ``proof.aig``; ToolError where it takes longer than ``seconds``."""
    (folder / "status.txt").unlink(missing_ok=True)
    yosys.run([_ENGINE.format(engine=engine)], folder, seconds)
    found = re.match(r"snl_(UNSAT|SAT|UNK)\s+(-?\d+)", (folder / "status.txt").read_text())
    if found is None:
        raise ToolError(f"ABC found nothing to say in {folder}")
    return Verdict(found[1] == "UNSAT", found[1] == "SAT", int(found[2]))
