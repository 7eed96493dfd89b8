"""``status``: which steps of the path are up to date, and why the others would run."""

from __future__ import annotations

from rich.table import Table

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import STEPS


def status(runner: Runner) -> None:
    """One line a step, in the order of the path; nothing is run."""
    table = Table("step", "reads", "writes", "state", "settings that are not the defaults")
    before = ""
    for step in STEPS:
        settings = runner.settings(step)
        told = ", ".join(part.split(", was")[0].replace(" is ", "=") for part in settings.differences({}))
        state = runner.state(step)
        if not state and before:
            state = f"after {before}"
        before = before or (step.title(runner.place) if state else "")
        reads, writes = (", ".join(names) for names in (step.inputs(runner.place), step.outputs(runner.place)))
        table.add_row(step.title(runner.place), reads, writes, state or "up to date", told)
    runner.console.print(table)
    runner.say(f"{runner.place.folder}; nothing was run")
