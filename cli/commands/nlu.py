"""``nlu``: a classifier of sentences, and how often it is right; with ``cosim``, in hardware."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.commands.cosim import Simulation, verified
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import CLASSIFY, VERIFY_TASK
from spikegpt_hls.cli.steps.cosim import waves
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import TASK, Workspace

ROWS = {
    "majority": "the most frequent label",
    "float": "float, before quantization",
    "integer": "integer, what the hardware computes",
}


def workspace(build: Path, task: str, target: str = "verilog") -> Workspace:
    return Workspace(build / f"{TASK}{task}", f"{TASK}{task}", target)


def nlu(runner: Runner) -> None:
    """Train the classifier if it is not what was asked for, and show its accuracy."""
    runner.make(CLASSIFY, asked=True)
    show(runner.place, json.loads(runner.place.metrics.read_text()), runner.console)


def show(place: Workspace, metrics: dict[str, Any], console: Console) -> None:
    """Percent right beside the majority baseline."""
    table = Table(f"accuracy on {metrics['task']}, %", "test", "dev")
    for kind, label in ROWS.items():
        table.add_row(label, *(f"{metrics[f'{part}_accuracy_{kind}']:.2f}" for part in ("test", "dev")))
    console.print(table)
    counts = ", ".join(f"{metrics[f'sentences_{part}']:,} {part}" for part in ("train", "dev", "test"))
    say(console, f"sentences: {counts}; {metrics['protocol']}")
    origin = f"from {metrics['init']}" if metrics["init"] else "from scratch"
    say(
        console,
        f"{metrics['parameters']:,} parameters, weights of {metrics['weight_bits']} bits, {metrics['steps']:,} steps, "
        f"seed {metrics['seed']}, {origin}",
    )
    say(console, f"checkpoint: {place.checkpoint}")


def cosim(runner: Runner) -> None:
    """The classifier's RTL against PyTorch: every value of the model, and the class of every sentence."""
    runner.make(VERIFY_TASK, asked=True)
    place, console = runner.place, runner.console
    if runner.told(Simulation).waves:
        waves(place, console)
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
