"""Choosing every binary point from what a float network does on real tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.trained_units import LayerNorm, Linear
from spikegpt_hls.quant.units import Network


def calibrate(network: Network, batches: Iterable[Tensor]) -> None:
    """Settle weights and gains from their values, activations from the float surrogates over ``batches`` of what the
    network reads."""
    for module in network.modules():
        if isinstance(module, Linear):
            module.settle()
    for norm, *others in network.together(LayerNorm):
        norm.settle(*others)
    edges = network.together(Edge)
    for edge in (edge for group in edges for edge in group):
        edge.samples = []
    for unit in network.units():
        unit.calibrating = True
    training = network.training
    network.train()
    with torch.no_grad():
        for ids in batches:
            network(ids)
    for edge, *same in edges:
        edge.settle(*same)
    for unit in network.units():
        unit.calibrating = False
    network.train(training)


def random_network(
    layers: int,
    channels: int,
    seed: int = 0,
    weight_bits: int | str = 8,
    vocabulary: int = 256,
    activation_bits: int | str = 8,
    formats: str = "own",
    **kind: Any,
) -> QuantSpikeGPT:
    """A calibrated network of random weights, in ``eval()``, whose neurons, if it has any, fire: for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SpikeGPT(Config(layers, channels, vocabulary, **kind))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "ln" in name:
                    parameter.add_(0.2 * torch.randn_like(parameter))
                elif name != "emb.weight" and parameter.dim() == 2:
                    drive = 4 if name.endswith(("output.weight", "ffn.value.weight")) else 1  # past the threshold
                    parameter.normal_(std=drive / parameter.shape[1] ** 0.5)
        network = QuantSpikeGPT(model.config, weight_bits, activation_bits, formats)
        network.warm_start(model)
        calibrate(network, [torch.randint(0, vocabulary, (4, 64))])
    network.eval()
    return network
