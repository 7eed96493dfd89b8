"""``report``: the page and its figures; what is projected for a size that cannot be run here."""

from __future__ import annotations

import json

from spikegpt_hls.cli.commands import cosim
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import REPORT
from spikegpt_hls.cli.steps.report import Parts
from spikegpt_hls.cli.studies import projected
from spikegpt_hls.cli.workspace import PAGE
from spikegpt_hls.sim.parts import named


def report(runner: Runner) -> None:
    """The co-simulation if it is out of date, then the page; of a large size that was not trained, a projection."""
    named(runner.told(Parts).part)
    if runner.place.preset in projected.PRESETS and not runner.place.checkpoint.exists():
        return projected.report(runner)
    runner.make(REPORT, asked=True)
    cosim.show(json.loads(runner.place.cosim.read_text()), runner.place.path(PAGE), runner.console)
    return None
