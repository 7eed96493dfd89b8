"""Text from the integer model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import train

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Tokenizer

PROMPT = "The "
TOKENS = 128


def sampler_settings(request: Request) -> dict[str, float]:
    """The sampler's arguments; the seed also picks the tokens of a co-simulated prompt."""
    asked = {name: request.options.get(name) for name in ("seed", "temperature", "top_p")}
    return {"seed": 0, "temperature": 0.8, "top_p": 0.9} | {k: v for k, v in asked.items() if v is not None}


def tokens(request: Request, prompt: bytes, count: int) -> tuple[Tokenizer, list[int], Iterator[int]]:
    """The checkpoint's tokenizer, the prompt's ids, and those that follow, as the integer model and the seed pick."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.export.stepper import Stepper
    from spikegpt_hls.quant.storage import load_network

    sampler = Sampler(**sampler_settings(request))  # type: ignore[arg-type]
    network, header = load_network(request.workspace.checkpoint)
    used = tokenizer.beside(request.workspace.checkpoint, header)
    ids = used.encode(prompt).tolist()
    return used, ids, generate(Stepper(network), ids, count, sampler)


def make(request: Request) -> None:
    """Print the prompt and its continuation, each character as soon as it is whole, up to ``stop``."""
    from spikegpt_hls.model.generate import until

    stop = request.options.get("stop")
    train.make(Request(request.workspace, {**request.options, "seed": None}, request.console))
    prompt = prompt_bytes(request, PROMPT)
    used, _, ids = tokens(request, prompt, request.options.get("tokens") or TOKENS)  # bad settings end here
    out = sys.stdout.buffer
    out.write(prompt)
    out.flush()
    for text in until(used.decode_stream(ids), stop) if stop else used.decode_stream(ids):
        out.write(text.encode())
        out.flush()
    out.write(b"\n")
    out.flush()


def prompt_bytes(request: Request, default: str = "") -> bytes:
    """The prompt as it was typed, whatever the terminal's encoding."""
    return (request.options.get("prompt") or default).encode(errors="surrogateescape")
