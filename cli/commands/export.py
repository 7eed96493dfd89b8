"""``export``: the checkpoint as QONNX, with golden vectors."""

from __future__ import annotations

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.path import EXPORT


def export(runner: Runner) -> None:
    """Make them where they are out of date, and say where they lie."""
    runner.make(EXPORT, asked=True)
    runner.say(f"exported: {runner.place.onnx}, {runner.place.vectors}")
