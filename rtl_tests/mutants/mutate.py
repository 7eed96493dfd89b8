"""Mutation testing: the share of single-point mutants of a block that its bench notices.

    python -m spikegpt_hls.rtl_tests.mutants.mutate [BLOCK ...] [--mutants N] [--lanes N] [--seconds N]

Yosys draws the mutants (a cell's port bit inverted or constant, always or where another bit says so) over all shapes
that the bench runs, and puts those of one shape into one design, where the input ``mutsel`` turns one of them on.
``replay.py`` plays the bench's runs against each. A mutant that no run notices is compared with the design itself
(``miter.py``, ABC; induction over all input sequences): what is proved equivalent is no fault.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from spikegpt_hls.hls.rtl.blocks import EVENT_LINEAR, MODULES
from spikegpt_hls.rtl_tests.mutants import engine, miter, read_master, replay, ring, rows
from spikegpt_hls.rtl_tests.mutants.cases import Design, cases
from spikegpt_hls.rtl_tests.mutants.replay import Play
from spikegpt_hls.rtl_tests.proofs import yosys
from spikegpt_hls.rtl_tests.proofs.formal import search
from spikegpt_hls.sim.errors import SimulationError
from spikegpt_hls.sim.resources import tools

#: Modules that are no blocks: each says by itself what its design is, and what is done with it.
OWN: dict[str, Any] = {module.NAME: module for module in (engine, ring, rows, read_master)}
#: All but the fork, whose bench has runs of its own.
BLOCKS = (*(name for name in MODULES.values() if name != "stream_fork"), EVENT_LINEAR, *OWN)
SELECT = 12  # bits of mutsel
NO_NODE = re.compile(r"-port RD_[AS]RST\b")  # pins of Yosys's memory cell for a reset that no memory here has
MEMORY = re.compile(r"^  cell \$mem_v2 \\(\S+)\n.*?RD_CLK_ENABLE \d+'([01]+)$", re.MULTILINE | re.DOTALL)
#: What is asked of ABC of each model of ``miter.py``, from the smallest on, until one has an answer.
ENGINES = {
    "free": ("dprove",),
    "activation": ("dprove,-F,10", "pdr"),
    "step": ("dprove,-F,10",),
    "miter": ("dprove,-F,20", "bmc3"),
}
SECONDS = 20  # of each
_TO_GATES = """
read_verilog mutants.v
prep -top mutants -flatten
memory_map
async2sync
opt -full
techmap
opt -fast
setundef -zero
setundef -undriven -zero
setundef -init -zero
dffunmap
simplemap
aigmap
opt_clean
write_aiger -ascii -zinit -symbols design.aag
""".strip()


def mutants(design: Design, number: int, seed: int, folder: Path) -> list[str]:
    """Write ``mutants.v``, the design with ``number`` mutants; give their descriptions, the first being mutant 1."""
    read = yosys.read(design.write(folder), design.top, design.parameters, folder)
    draw = f"mutate -list {number} -seed {seed} -ctrl mutsel {SELECT} 1 -o drawn.txt"
    script = [*read, f"prep -top {design.top} -flatten", "opt -full", draw, "write_rtlil design.il"]
    tools.yosys(script, folder, ["drawn.txt", "design.il"])
    unclocked = [name for name, clocked in MEMORY.findall((folder / "design.il").read_text()) if "1" not in clocked]
    pins = [f"-cell {name} -port RD_{pin} " for name in unclocked for pin in ("CLK", "EN")]  # of reads that have none
    drawn = [line for line in (folder / "drawn.txt").read_text().splitlines() if not NO_NODE.search(line)]
    drawn = [line for line in drawn if not any(pin in line for pin in pins)]
    drawn = [re.sub(r"(-ctrl \S+ \S+) \S+", rf"\g<1> {index}", line) for index, line in enumerate(drawn, 1)]
    (folder / "mutants.txt").write_text("\n".join(drawn) + "\n")
    script = ["read_rtlil design.il", "script mutants.txt", "opt_clean", "rename -top mutants"]
    tools.yosys([*script, "write_verilog -noattr mutants.v"], folder, ["mutants.v"])
    return drawn


def judge(design: Design, plays: Sequence[Play], number: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Verdicts of ``number`` mutants of a design, under all that its bench does with it."""
    drawn = mutants(design, number, seed, folder)
    verdicts: list[dict[str, Any]] = [{"mutant": _describe(text), "caught": None, "reason": "open"} for text in drawn]
    for play in plays:
        (folder / "replay.sv").write_text(replay.stimuli(play, folder, "mutants", SELECT))
        replay.build(folder, ["mutants.v"])
        ((_, run, cycles),) = replay.judge(folder, 0, 0, play.runs, 10**7)
        if run != -1:
            raise AssertionError(f"the design itself fails the replay in {folder}, run {run}, cycle {cycles}")
        for mutant, run, at in replay.judge(folder, 1, len(drawn), play.runs, 2 * cycles + 1000):
            if run != -1 and verdicts[mutant - 1]["caught"] is None:
                text = verdicts[mutant - 1]["mutant"]
                verdicts[mutant - 1] = {"mutant": text, "caught": list(replay.RUNS)[run], "cycle": at}
    return verdicts


def settle(verdicts: Sequence[dict[str, Any]], folder: Path, seconds: int = SECONDS) -> None:
    """Give the open ones of ``judge``'s verdicts a reason."""
    left = [index for index, verdict in enumerate(verdicts, 1) if verdict.get("reason") == "open"]
    if not left:
        return
    design = gates(folder)
    for index in left:
        verdicts[index - 1]["reason"] = compare(design, index, folder, seconds)


def _describe(line: str) -> str:
    wanted = ("mode", "cell", "port", "portbit", "ctrlbit", "src")
    found = {name: value for name, value in re.findall(r"-(\w+) (\S+)", line) if name in wanted}
    sources = re.findall(r"-src (\S+)", line)
    return " ".join(f"{k}={v}" for k, v in found.items() if k != "src") + (f" src={sources[-1]}" if sources else "")


def gates(folder: Path) -> miter.Design:
    """The design with its mutants as gates, once for all comparisons."""
    tools.yosys([_TO_GATES], folder, ["design.aag"])
    return miter.parse((folder / "design.aag").read_text())


def compare(design: miter.Design, mutant: int, folder: Path, seconds: int = SECONDS) -> str:
    """Why a mutant survived: ``equivalent`` where it is proved to be the design's equal for every sequence of inputs,
    ``missed`` where a sequence tells the two apart."""
    pair = miter.miter(design, mutant)
    if pair is None:
        return "equivalent"
    models = {
        "free": miter.step(design, mutant, free=True),
        "activation": miter.activation(design, mutant),
        "step": miter.step(design, mutant),
        "miter": pair,
    }
    for name, model in models.items():
        if model.shows():  # of all but the miter, that says nothing
            if name == "miter":
                return "missed"
            continue
        (folder / "proof.aig").write_bytes(model.aiger())
        for command in ENGINES[name]:
            with suppress(SimulationError):  # ABC in WebAssembly may run out of time, or of stack
                verdict = search(folder, f"{command},-T,{seconds}", 2 * seconds)
                if verdict.proved:
                    return "equivalent"
                if verdict.broken and name == "miter":
                    return "missed"
    return "open"


def shapes(name: str, lanes: int) -> list[tuple[Design, list[Callable[[], Play]]]]:
    """The designs of at most so many ``lanes`` that a bench runs, each with all that it does with it."""
    own = OWN.get(name)
    found: dict[str, tuple[Design, list[Callable[[], Play]]]] = {}
    for case in own.CASES if own else cases(name):
        if (case if own else case.block).lanes <= lanes:  # type: ignore[union-attr]
            design = own.design(case) if own else Design.of(case.block)
            found.setdefault(repr(design), (design, []))[1].append(partial((own or replay).play, case))
    return list(found.values())


def run(name: str, number: int, seed: int, folder: Path, lanes: int, seconds: int) -> dict[str, Any]:
    """Mutants of one block, spread evenly over the shapes of its bench with at most so many ``lanes``; what is done
    is kept in ``folder``, what is open is searched again."""
    found = shapes(name, lanes)
    verdicts: list[dict[str, Any]] = []
    share = -(-number // len(found))
    for index, (design, plays) in enumerate(found):
        kept = folder / f"{name}_{index}_{share}_{seed}.json"
        place = folder / f"{name}_{index}"
        if kept.exists():
            done = json.loads(kept.read_text())
        else:
            done = judge(design, [play() for play in plays], share, seed + index, place)
        if seconds:
            settle(done, place, seconds)
        kept.with_suffix(".part").write_text(json.dumps(done))
        kept.with_suffix(".part").replace(kept)
        verdicts += [{"shape": index, **verdict} for verdict in done]
        caught = sum(verdict["caught"] is not None for verdict in verdicts)
        print(f"{name}: shape {index + 1} of {len(found)}, {caught} of {len(verdicts)} caught", flush=True)
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
    parser.add_argument("blocks", nargs="*", choices=[[], *BLOCKS], help="all but the fork by default")
    parser.add_argument("--mutants", type=int, default=280)
    parser.add_argument("--lanes", type=int, default=8, help="leave out shapes of more: ABC's time grows with lanes")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each search for a survivor; 0: none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/mutants"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}")
    results = [
        run(name, arguments.mutants, arguments.seed, folder, arguments.lanes, arguments.seconds)
        for name in arguments.blocks or BLOCKS
    ]
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
