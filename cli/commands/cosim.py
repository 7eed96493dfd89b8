"""``cosim``: the RTL of the whole model against PyTorch, and the report; or one prompt that the RTL goes on with; or a
classifier, which answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import click
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.commands.generate import Sampling, continuation, prompt_bytes
from spikegpt_hls.cli.errors import MismatchError, WorkspaceError
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.path import HLS, REPORT, VERIFY_TASK
from spikegpt_hls.cli.steps import cosim as step
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import PAGE
from spikegpt_hls.rtl_tests.simulator import require_tools

#: The blocks that the table names one by one; the others are one line together.
SHOWN = ("LIF", "WKV", "LayerNorm")
PROMPT_TOKENS = 32


@dataclass(frozen=True)
class Simulation(Settings):
    """What is simulated, and whether its waves are kept."""

    remembered: ClassVar[bool] = False

    waves: bool = setting(False, "Write a waveform (VCD) of the RTL's first tokens.", click.BOOL, 1)
    rtl: str = setting(
        "own",
        "Whose RTL: this project's own, or the Verilog that Vitis wrote.",
        click.Choice(["own", "vitis"]),
        "vitis",
    )


def cosim(runner: Runner) -> None:
    """``cosim.json``, the table, and the report; MismatchError (exit code 1) where a value is not PyTorch's."""
    require_tools()
    simulation = runner.told(Simulation)
    if runner.place.task:
        return _task(runner, simulation)
    if simulation.rtl == "vitis":
        from spikegpt_hls.cli.commands import cosim_vitis

        return cosim_vitis.cosim(runner)
    if runner.named.get("prompt"):
        return _prompt(runner)
    runner.make(REPORT, asked=True)
    if simulation.waves:
        step.waves(runner.place, runner.console)
    show(json.loads(runner.place.cosim.read_text()), runner.place.path(PAGE), runner.console)
    return None


def show(result: Mapping[str, Any], page: Path, console: Console) -> None:
    """What ``make cosim`` ends with."""
    verified(result, console)
    energy = result["energy_per_token_j"]
    say(console, f"energy per token: {energy * 1e9:.3f} nJ (derived, 45 nm, dynamic; see the report)")
    say(console, f"report: {page}")


def _show_memory(memory: Mapping[str, Any], console: Console) -> None:
    """What came from the memory of the weights, and the rates that follow on boards."""
    say(
        console,
        f"memory: {memory['bytes_per_token'] / 1e6:.2f} MB read per token of an image of "
        f"{memory['image_bytes'] / 1e6:.1f} MB, a batch of {memory['batch']}; the bus of {memory['bus_bits']} bits "
        f"moves in {memory['bus_share']:.1%} of the cycles (measured)",
    )
    title = (
        "derived: these cycles, at a routed or stated clock (sim/served.json), data sheets' currents; no board was run"
    )
    table = Table("board", "part", "memory", "MHz", "MB/s", "tokens/s", "bound by the", "memory, uJ/token", title=title)
    for part, row in memory["boards"].items():
        spent = f"{row['memory_j_per_token'] * 1e6:,.0f}"
        figures = f"{row['clock_mhz']:g}", f"{row['gb_per_s'] * 1e3:,.0f}", f"{row['tokens_per_s']:,.1f}"
        table.add_row(row["board"], part, row["memory"], *figures, row["bound"], spent)
    console.print(table)


def verified(result: Mapping[str, Any], console: Console) -> None:
    """The table of what was compared, and the cycles."""
    table = Table("trace", "kind", "values compared", "mismatches")
    others = [0, 0]
    for name, trace in result["traces"].items():
        if trace["kind"].removesuffix(" state") in SHOWN or name == "head":
            kind = "logits" if name == "head" else trace["kind"]
            table.add_row(name, kind, f"{trace['compared']:,}", str(trace["mismatches"]))
        else:
            others = [others[0] + trace["compared"], others[1] + trace["mismatches"]]
    table.add_row("all other blocks", "", f"{others[0]:,}", str(others[1]))
    console.print(table)
    runs = ", ".join(f"{name} {run['mismatches']} of {run['compared']:,}" for name, run in result["runs"].items())
    several = f", {result['contexts']} of them interleaved at a time" if result["contexts"] > 1 else ""
    say(console, f"{result['tokens']} tokens in {result['sequences']} sequences{several}; mismatches: {runs}")
    say(
        console,
        f"cycles per token: {result['cycles_per_token_rtl']:.2f} by RTL (measured), "
        f"{result['cycles_per_token_simulated']:.2f} by simulation (derived); "
        f"{result['cycles_per_token_steady']:.2f} in steady state",
    )
    say(
        console,
        f"weights of the layers: {result['weight_reads_per_token']:,.0f} of {result['weight_reads_dense']:,} read per "
        f"token, {result['events_share']:.2%} have an input that is not 0 (measured); {result['multipliers']} "
        f"multipliers or adders, busy {result['busy']:.1%} of the time in steady state, {result['useful']:.1%} with "
        "weights that there are (derived)",
    )
    if memory := result.get("memory"):
        _show_memory(memory, console)


def _task(runner: Runner, simulation: Simulation) -> None:
    """The classifier's RTL against PyTorch: every value of the model, and the class of every sentence."""
    if simulation.rtl != "own":
        raise WorkspaceError("the IP of a classifier is around this project's own RTL: leave rtl= out")
    runner.make(VERIFY_TASK, asked=True)
    place, console = runner.place, runner.console
    if simulation.waves:
        step.waves(place, console)
    result = json.loads(place.cosim.read_text())
    verified(result, console)
    classes = result["classes"]
    say(
        console,
        f"classes of {classes['compared']} test sentences by the IP's RTL: {classes['mismatches']} are not PyTorch's; "
        f"accuracy {result['accuracy_rtl']:.2f} % by RTL, {result['accuracy_integer']:.2f} % by the integer model "
        "(measured)",
    )
    say(
        console,
        f"cycles per sentence: {result['cycles_per_sentence']:,.0f} where they follow each other, "
        f"{result['cycles_of_a_sentence_alone']:,.0f} of one alone, on average (measured)",
    )
    energy = result["energy_per_token_j"]
    say(console, f"energy per token: {energy * 1e9:.3f} nJ (derived, 45 nm, dynamic, without the sums)")
    say(console, f"results: {place.cosim}")


def _prompt(runner: Runner) -> None:
    """Generate in the RTL, each token from its own logits, and compare with the integer model: a text per context, all
    from the same prompt, the sampler's seed one higher for each."""
    runner.without("seed", "tokens").make(HLS)
    place, console = runner.place, runner.console
    sampling, count = runner.told(Sampling), runner.named.get("tokens") or PROMPT_TOKENS
    model = step.built(place, console)
    chosen = [replace(sampling, seed=sampling.seed + context) for context in range(model.dataflow.contexts)]
    expected = [continuation(place, each, prompt_bytes(sampling), count) for each in chosen]
    used, prompt, _ = expected[0]
    with console.status(f"cosim: {count} tokens in each of {len(chosen)} contexts, generated by the RTL"):
        texts = model.generate_all("generate", prompt, count, [each.sampler() for each in chosen])
    for context, (got, (_, _, ids)) in enumerate(zip(texts, expected, strict=True)):
        for position, (rtl, integer) in enumerate(zip(got, ids, strict=True)):
            if rtl != integer:
                where = f"token {position} of the continuation" + (f" in context {context}" if len(texts) > 1 else "")
                raise MismatchError(f"{where} is {rtl} in the RTL, {integer} in the model")
        if len(texts) > 1:
            say(console, f"--- context {context}, seed {chosen[context].seed}")
        say(console, used.decode([*prompt, *got]))
    say(console, f"{count * len(texts)} tokens generated by the RTL are the integer model's, one by one")
