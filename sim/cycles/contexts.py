"""What interleaving is worth: generation of several texts at once against streaming of a prompt.

One text by itself leaves the pipeline empty but for the token that it waits for. As many texts as the pipeline has
stages keep it full; more of them wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.quant.format import Ints
from spikegpt_hls.sim.cycles.schedule import token_times

TOKENS = 32  # of a streamed prompt
ROUNDS = 8  # tokens of each text


@dataclass(frozen=True)
class Interleaving:
    """Cycles of a dataflow that so many texts share."""

    contexts: int
    latency: int  # of a token by itself, from its id to its last logit
    streaming: float  # from one token of a prompt to the next
    generating: float  # from one generated token to the next, of whichever text

    @property
    def stages(self) -> int:
        """Tokens that the pipeline holds: texts that it takes to keep it full."""
        return ceil(self.latency / self.streaming)

    @property
    def share(self) -> float:
        """Tokens per second of generation, of those of a streamed prompt."""
        return self.streaming / self.generating

    @property
    def text_latency(self) -> float:
        """Cycles from one token of a text to its next."""
        return self.contexts * self.generating


def interleaving(
    dataflow: Dataflow, contexts: int | None = None, delay: int = 1, events: Mapping[str, Ints] | None = None
) -> Interleaving:
    """Of ``contexts`` texts (default: those of the dataflow), each id coming ``delay`` cycles after the logits.

    ``events``: as those of ``schedule.simulate``.
    """
    texts = contexts or dataflow.contexts
    alone, prompt = token_times(dataflow, 1, events=events), token_times(dataflow, TOKENS, events=events)
    generated = token_times(dataflow, ROUNDS * texts, generation=delay, contexts=texts, events=events)
    return Interleaving(texts, alone.latency, prompt.cycles_per_token, generated.cycles_per_token)
