"""A checkpoint to start from: the float network in it, released or written here, and the tokenizer that is its own."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

from spikegpt_hls.model import checkpoint
from spikegpt_hls.model.corpus import tokenizer as tokenizers
from spikegpt_hls.model.corpus.tokenizer import ByteTokenizer, Tokenizer
from spikegpt_hls.model.corpus.tokens import Corpus
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.training.evaluate import nats_per_token
from spikegpt_hls.quant.storage import load_network

WINDOWS = 8  # of held-out text
FAR = 0.8


def pretrained(path: Path, tokenizer: Tokenizer | None = None, **kind: Any) -> tuple[SpikeGPT, Tokenizer]:
    """The network, and the ``tokenizer`` or that beside the checkpoint; ModelError where the two do not fit.

    ``kind``: the neurons, placement and hidden layer that are asked for, which released weights do not tell.
    """
    body, header = network_in(path, **kind)
    beside = tokenizer or (_beside(path) if header is None else tokenizers.beside(path, header))
    if beside.vocabulary != body.config.vocabulary:
        raise ModelError(
            f"{path.name} has a vocabulary of {body.config.vocabulary}, its tokenizer one of {beside.vocabulary}: "
            + (f"put the right {tokenizers.FILE} beside it" if tokenizer is None else "name the right one")
        )
    return body, beside


def network_in(path: Path, **kind: Any) -> tuple[SpikeGPT, dict[str, Any] | None]:
    """The float network in a checkpoint, and the header of one that was written here; ``kind`` as ``pretrained``'s."""
    if path.suffix != ".safetensors" or not any(".tensor_quant." in name for name in checkpoint.names(path)):
        return SpikeGPT.from_pretrained(path, **kind), None
    network, header = load_network(path)
    body = network.float_twin()
    for name, asked in kind.items():
        if getattr(body.config, name) != asked:
            raise ModelError(f"{path.name} has {name}={getattr(body.config, name)}, not {name}={asked}: name it")
    return body, header


def check_neurons(body: SpikeGPT, corpus: Corpus, context: int, name: str) -> None:
    """ModelError for weights that were trained without neurons and are read as a spiking network.

    RWKV-4's have the names and shapes of SpikeGPT's. What tells them apart is how well they read a text.
    """
    twin = SpikeGPT(replace(body.config, neurons="none"))
    twin.load_state_dict(body.state_dict())
    _, held_out = corpus.split(context)
    spiking, without = (nats_per_token(model.eval(), held_out, context, WINDOWS) for model in (body, twin))
    if without < FAR * min(spiking, log(body.config.outputs)):
        raise ModelError(
            f"{name} reads the text with {spiking:.2f} nats per token as a spiking network, and with {without:.2f} "
            "without neurons, as RWKV-4: name neurons=none, or neurons=lif to put neurons into it"
        )


def _beside(path: Path) -> Tokenizer:
    file = path.with_name(tokenizers.FILE)
    return tokenizers.load(file) if file.exists() else ByteTokenizer()
