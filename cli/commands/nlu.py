"""``nlu``: a classifier of sentences, and how often it is right."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import CLASSIFY
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace

ROWS = {
    "majority": "the most frequent label",
    "float": "float, before quantization",
    "integer": "integer, what the hardware computes",
}


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
