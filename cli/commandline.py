"""The commands: options in, steps of the path done, what became of them shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from spikegpt_hls.cli import targets
from spikegpt_hls.cli.commands.board import Chatting, Serial
from spikegpt_hls.cli.commands.cosim import Simulation
from spikegpt_hls.cli.commands.figures import Sizes
from spikegpt_hls.cli.commands.generate import Continuation, Sampling
from spikegpt_hls.cli.commands.train_qat import Processes
from spikegpt_hls.cli.graph.lock import locked
from spikegpt_hls.cli.graph.runner import Runner, leads
from spikegpt_hls.cli.graph.settings import Settings, options
from spikegpt_hls.cli.steps.accountings import Accounting, EnergyCosts
from spikegpt_hls.cli.steps.export import Vectors
from spikegpt_hls.cli.steps.folding import Folding
from spikegpt_hls.cli.steps.nlu import Classifying, Sentences
from spikegpt_hls.cli.steps.report import Parts
from spikegpt_hls.cli.steps.size import Sizing
from spikegpt_hls.cli.steps.train import Training
from spikegpt_hls.cli.studies.explore import Exploring
from spikegpt_hls.cli.workspace import TASK, Workspace

EXPORT = (Training, Vectors)
HLS = (*EXPORT, Folding)
HLS_TASK = (Classifying, Sentences, Folding)


@dataclass(frozen=True)
class Command:
    """``module.name``, called with a ``Runner``; ``settings`` are what may be named on its line."""

    name: str
    help: str
    module: str
    settings: tuple[type[Settings], ...] = ()
    task_settings: tuple[type[Settings], ...] = ()  # where a task is named in place of a preset

    @property
    def function(self) -> Callable[[Runner], None]:
        found: Callable[[Runner], None] = getattr(import_module(f"spikegpt_hls.cli.{self.module}"), self._attribute)
        return found

    @property
    def _attribute(self) -> str:
        return self.name.replace("-", "_")

    def click(self) -> click.Command:
        task = [OF_TASK] if self.task_settings else []
        params: list[click.Parameter] = [*WHERE, *task, *options((*self.settings, *self.task_settings))]
        return click.Command(self.name, callback=self._call, params=params, help=self.help)

    def _call(self, preset: str, build: Path, target: str, task: str | None = None, **named: Any) -> None:
        from spikegpt_hls.model.config import preset as known

        known(preset)
        targets.target(target)
        self._check(named, task)
        place = Workspace(build / preset, preset, target) if task is None else self._place(build, task, target)
        self.run(Runner(place, named))

    def _place(self, build: Path, task: str, target: str = "verilog") -> Workspace:
        """Of a task; ModelError for one that is not known."""
        from spikegpt_hls.model.classify import nlu

        nlu.task(task)
        return Workspace(build / f"{TASK}{task}", f"{TASK}{task}", target)

    def _check(self, named: Mapping[str, Any], task: str | None) -> None:
        """UsageError for a setting that means nothing here."""
        known = {name for kind in (self.settings if task is None else self.task_settings) for name in kind.names()}
        for name in (name for name, value in named.items() if value is not None and name not in known):
            where = "without a task=" if task is None else f"of the task {task}"
            raise click.UsageError(f"{self.name} {where} has no setting {name}=")

    def run(self, runner: Runner) -> None:
        """Nobody else works in the same folders meanwhile. ``torchrun``'s first process holds them for all."""
        if not leads() or runner.named.get("processes"):
            return self.function(runner)
        with locked(self._folders(runner), runner.say):
            return self.function(runner)

    def _folders(self, runner: Runner) -> list[Path]:
        if self.name in SHARED:  # writes nothing, or where each of its steps does
            return []
        places = import_module(f"spikegpt_hls.cli.{self.module}")
        more: list[Workspace] = places.places(runner.place, runner.named) if hasattr(places, "places") else []
        return [runner.place.folder, *(place.folder for place in more)]


class _Classify(Command):
    """Has a task instead of a preset and a target."""

    def click(self) -> click.Command:
        task = click.Option(["--task"], required=True, help="mr, subj, sst2 or sst5.")
        return click.Command(
            self.name, callback=self._task, params=[task, BUILD, *options(self.settings)], help=self.help
        )

    def _task(self, task: str, build: Path, **named: Any) -> None:
        self.run(Runner(self._place(build, task), named))


PRESET = click.Option(["--preset"], default="tiny", show_default=True, help="tiny, small, 46m or 216m.")
BUILD = click.Option(
    ["--build"], type=click.Path(path_type=Path), default=Path("build"), show_default=True, help="Where results lie."
)
TARGET = click.Option(
    ["--target"], default="verilog", show_default=True, help=f"One of {', '.join(targets.targets())}."
)
OF_TASK = click.Option(["--task"], help="In place of a preset, a task's classifier: mr, subj, sst2 or sst5.")
WHERE = (PRESET, BUILD, TARGET)
_TARGETS = "\n\n".join(f"{target.name}: {target.summary}" for target in targets.targets().values())

COMMANDS = (
    Command("train-qat", "Train a quantized SpikeGPT on a text.", "commands.train_qat", (Training, Processes)),
    Command("export", "Export the checkpoint as QONNX, with golden vectors.", "commands.export", EXPORT),
    Command("hls", f"Translate to hardware.\n\nTargets:\n\n{_TARGETS}", "commands.hls", HLS, HLS_TASK),
    Command(
        "cosim", "Run the RTL of the whole model against PyTorch; with a prompt, let it write.", "commands.cosim",
        (*HLS, Sampling, Simulation), (*HLS_TASK, Simulation),
    ),
    Command("report", "Write the report's page and JSON.", "commands.report", (*HLS, Parts)),
    Command("status", "Show the steps: what is up to date, what would run and why.", "commands.status", (*HLS, Parts)),
    Command(
        "generate", "Continue a prompt with the integer model.", "commands.generate", (Sampling, Continuation, Training)
    ),
    Command(
        "figures", "Draw training, spikes, firing and the use of grids.", "commands.figures", (Training, Sizes)
    ),
    Command("size", "What a preset takes as hardware.", "studies.size", (Sizing, Parts)),
    Command("explore", "Search networks and foldings that none beats.", "studies.explore", (Exploring,)),
    Command(
        "accountings", "What a character costs by four accountings; the break-even firing rate.", "studies.accountings",
        (*HLS, Accounting),
    ),
    Command(
        "toggles", "Toggles of three blocks' RTL beside the energy model.", "studies.toggles", (*HLS, EnergyCosts)
    ),
    Command("load", "Put the weights into a ULX3S's SDRAM, over its serial port.", "commands.board", (Serial,)),
    Command("chat", "Have a ULX3S continue text.", "commands.board", (Serial, Chatting)),
    _Classify("nlu", "Train and quantize a classifier of sentences.", "commands.nlu", (Classifying,)),
    Command("bench", "Time every implementation, as ratios measured in one run.", "bench.bench", HLS),
)  # fmt: skip
SHARED = ("status", "explore", "generate", "load", "chat")
