"""A search for the networks and foldings that no other beats in everything: bits, tokens/s, area and energy.

Every trial trains a network for a stated number of steps and translates it as any other command would
(``point.py``). Optuna proposes trials and keeps them (``storage.py``): a search that is killed goes on, and as many
processes, on as many machines, as like may work on it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.graph.lock import locked
from spikegpt_hls.cli.graph.record import write_json
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.steps import train
from spikegpt_hls.cli.steps.train import POSITIVE, Training
from spikegpt_hls.cli.studies import pareto, point
from spikegpt_hls.cli.studies.alive import Watch, alive
from spikegpt_hls.cli.studies.storage import Storage, database_errors, lock
from spikegpt_hls.cli.terminal import say
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

VERSION = 1  # of what a storage holds
#: The choices of each axis.
SPACES: dict[str, dict[str, tuple[Any, ...]]] = {
    "smallest": {
        "layers": (1,), "channels": (8, 16), "weight_bits": (4, 8), "activation_bits": (8,), "multipliers": (32, 64),
    },
    "tiny": {
        "layers": (1, 2, 3), "channels": (32, 64), "weight_bits": (2, 4, 8), "activation_bits": (6, 8),
        "multipliers": (32, 64, 128),
    },
    "small": {
        "layers": (2, 4, 6), "channels": (64, 128), "weight_bits": (2, 4, 8), "activation_bits": (6, 7, 8),
        "multipliers": (64, 128, 256),
    },
    "spike-driven": {
        "placement": ("spike-driven",), "layers": (2,), "channels": (32, 64), "events": (0.05, 0.08, 0.15),
        "hidden": ("squared-relu", "bits"), "weight_bits": (2, 4, 8), "activation_bits": (8,),
        "multipliers": (32, 64, 128),
    },
}  # fmt: skip
_DEFAULT = "training's own"


@dataclass(frozen=True)
class Exploring(Settings):
    """What is searched, how long, and how each trial is trained."""

    remembered: ClassVar[bool] = False

    trials: int = setting(30, "Points to try in all, those of earlier runs included.", click.IntRange(1), 8)
    workers: int = setting(1, "Processes that try them.", click.IntRange(1), 2)
    storage: str | None = setting(
        None,
        "Where the search is kept, for several machines: a PostgreSQL or MySQL database, or a file that they share.",
        example="postgresql://me@server/search",
        otherwise="study.db in the build folder",
    )
    space: str = setting("tiny", "What to search: tiny, small, smallest or spike-driven.", example="smallest")
    steps: int = setting(200, "Training steps of each trial.", click.INT, 500)
    seed: int = setting(0, "Seed of training and of the search.", click.IntRange(0), 1)
    clock: float = setting(100.0, "Clock in MHz.", POSITIVE, 150)
    data: str | None = setting(None, "Text of all trials.", example="my.txt", otherwise=_DEFAULT)
    tokenizer: str | None = setting(None, "Tokenizer of all trials.", example="characters", otherwise=_DEFAULT)
    qat_steps: int | None = setting(None, "Steps with quantizers of all trials.", click.IntRange(0), 50, _DEFAULT)
    lr: float | None = setting(None, "Learning rate of all trials.", POSITIVE, 0.004, _DEFAULT)
    qat_lr: float | None = setting(None, "Learning rate with quantizers.", POSITIVE, 0.001, _DEFAULT)
    neurons: str | None = setting(None, "lif, or none, of all trials.", example="none", otherwise=_DEFAULT)
    teacher: str | None = setting(None, "Teacher of all trials.", example="twin", otherwise=_DEFAULT)

    def common(self) -> dict[str, Any]:
        """The settings of training that all trials have in common."""
        found = {name: getattr(self, name) for name in TRAINING}
        return {name: value for name, value in found.items() if value is not None}


#: Of the sampler, which likes to come back to good points; then a point is drawn from those that were not tried.
PROPOSALS = 20
#: Seconds between two looks at what others are at.
PAUSE = 2.0
#: The options of training that all trials have in common.
TRAINING = ("data", "tokenizer", "steps", "qat_steps", "lr", "qat_lr", "seed", "neurons", "teacher")


def explore(runner: Runner) -> None:
    """``explore.json``, ``pareto.html`` and the table, after so many trials in all."""
    from spikegpt_hls.model.errors import ModelError

    settings = runner.told(Exploring)
    if settings.space not in SPACES:
        raise ModelError(f"unknown space {settings.space!r}: choose one of {', '.join(SPACES)}")
    place = workspace(runner.place)
    train.check(place, Training.of(settings.common()))
    place.folder.mkdir(parents=True, exist_ok=True)
    storage = Storage(settings.storage, place.folder)
    with storage.answering():
        study = open_study(place, settings)
        with lock(place.folder / "workers.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            if alone and not storage.shared:  # nobody is at what seems under way
                _revive(study)
        _run(place, settings)
        _write(place, settings, study, runner.console)


def workspace(place: Workspace) -> Workspace:
    """Apart from the networks of the build folder."""
    return Workspace(place.folder.parent / "explore", place.preset)


def open_study(place: Workspace, settings: Exploring) -> Study:
    """The storage's study, made where there is none; ModelError where it holds another search."""
    import optuna

    from spikegpt_hls.model.corpus import text
    from spikegpt_hls.model.errors import ModelError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage, space = Storage(settings.storage, place.folder), settings.space
    task = {"version": VERSION, "preset": place.preset, "space": space, "axes": _axes(space)}
    task |= {"clock": settings.clock, **settings.common()}
    if storage.shared:
        task["text"] = text.find(Training.of(settings.common()).data).sha256  # another machine may have another one
    direction = optuna.study.StudyDirection
    sense = [direction.MINIMIZE if less else direction.MAXIMIZE for less in point.OBJECTIVES.values()]
    strange: tuple[type[Exception], ...] = (RuntimeError, ValueError, *database_errors())
    with storage.turn():  # two processes must not make the same tables
        try:
            study = optuna.create_study(
                storage=storage.open(), study_name="explore", directions=sense, load_if_exists=True
            )
            found = study.user_attrs.get("task")
            if found is None and not study.trials:
                study.set_user_attr("task", found := task)
        except ModelError:
            raise
        except strange as error:
            raise ModelError(f"{storage} is not of this version of Optuna: {storage.instead}") from error
    other = [name for name in {**task, **(found or {})} if (found or {}).get(name) != task.get(name)]
    if other:
        raise ModelError(f"{storage} holds a search with other {', '.join(other)}: {storage.instead}")
    return study


def _axes(space: str) -> dict[str, list[Any]]:
    return {name: list(choices) for name, choices in SPACES[space].items()}


def _sampler(seed: int, worker: int, done: int) -> Any:
    """Seeded by what is done too: a search that goes on would propose its first points again."""
    import optuna

    return optuna.samplers.TPESampler(seed=int(np.random.SeedSequence([seed, worker, done]).generate_state(1)[0]))


def _revive(study: Study) -> None:
    """What a killed process was at is tried again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _run(place: Workspace, settings: Exploring) -> None:
    if settings.workers == 1:
        return work(place, settings, 0, None)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings.workers, context) as pool:
        jobs = [pool.submit(work, place, settings, n, os.getpid()) for n in range(settings.workers)]
        for job in jobs:
            job.result()
    return None


def work(place: Workspace, settings: Exploring, worker: int, parent: int | None) -> None:
    """Trials until there are enough; a worker whose ``parent`` was killed ends with the trial that it is at.

    Where others share the storage, it stays until theirs are done too, should one of them die.
    """
    storage, watch = Storage(settings.storage, place.folder), Watch()
    with storage.answering(), lock(place.folder / "workers.lock", fcntl.LOCK_SH):
        study = open_study(place, settings)
        study.sampler = _sampler(settings.seed, worker, len(study.trials))
        while parent is None or os.getppid() == parent:
            with storage.turn():
                if storage.shared:
                    watch.revive(study)
                trial = _next(settings, study)
            if trial is not None:
                _try(place, settings, study, trial)
            elif storage.shared and _under_way(study):
                time.sleep(PAUSE)
            else:
                return
    os._exit(0)  # nobody would ever tell the pool's process to end


def _under_way(study: Study) -> bool:
    from optuna.trial import TrialState

    return bool(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _next(settings: Exploring, study: Study) -> Trial | None:
    """The next trial, of a point that was not tried; None where as many as were asked for are done or under way, or
    no point is left. One process at a time decides."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.trial import TrialState

    axes = _axes(settings.space)
    choices: dict[str, BaseDistribution] = {name: CategoricalDistribution(values) for name, values in axes.items()}
    counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    tried = [trial.params for trial in study.get_trials(deepcopy=False, states=counted)]
    points = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
    untried = [point for point in points if point not in tried]
    if len(tried) >= settings.trials or not untried:
        return None
    for _ in range(PROPOSALS):
        trial = study.ask(choices)
        if trial.params in untried:
            return trial
        study.tell(trial, state=TrialState.FAIL)
    draw = np.random.default_rng([settings.seed, len(tried)]).integers(len(untried))
    study.enqueue_trial(untried[draw])
    return study.ask(choices)


def _try(place: Workspace, settings: Exploring, study: Study, trial: Trial) -> None:
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    from spikegpt_hls.hls.errors import ConversionError

    console = Console(highlight=False, soft_wrap=True)
    try:
        runner = _runner(place, settings, trial.params)
        with locked([runner.place.folder], runner.say), alive(trial) if settings.storage else nullcontext():
            found = point.figures(runner, settings.clock)
        trial.set_user_attr("figures", asdict(found))
        study.tell(trial, [getattr(found, name) for name in point.OBJECTIVES])
        said = f"{_described(trial.params)}: {_told(found)}"
    except ConversionError as error:  # a budget that is too small for its network
        study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
        said = str(error)
    except UpdateFinishedTrialError:
        said = "another worker has taken it over, because this one was silent for too long"
    say(console, f"trial {trial.number}: {said}")


def _runner(place: Workspace, settings: Exploring, axes: Mapping[str, Any]) -> Runner:
    """For one point, in a folder of its own, so that a point that was tried before is there."""
    name = hashlib.sha256(json.dumps(dict(axes), sort_keys=True).encode()).hexdigest()[:12]
    named = {**settings.common(), **{key: _as_option(key, value) for key, value in axes.items()}}
    return Runner(Workspace(place.folder / "points" / name, place.preset), named, Console(quiet=True))


def _as_option(name: str, value: Any) -> Any:
    """Widths are text on the command line, because they may be given by layer."""
    return str(value) if name.endswith("_bits") else value


def _described(axes: Mapping[str, Any]) -> str:
    size = f"{axes['layers']} x {axes['channels']}, W{axes['weight_bits']}A{axes['activation_bits']}"
    quiet = f", events {axes['events']:.0%}, hidden {axes['hidden']}" if "events" in axes else ""
    return f"{size}{quiet}, {axes['multipliers']} multipliers"


def _told(found: point.Figures) -> str:
    speed = f"{found.tokens_per_s:,.0f} tokens/s"
    return f"{found.bits:.3f} bits, {speed}, {found.area:.1%} of {point.PART}, {found.energy:,.1f} nJ"


def _write(place: Workspace, settings: Exploring, study: Study, console: Console) -> None:
    """The results as JSON, as a picture, and as a table of the points that no other beats."""
    trials = [trial for trial in study.trials if "figures" in trial.user_attrs]
    best = {trial.number for trial in study.best_trials}
    rows = [_row(place, settings, trial, trial.number in best) for trial in trials]
    folder = place.folder
    content = {
        "version": VERSION, **study.user_attrs["task"], "objectives": point.OBJECTIVES, "area_of": point.PART,
        "provenance": "bits: measured; tokens/s: projected (cycles by simulation, the clock an assumption); "
        "area and energy: derived",
        "trials": rows,
    }  # fmt: skip
    write_json(folder / "explore.json", content)
    pareto.write(rows, folder / "pareto.html")
    table = Table("point", "bits", "tokens/s", "LUT", "DSP", "BRAM36", "area", "nJ/token", title="beaten by no other")
    recommended = sorted((row for row in rows if row["pareto"]), key=lambda row: row["bits"])
    for row in recommended:
        speed, share = f"{row['tokens_per_s']:,.0f}", f"{row['area']:.1%}"
        sizes = (f"{row[kind]:,g}" for kind in ("lut", "dsp", "bram36"))
        table.add_row(row["name"], f"{row['bits']:.3f}", speed, *sizes, share, f"{row['energy']:,.1f}")
    console.print(table)
    for row in recommended:
        say(console, row["command"])
    points = prod(len(choices) for choices in study.user_attrs["task"]["axes"].values())
    say(console, f"{len(rows)} of {points} points tried: {folder / 'explore.json'}, {folder / 'pareto.html'}")


def _row(place: Workspace, settings: Exploring, trial: FrozenTrial, best: bool) -> dict[str, Any]:
    named = _runner(place, settings, trial.params).named
    folder = f"{place.folder}/rebuilt-{trial.number}"
    return {
        "number": trial.number, "name": _described(trial.params), "pareto": best, "axes": trial.params,
        **trial.user_attrs["figures"], "command": point.command(place.preset, named, folder),
    }  # fmt: skip
