"""SpikeGPT with quantizers: trains through surrogates, evaluates as integers (see ``quant.units``)."""

from __future__ import annotations

import re
from collections import defaultdict

import torch
from torch import nn

from spikegpt_hls.model.channel_mix import THETA
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.time_mix import time_mix_schedule
from spikegpt_hls.quant.format import Format, bits_for
from spikegpt_hls.quant.plain_units import LIF, Gate, Residual, Sigmoid, SquaredReLU
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.trained_units import (
    WKV,
    BinaryEmbedding,
    GradedSpike,
    LayerNorm,
    Linear,
    TokenShift,
    shifted,
)
from spikegpt_hls.quant.units import Module, Network, Node, Run, Stream
from spikegpt_hls.quant.widths import Precision

FORMATS = ("own", "shared")
_ANY_LAYER = re.compile(r"^blocks\.\d+\.")


class Mixer(nn.Module):
    """A part of a block, with neurons at those of its sites that the configuration names, and a residual that adds what
    the part sends: spikes, or what ``edge`` lets through."""

    def __init__(self, config: Config, part: str) -> None:
        super().__init__()
        behind = {"att": "lif1", "ffn": "lif2"}[part]
        self.sites = {site.partition(".")[2] for site in config.sites if site.startswith(f"{part}.")}
        self.sites |= {"lif"} if behind in config.sites else set()
        self.drive = config.drive

    def place(self, channels: int, hidden: int, edge: Edge) -> None:
        """To be called at the end of the construction."""
        for site in sorted(self.sites):
            setattr(self, site, LIF(hidden if site == "lif_h" else channels, self.drive))
        self.residual = Residual(channels) if "lif" in self.sites else Residual(channels, edge)

    def fired(self, run: Run, site: str, x: Stream) -> Stream:
        """The spikes that ``x`` raises at a site, or ``x`` itself where no neuron stands."""
        return getattr(self, site)(run, x) if site in self.sites else x  # type: ignore[no-any-return]


class TimeMix(Mixer):
    """``x + output(sigmoid(r) * wkv(k, v))``, with neurons where they are placed (``model.placement``)."""

    def __init__(self, config: Config, layer: int, widths: Precision) -> None:
        super().__init__(config, "att")
        channels = config.channels
        for name, value in time_mix_schedule(config, layer).items():
            setattr(self, name, nn.Parameter(value))
        for name in "kvr":
            setattr(self, f"shift_{name}", TokenShift(channels, self, f"time_mix_{name}"))
        for name in ("key", "value", "receptance", "output"):
            setattr(self, name, Linear(channels, channels, widths.weight(name), Edge(widths.activation(name))))
        self.sigmoid, self.wkv = Sigmoid(channels), WKV(channels, self)
        self.gate = Gate(channels, widths.activation("gate"))
        self.place(channels, config.hidden_channels, self.output.out)

    def forward(self, run: Run, x: Stream, normed: Stream) -> Stream:
        k, v, r = shifted(run, normed, self.shift_k, self.shift_v, self.shift_r)
        k, v = self.key(run, self.fired(run, "lif_k", k)), self.value(run, self.fired(run, "lif_v", v))
        r = self.sigmoid(run, self.receptance(run, self.fired(run, "lif_r", r)))
        y = self.gate(run, r, self.wkv(run, k, v))
        y = self.output(run, self.fired(run, "lif_o", y))
        return self.residual(run, x, self.fired(run, "lif", y))  # type: ignore[no-any-return]


class ChannelMix(Mixer):
    """``x + sigmoid(r) * value(relu(key(.))**2)``, with neurons where they are placed (``model.placement``)."""

    def __init__(self, config: Config, layer: int, widths: Precision) -> None:
        super().__init__(config, "ffn")
        channels, hidden = config.channels, config.hidden_channels
        mu = time_mix_schedule(config, layer)["time_mix_k"]
        self.time_mix_k, self.time_mix_r = nn.Parameter(mu), nn.Parameter(mu.clone())
        self.shift_k, self.shift_r = TokenShift(channels, self, "time_mix_k"), TokenShift(channels, self, "time_mix_r")
        bits = config.hidden == "bits"
        key = Edge(widths.activation("key"), signed=bits)  # a ReLU is this edge's lower end
        self.key = Linear(channels, hidden, widths.weight("key"), key)
        self.theta = nn.Parameter(torch.full((hidden,), THETA)) if config.theta else None
        if config.theta:
            self.graded_spike = GradedSpike(hidden, self, widths.activation("squared_relu"))
        elif not bits:
            self.squared_relu = SquaredReLU(hidden, widths.activation("squared_relu"))
        for name, inputs in (("value", hidden), ("receptance", channels)):
            setattr(self, name, Linear(inputs, channels, widths.weight(name), Edge(widths.activation(name))))
        self.sigmoid, self.gate = Sigmoid(channels), Gate(channels, widths.activation("gate"))
        self.place(channels, hidden, self.gate.out)

    def forward(self, run: Run, x: Stream, normed: Stream) -> Stream:
        k, r = shifted(run, normed, self.shift_k, self.shift_r)
        h = self._hidden(run, self.key(run, self.fired(run, "lif_k", k)))
        r = self.sigmoid(run, self.receptance(run, self.fired(run, "lif_r", r)))
        y = self.gate(run, r, self.value(run, h))
        return self.residual(run, x, self.fired(run, "lif", y))  # type: ignore[no-any-return]

    def _hidden(self, run: Run, k: Stream) -> Stream:
        if self.theta is not None:
            return self.graded_spike(run, k)  # type: ignore[no-any-return]
        return self.fired(run, "lif_h", k) if "lif_h" in self.sites else self.squared_relu(run, k)


class Block(nn.Module):
    def __init__(self, config: Config, layer: int, widths: Precision) -> None:
        super().__init__()
        if layer == 0:
            self.ln0 = LayerNorm(config.channels, widths.activation("ln0"))
        self.ln1 = LayerNorm(config.channels, widths.activation("ln1"))
        self.ln2 = LayerNorm(config.channels, widths.activation("ln2"))
        self.att = TimeMix(config, layer, widths.inside("att"))
        self.ffn = ChannelMix(config, layer, widths.inside("ffn"))

    def forward(self, run: Run, x: Stream) -> Stream:
        x = self.att(run, x, self.ln1(run, x))
        return self.ffn(run, x, self.ln2(run, x))  # type: ignore[no-any-return]


class QuantSpikeGPT(Network):
    """SpikeGPT whose ``eval()`` is exact integer arithmetic: ids (B, T) to logits (B, T, outputs).

    ``weight_bits`` and ``activation_bits`` are one width for all layers, or widths by layer (``quant.widths``).
    ``formats``: whether edges have scales of their ``own``, or ``shared`` by those of the same name in all layers, as
    hardware needs them that one layer's blocks compute (``depth=folded``). Weights have their own either way.
    """

    def __init__(
        self, config: Config, weight_bits: int | str = 8, activation_bits: int | str = 8, formats: str = "own"
    ) -> None:
        super().__init__()
        if formats not in FORMATS:
            raise ModelError(f"unknown formats {formats!r}: choose one of {', '.join(FORMATS)}")
        self.config, self.formats = config, formats
        widths = Precision.of(weight_bits, activation_bits)
        self.weight_bits, self.activation_bits = widths.weights.setting, widths.activations.setting
        self.emb = BinaryEmbedding(config.vocabulary, config.channels)
        self.blocks = nn.ModuleList(
            Block(config, layer, widths.inside(f"blocks.{layer}")) for layer in range(config.layers)
        )
        self.ln_out = LayerNorm(config.channels, widths.activation("ln_out"))
        self.head = Linear(config.channels, config.outputs, widths.weight("head"), None)
        widths.check_used()
        self.residuals = [unit for unit in self.units() if isinstance(unit, Residual)]
        self.source = self.emb.operation().source("ids")
        self.name_units()
        self._share_scales()

    def together(self, kind: type[Module]) -> list[list[Module]]:
        """Modules of a kind, by those that have one format: each by itself, or with those of its name in all layers."""
        groups: dict[str, list[Module]] = defaultdict(list)
        for path, module in self.named_modules():
            if isinstance(module, kind):
                groups[_ANY_LAYER.sub("blocks.", path) if self.formats == "shared" else path].append(module)
        return list(groups.values())

    def _share_scales(self) -> None:
        for first, *others in self.together(Edge):
            for edge in others:
                edge.share(first)

    def join(self, run: Run, x: Stream) -> Stream:
        x = self.blocks[0].ln0(run, self.emb(run, x))
        self._widen_residuals(x.format)
        for block in self.blocks:
            x = block(run, x)
        return self.head(run, self.ln_out(run, x))  # type: ignore[no-any-return]

    def _widen_residuals(self, x: Format) -> None:
        """One format for the whole residual stream, in which what all layers add never saturates."""
        lows, highs = zip(*(unit.reach(x.frac) for unit in self.residuals), strict=True)
        out = Format(bits_for(x.lo + sum(lows), x.hi + sum(highs)), x.frac)
        for unit in self.residuals:
            unit.out = out

    def warm_start(self, model: SpikeGPT) -> None:
        """Take over a float network's parameters; quantizers keep theirs."""
        own = self.state_dict()
        with torch.no_grad():
            for name, value in model.state_dict().items():
                own[name].copy_(value)

    def float_twin(self) -> SpikeGPT:
        """The float SpikeGPT with the same parameters, all quantizers off."""
        twin = SpikeGPT(self.config)
        own = self.state_dict()
        twin.load_state_dict({name: own[name] for name in twin.state_dict()})
        return twin


def blocks(network: Network) -> list[Node]:
    """Every operation in topological order, with its integer parameters and the nodes it reads."""
    nodes: list[Node] = []
    training = network.training
    with torch.no_grad():
        network.eval().compute(Run(nodes=nodes), network.silence(1))
    network.train(training)
    return nodes
