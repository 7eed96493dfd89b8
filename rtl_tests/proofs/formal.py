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

from spikegpt_hls.host import builds
from spikegpt_hls.rtl_tests.errors import ToolError
from spikegpt_hls.sim.resources import tools

HERE = Path(__file__).parent
SECONDS = 1800  # at most, of an unbounded proof, of which the longest takes 100 on an idle machine
CELLS = ("fifo_cell", "pipe_cell", "join_cell", "engine_cell", "ring_cell")
RULES = ("read_master_rules", "row_reader_rules")
CHECKERS = tuple(HERE / f"{name}.sv" for name in ("axis_packets", "axis_account", *CELLS, *RULES))

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
setundef -anyseq
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

    @property
    def user_bits(self) -> int:
        """The context, and the first token's mark."""
        return 1 + (self.contexts - 1).bit_length()


@dataclass(frozen=True)
class Rules:
    """A claim that a module of this folder writes down: while its output ``assumed`` has been 1, ``broken`` is 0.

    Its ``inputs``, by name with their bits, are free in every cycle; the ``constants`` never change.
    """

    module: str
    parameters: Mapping[str, int | str]
    inputs: Mapping[str, int]
    constants: Mapping[str, int] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """``proved`` for ever, or the ``depth`` in cycles: of the trace that breaks a rule, or of the search."""

    proved: bool
    broken: bool
    depth: int

    def __str__(self) -> str:
        return "proved" if self.proved else f"{'broken' if self.broken else 'open'} at depth {self.depth}"


_HEAD = """
module proof (input logic clk);
  logic started_q = 1'b0;
  always_ff @(posedge clk) started_q <= 1'b1;
  wire rst = !started_q;
"""

_INPUT = """
  (* anyseq *) logic [{bits}-1:0] {name}_tdata;
  (* anyseq *) logic {name}_tvalid, {name}_tlast;
  (* anyseq *) logic [{user}-1:0] {name}_tuser;
  logic {name}_tready, {name}_broken;
  wire {name}_accept = {name}_tvalid && {name}_tready;
  axis_packets #(.BITS({bits}), .USER_BITS({user}), .BEATS({beats})) u_{name} (
    .clk, .rst, .tdata({name}_tdata), .tvalid({name}_tvalid), .tready({name}_tready), .tlast({name}_tlast),
    .tuser({name}_tuser), .broken({name}_broken));
"""

_OUTPUTS = """
  (* anyseq *) logic [{copies}-1:0] m_axis_tready;
  logic [{copies}-1:0] m_axis_tvalid, m_axis_tlast, m_broken;
  logic [{copies}*{user}-1:0] m_axis_tuser;
  logic [{copies}*{bits}-1:0] m_axis_tdata;
  wire [{copies}-1:0] leave = m_axis_tvalid & m_axis_tready;
  {module} #({parameters}) dut ({pins});
"""

_OUTPUT = """
  axis_packets #(.BITS({bits}), .USER_BITS({user}), .BEATS({beats})) u_m{copy} (.clk, .rst,
    .tdata(m_axis_tdata[{copy}*{bits}+:{bits}]), .tvalid(m_axis_tvalid[{copy}]), .tready(m_axis_tready[{copy}]),
    .tlast(m_axis_tlast[{copy}]), .tuser(m_axis_tuser[{copy}*{user}+:{user}]), .broken(m_broken[{copy}]));
"""

_ACCOUNT = """
  (* anyseq *) logic choose_{account};
  logic owing_{account}, broken_{account};
  axis_account #(.BITS({bits}), .WHOLE({whole}), .OWES({owes}), .CAPACITY({capacity}), .PATIENCE({patience}))
    u_{account} (.clk, .rst, .choose(choose_{account}), .offered({offered}),
    .accept({name}_accept), .last({name}_tlast), .payload_in({{{into}}}), .due({due}), .owing(owing_{account}),
    .sink_ready({ready}), .leave(leave[{copy}]), .payload_out({{{leaving}}}), .broken(broken_{account}));
"""

_FREE = """
  (* {kind} *) logic [{bits}-1:0] {name};
"""

_RULES = """
  logic assumed, broken;
  {module} #({parameters}) dut ({pins});
  always_comb if (!rst) begin
    assume (assumed);
    assert (!broken);
  end
endmodule
"""

_TAIL = """
  always_comb if (!rst) begin
    assume ({assumed});
    assert ({claimed});
  end
endmodule
"""


def rules(claim: Rules) -> str:
    """The module ``proof`` of rules that are written down: they, and what is free."""
    free = [("anyseq", claim.inputs), ("anyconst", claim.constants)]
    parts = [
        _HEAD,
        *(_FREE.format(kind=kind, name=name, bits=bits) for kind, ports in free for name, bits in ports.items()),
        _RULES.format(
            module=claim.module,
            parameters=", ".join(f".{name}({_literal(value)})" for name, value in claim.parameters.items()),
            pins=", ".join(
                f".{port}({port})" for port in ("clk", "rst", *claim.inputs, *claim.constants, "assumed", "broken")
            ),
        ),
    ]
    return "".join(part.lstrip("\n") for part in parts)


def top(claim: Claim) -> str:
    """The module ``proof``: the block, its free environment, and the checkers of all its ports."""
    out, copies, user = claim.outputs, range(claim.copies), claim.user_bits
    names = [f"s_axis_{port.name}" for port in claim.inputs]
    ports = [
        f"{name}_{part}" for name in (*names, "m_axis") for part in ("tdata", "tvalid", "tready", "tlast", "tuser")
    ]
    accounts = [f"{port.name}_{copy}" for copy in copies for port in claim.inputs]
    parts = [
        _HEAD,
        *(_INPUT.format(name=name, bits=port.bits, user=user, beats=port.beats)
          for name, port in zip(names, claim.inputs, strict=True)),
        _OUTPUTS.format(
            copies=claim.copies, user=user, bits=out.bits, module=claim.module,
            parameters=", ".join(f".{name}({_literal(value)})" for name, value in claim.parameters.items()),
            pins=", ".join(f".{port}({port})" for port in ("clk", "rst", *ports)),
        ),
        *(_OUTPUT.format(bits=out.bits, user=user, beats=out.beats, copy=copy) for copy in copies),
        *(_account(claim, number, copy) for copy in copies for number in range(len(claim.inputs))),
        _TAIL.format(
            assumed=" && ".join(f"!{name}_broken" for name in names),
            claimed=" && ".join(["!(|m_broken)", *(f"!broken_{account}" for account in accounts)]),
        ),
    ]  # fmt: skip
    return "".join(part.lstrip("\n") for part in parts)


def _account(claim: Claim, number: int, copy: int) -> str:
    """The checker that what one output owes for the beats of one input leaves there, with the beats' own markers."""
    port, out, user = claim.inputs[number], claim.outputs, claim.user_bits
    into, leaving, bits = [], [], 0
    if number == 0:  # the markers are those of the first stream
        into, leaving, bits = [f"s_axis_{port.name}_tuser"], [f"m_axis_tuser[{copy}*{user}+:{user}]"], user
    if claim.carries:
        offset = copy * out.bits + sum(earlier.bits for earlier in claim.inputs[:number])
        into, leaving = [*into, f"s_axis_{port.name}_tdata"], [*leaving, f"m_axis_tdata[{offset}+:{port.bits}]"]
        bits += port.bits
    return _ACCOUNT.format(
        account=f"{port.name}_{copy}", name=f"s_axis_{port.name}", copy=copy, bits=max(bits, 1),
        whole=int(claim.whole), owes=out.beats if claim.whole else 1, capacity=claim.capacity[number],
        patience=claim.patience if claim.timely else 0,
        offered=" && ".join(f"s_axis_{each.name}_tvalid" for each in claim.inputs),
        due=" && ".join(f"owing_{each.name}_{copy}" for each in claim.inputs),
        ready="&m_axis_tready" if claim.copies > 1 else "m_axis_tready[0]",
        into=", ".join(into) or "1'b0", leaving=", ".join(leaving) or "1'b0",
    )  # fmt: skip


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else f'"{value}"'


def prove(
    claim: Claim | Rules,
    files: Sequence[Path],
    folder: Path,
    edits: Mapping[str, tuple[str, str]] | None = None,
    depth: int | None = None,
) -> Verdict:
    """Prove a claim of a module's source ``files``: for ever, or where ``depth`` is given for so many cycles.

    ``edits`` of the files (stem: old and new text) make a mutant. What was proved of the same texts before stands.
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
    (folder / "proof.sv").write_text(rules(claim) if isinstance(claim, Rules) else top(claim))
    names = " ".join(path.name for path in [*files, *CHECKERS])
    cut = "\n".join(f"cutpoint w:dut.{wire}" for wire in claim.cut)
    read = [f"read_verilog -formal -sv -defer {names}", "read_verilog -formal -sv proof.sv"]
    tools.yosys([*read, _TO_AIGER.format(cut=cut)], folder, ["proof.aig"])
    return search(folder, f"bmc3,-F,{depth}" if depth else f"pdr,-T,{SECONDS}")


def search(folder: Path, engine: str, seconds: float | None = None) -> Verdict:
    """ABC's verdict on ``proof.aig``; SimulationError where it takes longer than ``seconds``."""
    model = (folder / "proof.aig").read_bytes()
    (folder / "any.v").write_text("module any (input a, b, output y); assign y = a & b; endmodule\n")

    def ask() -> tuple[str, str]:
        (folder / "status.txt").unlink(missing_ok=True)
        tools.run_yosys([_ENGINE.format(engine=engine)], folder, seconds)
        found = re.match(r"snl_(UNSAT|SAT|UNK)\s+(-?\d+)", (folder / "status.txt").read_text())
        if found is None:
            raise ToolError(f"ABC found nothing to say in {folder}")
        if found[1] == "UNK" and "-T" in engine:
            raise _UnsettledError(found[1], found[2])
        return found[1], found[2]

    try:
        said, depth = builds.remembered(builds.digest(tools.yosys_version(), _ENGINE, engine, model), ask)
    except _UnsettledError as open_one:
        said, depth = open_one.args
    return Verdict(said == "UNSAT", said == "SAT", int(depth))


class _UnsettledError(Exception):
    """No answer in the time that was given: a faster machine, or the next try, may find one."""
