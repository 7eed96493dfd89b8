"""Does the steps that are out of date, and says why.

A setting that the user does not name is as in the last run: ``cosim`` after ``train-qat --data FILE`` verifies that
model, it does not train another one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from spikegpt_hls.cli.errors import WorkspaceError
from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.lock import locked
from spikegpt_hls.cli.graph.record import MISSING, Record
from spikegpt_hls.cli.graph.settings import Settings
from spikegpt_hls.cli.graph.step import Step
from spikegpt_hls.cli.workspace import Workspace

S = TypeVar("S", bound=Settings)
PROJECT = Path(__file__).parents[2]


def leads() -> bool:
    """Whether this is the process that speaks and writes: the first of those that ``torchrun`` started, or the only."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["RANK"] == "0"


class Runner:
    """One command in one workspace; ``named`` are the settings that the user named."""

    def __init__(self, place: Workspace, named: Mapping[str, Any], console: Console | None = None) -> None:
        self.place = place
        self.named = {name: value for name, value in named.items() if value is not None}
        self.console = console or Console(highlight=False, soft_wrap=True, quiet=not leads())
        self._made: set[str] = set()

    def elsewhere(self, place: Workspace, named: Mapping[str, Any] | None = None) -> Runner:
        """The same command in another workspace."""
        return Runner(place, self.named if named is None else named, self.console)

    def without(self, *names: str) -> Runner:
        """The same, with these settings not named."""
        return self.elsewhere(self.place, {n: v for n, v in self.named.items() if n not in names})

    def say(self, message: str) -> None:
        self.console.print(message, markup=False)

    def told(self, kind: type[S]) -> S:
        """The settings of a command, which no run remembers."""
        return kind.of(self.named)

    def settings(self, step: Step, asked: bool = False) -> Any:
        """What a run now would use: what is named, then the last run's, then the defaults. The last run of an owned
        output's step is one that was interrupted only where its own command goes on (``asked``), or nothing else is
        there."""
        started, finished = self._started(step), self._finished(step)
        if step.owned and not asked and self._exists(step.owned):
            started = None
        return step.settings.of(self.named, (started or finished or Record()).settings)

    def make(self, step: Step, asked: bool = False) -> None:
        """``step`` and all that it needs, up to date; ``asked``: by its own command. Nobody else works in the folder
        meanwhile."""
        if step.title(self.place) in self._made:
            return
        with locked([self.place.folder], self.say) if leads() else nullcontext():
            self._make(step, asked)
        self._made.add(step.title(self.place))

    def _make(self, step: Step, asked: bool) -> None:
        for needed in step.needs:
            self.make(needed)
        if step.owned and self._exists(step.owned) and self._keep(step, asked):
            return
        if reason := self.why(step, asked):
            if self._finished(step) or self._started(step):
                self.say(f"{step.title(self.place)}: {reason}")
            self._run(step, asked)

    def why(self, step: Step, asked: bool = False) -> str:
        """Why ``step`` would run now; empty where it is up to date."""
        done, settings = self._finished(step), self.settings(step, asked)
        if done is None:
            return "was not finished" if self._started(step) else "was never made"
        if different := settings.differences(done.settings):
            return ", ".join(different)
        if changed := _different(done.inputs, self._inputs(step)):
            return f"{changed[0]} has changed"
        if changed := _different(done.sources, self._sources(step)):
            return f"this project's {changed[0]} has changed"
        if changed := self._changed_files(step, settings, done):
            return f"the file of {changed[0].removesuffix('_sha256')}= has changed"
        return self._damage(step, done)

    def state(self, step: Step) -> str:
        """Why a command that needs ``step`` would run it; empty where it would not."""
        done = self._finished(step)
        if not step.owned or not self._exists(step.owned):
            return self.why(step)
        if done is None or not self._explains(step, done):
            return f"{step.owned} is not of this step: it stays as it is"
        return self.why(step)

    def _damage(self, step: Step, done: Record) -> str:
        if done.outputs is None:
            lost = [name for name in step.outputs(self.place) if not self._exists(name)]
        else:
            lost = record.unlike(self.place.folder, done.outputs)
        if not lost:
            return ""
        return f"{lost[0]} is {'not as it was made' if self._exists(lost[0]) else 'missing'}"

    def _keep(self, step: Step, asked: bool) -> bool:
        """Whether the owned output stays as it is; what belongs to it is made again where it does not fit."""
        done = self._finished(step)
        if done is None or not self._explains(step, done):
            if asked:
                return False
            self._foreign(step)
            self._restore(step)
            return True
        settings = self.settings(step, asked)
        if settings.differences(done.settings) or self._changed_files(step, settings, done):
            return False  # made here, and something else is asked for now
        if self._damage(step, done) and step.restore is None:
            return False
        if not asked:
            self._tell_unfinished(step)
        if self._damage(step, done):
            self._restore(step)
            outputs = record.digests(self.place.folder, step.outputs(self.place))
            replace(done, outputs=outputs, version=record.VERSION).write(self._stamp(step))
        return True

    def _restore(self, step: Step) -> None:
        if step.restore:
            step.restore(self.place, self.settings(step), self.named, self.console)

    def _tell_unfinished(self, step: Step) -> None:
        """Say which of two runs an owned output is of."""
        if (started := self._started(step)) is None:
            return
        of_it = step.settings.of({}, started.settings).differences(self.settings(step).as_json())
        self.say(
            f"{step.name} was interrupted or failed{_in_brackets(of_it)}: this is the {step.owned} of the run before; "
            f"{step.name} goes on with the other"
        )

    def _changed_files(self, step: Step, settings: Settings, done: Record) -> list[str]:
        """Of the user's; none that has gone, and none of which an old record is silent."""
        found = step.outside(self.place, settings, self.named).items()
        known = done.outside if done.version == 0 else dict(found) | dict(done.outside)
        return [name for name, now in found if name in known and now not in (MISSING, done.outside.get(name))]

    def _explains(self, step: Step, done: Record) -> bool:
        """Whether ``done`` is the record of the owned output as it is."""
        return done.outputs is None or done.outputs.get(step.owned) == record.of_file(self.place.folder / step.owned)

    def _foreign(self, step: Step) -> None:
        """Say that the owned output is the user's; WorkspaceError where settings ask for another one."""
        path = self.place.folder / step.owned
        readable = {"data", "tokenizer"}  # of what it is tried on
        if void := [name for name in step.settings.names() if name in self.named and name not in readable]:
            raise WorkspaceError(
                f"{path} was not made by {step.name} here, so {void[0]}= means nothing for it: leave that out, or "
                f"train another one with {step.name}, which keeps this one beside it"
            )
        self.say(f"{path} was not made by {step.name} here: it is used as it is")

    def _run(self, step: Step, asked: bool) -> None:
        settings = self.settings(step, asked)
        step.check(self.place, settings)
        inputs, sources = self._inputs(step), self._sources(step)
        stamp, started = self._stamp(step), self._stamp(step, ".started")
        if leads():
            self._put_aside(step)
            self._say_unfinished(step, settings)
            Record(settings.as_json()).write(started)
        try:
            step.run(self.place, settings, self.console)
        except Exception:
            if leads() and not self._resumes(step):
                started.unlink(missing_ok=True)
            raise
        if leads():
            outside = step.outside(self.place, settings, settings.as_json())
            outputs = record.digests(self.place.folder, step.outputs(self.place))
            Record(settings.as_json(), inputs, sources, outside, outputs).write(stamp)
            started.unlink(missing_ok=True)

    def _say_unfinished(self, step: Step, settings: Settings) -> None:
        """What a run that was not finished has stays, by its identity."""
        before = self._started(step)
        if before and self._resumes(step) and (different := settings.differences(before.settings)):
            self.say(
                f"{step.name}: a run was not finished{_in_brackets(different)}; what it has is kept, and naming its "
                "settings goes on with it"
            )

    def _resumes(self, step: Step) -> bool:
        """Whether an unfinished run has left something to go on from."""
        return bool(step.resumes) and any((self.place.folder / step.resumes).rglob("*.safetensors"))

    def _put_aside(self, step: Step) -> None:
        """Keep an owned output that no record explains, under a name with its digest."""
        path = self.place.folder / step.owned
        done = self._finished(step)
        if not step.owned or not path.is_file() or (done is not None and self._explains(step, done)):
            return
        kept = path.with_name(f"{path.stem}.{record.of_file(path)[:12]}{path.suffix}")
        if not kept.exists():
            try:
                os.link(path, kept)
            except OSError:
                shutil.copy2(path, kept)
        self.say(f"{path} was not made by {step.name} here: kept as {kept.name}")

    def _inputs(self, step: Step) -> dict[str, str]:
        return record.digests(self.place.folder, step.inputs(self.place))

    def _sources(self, step: Step) -> dict[str, str]:
        return {name: record.of_folder(PROJECT / name) for name in step.sources}

    def _exists(self, name: str) -> bool:
        return (self.place.folder / name).exists()

    def _stamp(self, step: Step, more: str = "") -> Path:
        return self.place.stamp(step.title(self.place) + more)

    def _finished(self, step: Step) -> Record | None:
        return record.read(self._stamp(step))

    def _started(self, step: Step) -> Record | None:
        return record.read(self._stamp(step, ".started"))


def _in_brackets(told: list[str]) -> str:
    return f" ({', '.join(told)})" if told else ""


def _different(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]
