"""Text from the integer model."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from spikegpt_hls.cli.request import Request
from spikegpt_hls.cli.steps import train

PROMPT = "The "
TOKENS = 128


def sampler_settings(request: Request) -> dict[str, float]:
    """The sampler's arguments; the seed also picks the tokens of a co-simulated prompt."""
    asked = {name: request.options.get(name) for name in ("seed", "temperature", "top_p")}
    return {"seed": 0, "temperature": 0.8, "top_p": 0.9} | {k: v for k, v in asked.items() if v is not None}


def tokens(request: Request, prompt: bytes, count: int) -> Iterator[int]:
    """The ids that follow ``prompt``, as the integer model and the seed pick them."""
    from spikegpt_hls.model.generate import generate
    from spikegpt_hls.model.sampling import Sampler
    from spikegpt_hls.quant.storage import load_network

    network, _ = load_network(request.workspace.checkpoint)
    sampler = Sampler(**sampler_settings(request))  # type: ignore[arg-type]
    return generate(network, prompt, count, sampler)


def make(request: Request) -> None:
    """Print the prompt and its continuation, each byte as it comes."""
    train.make(Request(request.workspace, {**request.options, "seed": None}, request.console))
    prompt = (request.options.get("prompt") or PROMPT).encode()
    continuation = tokens(request, prompt, request.options.get("tokens") or TOKENS)  # bad settings end here
    out = sys.stdout.buffer
    out.write(prompt)
    for token in continuation:
        out.write(bytes([token]))
        out.flush()
    out.write(b"\n")
    out.flush()
