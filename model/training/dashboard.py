"""What a training run shows: a line of progress, and TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from spikegpt_hls.model.training import firing

OBSERVE_EVERY = 10  # steps between two points of a curve, and between two looks at the neurons
JUDGE_EVERY = 10  # looks after which a neuron that never fired counts as dead
FIRST, SECONDS = 5.0, 30.0  # to the first line, and between two, where there is no terminal to draw a bar on


class Dashboard:
    """One phase of training, seen by the process that leads it."""

    def __init__(self, model: nn.Module, task: Any, progress: Progress, writer: Any, tokens: int) -> None:
        self.firing = firing.Firing(model)
        self.task, self.progress, self.writer, self.tokens = task, progress, writer, tokens
        self.neurons = ""
        self.start, self.first = time.perf_counter(), progress.tasks[task].completed
        self.due = self.start + FIRST

    def watching(self, step: int) -> AbstractContextManager[None]:
        return self.firing.watching() if step % OBSERVE_EVERY == 0 else nullcontext()

    def show(self, step: int, last: bool, values: dict[str, float]) -> None:
        """``values`` of a step that is done: ``loss``, and what else TensorBoard gets."""
        speed = (step + 1 - self.first) * self.tokens / (time.perf_counter() - self.start)
        if step % OBSERVE_EVERY == 0 or last:
            self._write(step, values | {"tokens per second": speed})
        if step % (OBSERVE_EVERY * JUDGE_EVERY) == OBSERVE_EVERY * (JUDGE_EVERY - 1) or last:
            self._judge(step)
        events = f"  events {values['events']:.1%}" if "events" in values else ""
        events += f" of {values['events wanted']:.1%}" if "events wanted" in values else ""
        note = f"loss {values['loss']:.3f}{events}  {speed:,.0f} tokens/s{self.neurons}"
        self.progress.update(self.task, completed=step + 1, note=note)
        self._print(step, note)

    def flush(self) -> None:
        """Before a checkpoint: the curves reach as far as it does."""
        if self.writer:
            self.writer.flush()

    def _write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items() if self.writer else ():
            self.writer.add_scalar(name, value, step)

    def _judge(self, step: int) -> None:
        layers = self.firing.layers()
        self.firing.reset()
        if not layers:  # no neurons
            return
        for name, layer in layers.items():
            self._write(step, {f"{key}/{name}": value for key, value in vars(layer).items()})
        mean = firing.overall(layers)
        self._write(step, {"firing rate": mean.rate, "dead": mean.dead, "saturated": mean.saturated})
        self.neurons = f"  dead {mean.dead:.0%}  saturated {mean.saturated:.0%}"

    def _print(self, step: int, note: str) -> None:
        task, now = self.progress.tasks[self.task], time.perf_counter()
        if self.progress.console.is_terminal or now < self.due:
            return
        left = (now - self.start) / (step + 1 - self.first) * ((task.total or 0) - step - 1)
        self.progress.console.print(f"{task.description} {step + 1}/{task.total:.0f}  {note}  {left / 60:.0f} min left")
        self.due = now + SECONDS


@contextmanager
def dashboard(
    model: nn.Module, title: str, start: int, steps: int, tokens: int, folder: Path | None, console: Console | None
) -> Iterator[Dashboard]:
    """``tokens`` per step; TensorBoard's files in ``folder``, where points from ``start`` on are replaced."""
    writer = None
    if folder is not None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and not every training writes

        writer = SummaryWriter(str(folder), purge_step=start)  # type: ignore[no-untyped-call]
    with _bar(console) as progress:
        resumed = f" from step {start}" if start else ""
        task = progress.add_task(title + resumed, total=steps, completed=start, note="")
        if not progress.console.is_terminal:
            progress.console.print(f"{title}{resumed}: {steps} steps of {tokens:,} tokens")
        try:
            yield Dashboard(model, task, progress, writer, tokens)
        finally:
            if writer:
                writer.close()  # type: ignore[no-untyped-call]


def _bar(console: Console | None) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(8),  # the numbers say more
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(compact=True),
        console=console or Console(stderr=True),
    )
