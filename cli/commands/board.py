"""``load`` and ``chat``: a ULX3S at a serial port, whose SDRAM holds the weights (docs/boards.md)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from spikegpt_hls.cli.errors import WorkspaceError
from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from spikegpt_hls.hls.driver.serial import Board
    from spikegpt_hls.hls.driver.spikegpt import SpikeGPT

PIECE = 8  # tokens that are written before they are shown


@dataclass(frozen=True)
class Serial(Settings):
    """The board."""

    remembered: ClassVar[bool] = False

    port: str | None = setting(
        None, "The serial port of the board.", example="/dev/ttyUSB0", otherwise="where a ULX3S is found"
    )
    patience: float = setting(1.0, "Seconds to wait for an answer of the board.", click.FloatRange(0, min_open=True), 5)


@dataclass(frozen=True)
class Chatting(Settings):
    """What to say to it."""

    remembered: ClassVar[bool] = False

    prompt: str | None = setting(None, "Text to continue.", example="The ", otherwise="lines of the standard input")
    tokens: int = setting(64, "How many tokens to write behind each prompt.", click.IntRange(1), 200)


def load(runner: Runner) -> None:
    """Put the image of the weights into the board's memory, and have the board check it."""
    with _board(runner) as board:
        model = _model(board, runner)
        told = model.geometry
        runner.say(
            f"the board holds {told.layers} layers x {told.channels}, vocabulary {told.vocabulary}: "
            f"{told.memory_bytes:,} bytes, whose SHA-256 is right"
        )


def chat(runner: Runner) -> None:
    """Continue a prompt, or each line of the standard input, on the board."""
    from spikegpt_hls.model import checkpoint
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.model.errors import ModelError

    asked = runner.told(Chatting)
    place = runner.place
    if not place.checkpoint.exists():
        raise WorkspaceError(f"{place.checkpoint} is not there, whose tokenizer is needed to talk to the board")
    used = tokenizer.beside(place.checkpoint, checkpoint.header(place.checkpoint))
    with _board(runner) as board:
        model = _model(board, runner)
        for text in _lines(asked.prompt):
            try:
                ids = used.encode(text.encode(errors="surrogateescape")).tolist()
            except ModelError as error:
                runner.say(f"not sent: {error}")
                continue
            if not ids:
                continue
            sys.stdout.write(text)
            for part in used.decode_stream(_written(model, ids, asked.tokens)):
                sys.stdout.write(part)
                sys.stdout.flush()
            sys.stdout.write("\n")
            sys.stdout.flush()


def _written(model: SpikeGPT, ids: list[int], tokens: int) -> Iterator[int]:
    """The ids that the board picks behind a prompt, as they come."""
    resume = False
    while tokens:
        found = model.generate(ids, min(PIECE, tokens), resume)
        yield from found
        tokens -= len(found)
        ids, resume = found[-1:], True


def _lines(prompt: str | None) -> Iterator[str]:
    if prompt is not None:
        yield prompt
        return
    terminal = sys.stdin.isatty()
    while True:
        if terminal:
            sys.stdout.write("> ")
            sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\r\n")


@contextmanager
def _board(runner: Runner) -> Iterator[Board]:
    """The board, while its port is open."""
    from spikegpt_hls.hls.driver import serial

    asked = runner.told(Serial)
    _image(runner.place)
    with serial.serial_port(asked.port or serial.found_port(), asked.patience) as line:
        yield serial.Board(line, asked.patience)


def _model(board: Board, runner: Runner) -> SpikeGPT:
    """The model on the board, with its weights in the memory; what is there already is not sent."""
    from spikegpt_hls.hls.driver.spikegpt import SpikeGPT

    model = SpikeGPT(board, board)
    columns = (TextColumn("load"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("load")

        def progress(done: int, size: int) -> None:
            bar.update(task, completed=done, total=size)

        board.progress = progress
        model.load(_image(runner.place), board.allocate)
    return model


def _image(place: Workspace) -> Path:
    image = Workspace(place.folder, place.preset, "ulx3s").rtl / "memory.bin"
    if not image.exists():
        raise WorkspaceError(f"{image} is not there: make hls target=ulx3s with weights=memory writes it")
    return image
