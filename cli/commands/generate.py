"""``generate``: text from the integer model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import click

from spikegpt_hls.cli.graph.runner import Runner
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.path import TRAIN
from spikegpt_hls.cli.workspace import Workspace

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Tokenizer

PROMPT = "The "
TOKENS = 128


@dataclass(frozen=True)
class Sampling(Settings):
    """What to write. Where a prompt is given, ``seed`` is the sampler's."""

    remembered: ClassVar[bool] = False

    prompt: str | None = setting(None, "Text to continue.", example="def ", otherwise="none; generate has `The `")
    temperature: float = setting(0.8, "Sampling temperature; 0 takes the likeliest.", click.FLOAT, 0)
    top_p: float = setting(0.9, "Share of the probability that sampling keeps: the likeliest tokens.", click.FLOAT, 0.5)
    seed: int = setting(0, "Seed of the sampler.", click.IntRange(0), 1)

    def sampler(self) -> dict[str, float]:
        """The sampler's arguments."""
        return {"seed": self.seed, "temperature": self.temperature, "top_p": self.top_p}


@dataclass(frozen=True)
class Continuation(Settings):
    """How far to write."""

    remembered: ClassVar[bool] = False

    tokens: int = setting(TOKENS, "How many tokens to generate.", click.IntRange(1), 200)
    stop: str | None = setting(None, "Text at which the continuation ends.", example="END")


def continuation(
    place: Workspace, sampling: Sampling, prompt: bytes, count: int
) -> tuple[Tokenizer, list[int], Iterator[int]]:
    """The checkpoint's tokenizer, the prompt's ids, and those that follow, as the integer model and the seed pick."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.storage import load_network

    sampler = Sampler(**sampling.sampler())  # type: ignore[arg-type]
    network, header = load_network(place.checkpoint)
    used = tokenizer.beside(place.checkpoint, header)
    ids = used.encode(prompt).tolist()
    return used, ids, generate(Stepper(network), ids, count, sampler)


def generate(runner: Runner) -> None:
    """Print the prompt and its continuation, each character as soon as it is whole, up to ``stop``."""
    from spikegpt_hls.model.generate import until

    sampling, asked = runner.told(Sampling), runner.told(Continuation)
    runner.without("seed").make(TRAIN)
    prompt = prompt_bytes(sampling, PROMPT)
    used, _, ids = continuation(runner.place, sampling, prompt, asked.tokens)  # bad settings end here
    out = sys.stdout.buffer
    out.write(prompt)
    out.flush()
    for text in until(used.decode_stream(ids), asked.stop) if asked.stop else used.decode_stream(ids):
        out.write(text.encode())
        out.flush()
    out.write(b"\n")
    out.flush()


def prompt_bytes(sampling: Sampling, default: str = "") -> bytes:
    """The prompt as it was typed, whatever the terminal's encoding."""
    return (sampling.prompt or default).encode(errors="surrogateescape")
