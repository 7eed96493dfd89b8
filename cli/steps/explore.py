"""A search for the networks and foldings that no other beats in everything: bits, tokens/s, area and energy.

Every trial trains a network for a stated number of steps and translates it as any other command would
(``cli/steps/point.py``). Optuna proposes trials and keeps them in ``explore/study.db``: a search that is killed goes
on, and as many processes as like may work on it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.step import write_json
from spikegpt_hls.cli.steps import point
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

VERSION = 1  # of what a storage holds
#: The choices of each axis.
SPACES: dict[str, dict[str, tuple[int, ...]]] = {
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
}  # fmt: skip
DEFAULTS = {"trials": 30, "space": "tiny", "workers": 1, "steps": 200, "seed": 0, "clock": 100.0}
#: Of the sampler, which likes to come back to good points; then a point is drawn from those that were not tried.
PROPOSALS = 20
#: The options of training that all trials have in common.
TRAINING = ("data", "tokenizer", "steps", "qat_steps", "lr", "qat_lr", "seed", "neurons")


def make(request: Request) -> None:
    """``explore.json``, ``pareto.html`` and the table, after so many trials in all."""
    from spikegpt_hls.model.errors import ModelError

    settings = {**DEFAULTS, **{name: value for name, value in request.options.items() if value is not None}}
    if settings["space"] not in SPACES:
        raise ModelError(f"unknown space {settings['space']!r}: choose one of {', '.join(SPACES)}")
    request = replace(request, workspace=_workspace(request), options=settings)
    check(request)
    folder = request.workspace.folder
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(request)
    with _lock(folder / "workers.lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if alone:  # nobody is at what seems under way
            _revive(study)
    _run(request)
    _write(request, study)


def check(request: Request) -> None:
    """ModelError for a text that cannot be used."""
    from spikegpt_hls.cli.steps import train

    train.check(request.workspace.preset, {**train.DEFAULTS, **_common(request)})


def _workspace(request: Request) -> Workspace:
    """Apart from the networks of the build folder."""
    return Workspace(request.workspace.folder.parent / "explore", request.workspace.preset)


def _common(request: Request) -> dict[str, Any]:
    return {name: request.options[name] for name in TRAINING if request.options.get(name) is not None}


def open_study(request: Request) -> Study:
    """The storage's study, made where there is none; ModelError where it holds another search."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    from spikegpt_hls.model.errors import ModelError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path, space = request.workspace.folder / "study.db", request.options["space"]
    task = {"version": VERSION, "preset": request.workspace.preset, "space": space, "axes": _axes(space)}
    task |= {"clock": request.options["clock"], **_common(request)}
    direction = optuna.study.StudyDirection
    sense = [direction.MINIMIZE if less else direction.MAXIMIZE for less in point.OBJECTIVES.values()]
    with _lock(path.with_suffix(".lock"), fcntl.LOCK_EX):  # two processes must not make the same tables
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}", {"connect_args": {"timeout": 60}})
            study = optuna.create_study(storage=storage, study_name="explore", directions=sense, load_if_exists=True)
            found = study.user_attrs.get("task")
            if found is None and not study.trials:
                study.set_user_attr("task", found := task)
        except (SQLAlchemyError, RuntimeError, ValueError) as error:
            raise ModelError(f"{path} is not of this version of Optuna: name another build= or remove it") from error
    other = [name for name in {**task, **(found or {})} if (found or {}).get(name) != task.get(name)]
    if other:
        raise ModelError(f"{path} holds a search with other {', '.join(other)}: name another build= or remove it")
    return study


def _axes(space: str) -> dict[str, list[int]]:
    return {name: list(choices) for name, choices in SPACES[space].items()}


def _sampler(seed: int, worker: int, done: int) -> Any:
    """Seeded by what is done too: a search that goes on would propose its first points again."""
    import optuna

    return optuna.samplers.TPESampler(seed=int(np.random.SeedSequence([seed, worker, done]).generate_state(1)[0]))


@contextmanager
def _lock(path: Path, how: int) -> Iterator[bool]:
    """Whether the lock was given; it is, sooner or later, unless ``how`` says not to wait."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
        else:
            yield True


def _revive(study: Study) -> None:
    """What a killed process was at is tried again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def _run(request: Request) -> None:
    workers = request.options["workers"]
    if workers == 1:
        return work(request.workspace, request.options, 0, None)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context) as pool:
        jobs = [pool.submit(work, request.workspace, request.options, n, os.getpid()) for n in range(workers)]
        for job in jobs:
            job.result()
    return None


def work(workspace: Workspace, options: Mapping[str, Any], worker: int, parent: int | None) -> None:
    """Trials until there are enough; a worker whose ``parent`` was killed ends with the trial that it is at."""
    request = Request(workspace, options)
    study = open_study(request)
    study.sampler = _sampler(options["seed"], worker, len(study.trials))
    with _lock(workspace.folder / "workers.lock", fcntl.LOCK_SH):
        while parent is None or os.getppid() == parent:
            trial = _next(request, study)
            if trial is None:
                return
            _try(request, study, trial)
    os._exit(0)  # nobody would ever tell the pool's process to end


def _next(request: Request, study: Study) -> Trial | None:
    """The next trial, of a point that was not tried; None where as many as were asked for are done or under way, or
    no point is left. One process at a time decides."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.trial import TrialState

    axes = _axes(request.options["space"])
    choices: dict[str, BaseDistribution] = {name: CategoricalDistribution(values) for name, values in axes.items()}
    counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    with _lock(request.workspace.folder / "study.lock", fcntl.LOCK_EX):
        tried = [trial.params for trial in study.get_trials(deepcopy=False, states=counted)]
        points = (dict(zip(axes, values, strict=True)) for values in product(*axes.values()))
        untried = [point for point in points if point not in tried]
        if len(tried) >= request.options["trials"] or not untried:
            return None
        for _ in range(PROPOSALS):
            trial = study.ask(choices)
            if trial.params in untried:
                return trial
            study.tell(trial, state=TrialState.FAIL)
        draw = np.random.default_rng([request.options["seed"], len(tried)]).integers(len(untried))
        study.enqueue_trial(untried[draw])
        return study.ask(choices)


def _try(request: Request, study: Study, trial: Trial) -> None:
    from optuna.trial import TrialState

    from spikegpt_hls.hls.errors import ConversionError

    try:
        asked = _request(request, trial.params)
        found = point.figures(asked, request.options["clock"])
    except ConversionError as error:  # a budget that is too small for its network
        study.tell(trial, state=TrialState.PRUNED)
        request.say(f"trial {trial.number}: {error}")
        return
    trial.set_user_attr("figures", asdict(found))
    study.tell(trial, [getattr(found, name) for name in point.OBJECTIVES])
    request.say(f"trial {trial.number}: {_described(trial.params)}: {_told(found)}")


def _request(request: Request, axes: Mapping[str, Any]) -> Request:
    """The request for one point, in a folder of its own, so that a point that was tried before is there."""
    name = hashlib.sha256(json.dumps(dict(axes), sort_keys=True).encode()).hexdigest()[:12]
    workspace = Workspace(request.workspace.folder / "points" / name, request.workspace.preset)
    options = {**_common(request), **{key: _as_option(key, value) for key, value in axes.items()}}
    return Request(workspace, options, Console(quiet=True))


def _as_option(name: str, value: int) -> int | str:
    """Widths are text on the command line, because they may be given by layer."""
    return str(value) if name.endswith("_bits") else value


def _described(axes: Mapping[str, int]) -> str:
    size = f"{axes['layers']} x {axes['channels']}, W{axes['weight_bits']}A{axes['activation_bits']}"
    return f"{size}, {axes['multipliers']} multipliers"


def _told(found: point.Figures) -> str:
    speed = f"{found.tokens_per_s:,.0f} tokens/s"
    return f"{found.bits:.3f} bits, {speed}, {found.area:.1%} of {point.PART}, {found.energy:,.1f} nJ"


def _write(request: Request, study: Study) -> None:
    """The results as JSON, as a picture, and as a table of the points that no other beats."""
    from spikegpt_hls.cli.steps import pareto

    trials = [trial for trial in study.trials if "figures" in trial.user_attrs]
    best = {trial.number for trial in study.best_trials}
    rows = [_row(request, trial, trial.number in best) for trial in trials]
    folder = request.workspace.folder
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
    request.console.print(table)
    for row in recommended:
        request.say(row["command"])
    points = prod(len(choices) for choices in study.user_attrs["task"]["axes"].values())
    request.say(f"{len(rows)} of {points} points tried: {folder / 'explore.json'}, {folder / 'pareto.html'}")


def _row(request: Request, trial: FrozenTrial, best: bool) -> dict[str, Any]:
    options = _request(request, trial.params).options
    folder = f"{request.workspace.folder}/rebuilt-{trial.number}"
    return {
        "number": trial.number, "name": _described(trial.params), "pareto": best, "axes": trial.params,
        **trial.user_attrs["figures"], "command": point.command(request.workspace.preset, options, folder),
    }  # fmt: skip
