"""``train-qat``: text to a quantized checkpoint, and its losses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import click
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.path import TRAIN
from spikegpt_hls.cli.steps import train
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace


@dataclass(frozen=True)
class Processes(Settings):
    """On how many processes of this machine to train."""

    remembered: ClassVar[bool] = False

    processes: int | None = setting(
        None, "Number of processes; torchrun starts them.", click.IntRange(1), 2, "this process"
    )


def train_qat(runner: Runner) -> None:
    """Train if the checkpoint is not what was asked for, and show its losses."""
    if count := runner.told(Processes).processes:
        launch(runner.without("processes"), count)
    else:
        runner.make(TRAIN, asked=True)
        show(runner.place, train.metrics(runner.place), runner.console)


def launch(runner: Runner, count: int) -> None:
    """The same command in ``count`` processes of this machine, started by ``torchrun``."""
    from spikegpt_hls.model.errors import ModelError

    place = runner.place
    train.check(place, runner.settings(TRAIN, asked=True))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)]
    command += ["-m", "spikegpt_hls.cli.main", "train-qat", "--preset", place.preset]
    command += ["--build", str(place.folder.parent)]
    for name, value in runner.named.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    code = subprocess.run(command, env={"OMP_NUM_THREADS": "1", **os.environ}, check=False).returncode
    if code:
        raise ModelError(f"training in {count} processes failed; the first line of the above says why")


def show(place: Workspace, metrics: dict[str, Any], console: Console) -> None:
    """The losses, float and integer, in nats and bits."""
    unit = metrics["unit"]
    table = Table("held-out loss", f"nats per {unit}", f"bits per {unit}")
    for kind, label in (("float", "float, quantizers off"), ("integer", "integer, what the hardware computes")):
        table.add_row(label, *(f"{metrics[f'val_{unit}_{kind}']:.4f}" for unit in ("nats", "bits")))
    console.print(table)
    difference = metrics["val_nats_integer"] / metrics["val_nats_float"] - 1
    say(console, f"integer differs from float by {difference:+.2%}; measured over {metrics['validation']}")
    say(
        console,
        f"text {metrics['data']}, {metrics['parameters']:,} parameters, weights of {metrics['weight_bits']} bits, "
        f"{metrics['steps']} steps, seed {metrics['seed']}",
    )
    say(console, f"checkpoint: {place.checkpoint}")
    if metrics["warning"]:
        say(console, f"warning: {metrics['warning']}")
