"""SpikeGPT with quantizers: trains through surrogates, evaluates as integers (see ``quant.units``)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.time_mix import time_mix_schedule
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.format import Format, bits_for
from spikegpt_hls.quant.plain_units import LIF, Gate, Residual, Sigmoid, SquaredReLU
from spikegpt_hls.quant.quantizers import Edge
from spikegpt_hls.quant.trained_units import WKV, BinaryEmbedding, LayerNorm, Linear, TokenShift, shifted
from spikegpt_hls.quant.units import Node, Run, State, Stream, Unit
from spikegpt_hls.quant.widths import Precision


class TimeMix(nn.Module):
    """``x + LIF(output(sigmoid(r) * wkv(k, v)))``; without neurons, the same without LIF."""

    def __init__(self, config: Config, layer: int, widths: Precision) -> None:
        super().__init__()
        channels = config.channels
        for name, value in time_mix_schedule(config, layer).items():
            setattr(self, name, nn.Parameter(value))
        for name in "kvr":
            setattr(self, f"shift_{name}", TokenShift(channels, self, f"time_mix_{name}"))
        for name in ("key", "value", "receptance", "output"):
            setattr(self, name, Linear(channels, channels, widths.weight(name), Edge(widths.activation(name))))
        self.sigmoid, self.wkv = Sigmoid(channels), WKV(channels, self)
        self.gate = Gate(channels, widths.activation("gate"))
        self.lif, self.residual = neurons(config, self.output.out)

    def forward(self, run: Run, x: Stream, normed: Stream) -> Stream:
        k, v, r = shifted(run, normed, self.shift_k, self.shift_v, self.shift_r)
        k, v = self.key(run, k), self.value(run, v)
        r = self.sigmoid(run, self.receptance(run, r))
        y = self.output(run, self.gate(run, r, self.wkv(run, k, v)))
        return self.residual(run, x, self.lif(run, y) if self.lif else y)  # type: ignore[no-any-return]


class ChannelMix(nn.Module):
    """``x + LIF(sigmoid(r) * value(relu(key(.))**2))``; without neurons, the same without LIF."""

    def __init__(self, config: Config, layer: int, widths: Precision) -> None:
        super().__init__()
        channels, hidden = config.channels, config.hidden
        mu = time_mix_schedule(config, layer)["time_mix_k"]
        self.time_mix_k, self.time_mix_r = nn.Parameter(mu), nn.Parameter(mu.clone())
        self.shift_k, self.shift_r = TokenShift(channels, self, "time_mix_k"), TokenShift(channels, self, "time_mix_r")
        relu = Edge(widths.activation("key"), signed=False)  # the ReLU is this edge's lower end
        self.key = Linear(channels, hidden, widths.weight("key"), relu)
        self.squared_relu = SquaredReLU(hidden, widths.activation("squared_relu"))
        for name, inputs in (("value", hidden), ("receptance", channels)):
            setattr(self, name, Linear(inputs, channels, widths.weight(name), Edge(widths.activation(name))))
        self.sigmoid, self.gate = Sigmoid(channels), Gate(channels, widths.activation("gate"))
        self.lif, self.residual = neurons(config, self.gate.out)

    def forward(self, run: Run, x: Stream, normed: Stream) -> Stream:
        k, r = shifted(run, normed, self.shift_k, self.shift_r)
        k = self.squared_relu(run, self.key(run, k))
        r = self.sigmoid(run, self.receptance(run, r))
        y = self.gate(run, r, self.value(run, k))
        return self.residual(run, x, self.lif(run, y) if self.lif else y)  # type: ignore[no-any-return]


def neurons(config: Config, edge: Edge) -> tuple[LIF | None, Residual]:
    """A LIF and the residual that adds its spikes; or the residual alone, which adds what ``edge`` lets through."""
    channels = config.channels
    return (LIF(channels), Residual(channels)) if config.spiking else (None, Residual(channels, edge))


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


class QuantSpikeGPT(nn.Module):
    """SpikeGPT whose ``eval()`` is exact integer arithmetic: ids (B, T) to logits (B, T, outputs).

    ``weight_bits`` and ``activation_bits`` are one width for all layers, or widths by layer (``quant.widths``).
    """

    def __init__(self, config: Config, weight_bits: int | str = 8, activation_bits: int | str = 8) -> None:
        super().__init__()
        self.config = config
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
        for path, module in self.named_modules():
            if isinstance(module, Unit):
                module.node = path.replace(".", "_")

    def forward(self, ids: Tensor) -> Tensor:
        """Whole sequences from their first token on."""
        return self.compute(Run(), ids)

    def run(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of ``ids`` (B, T) continuing from ``state``, and the state after the last token; needs ``eval()``."""
        if self.training:
            raise ModelError("the quantized network has a state in eval() only")
        run = Run(state or {})
        return self.compute(run, ids), run.after

    def step(self, ids: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """One token: ids (B,) to logits (B, vocabulary), and the state after it."""
        logits, state = self.run(ids[:, None], state)
        return logits[:, 0], state

    def compute(self, run: Run, ids: Tensor) -> Tensor:
        """One pass, leaving in ``run`` what it asks for."""
        ids_format = ops.BinaryEmbedding(ops.BIT, self.config.vocabulary, self.config.channels).ids
        x = self.blocks[0].ln0(run, self.emb(run, Stream(ids, ids_format, "tokens")))
        self._widen_residuals(x.format)
        for block in self.blocks:
            x = block(run, x)
        return self.head(run, self.ln_out(run, x)).value  # type: ignore[no-any-return]

    def _widen_residuals(self, x: Format) -> None:
        """One format for the whole residual stream, in which what all layers add never saturates."""
        lows, highs = zip(*(unit.reach(x.frac) for unit in self.residuals), strict=True)
        out = Format(bits_for(x.lo + sum(lows), x.hi + sum(highs)), x.frac)
        for unit in self.residuals:
            unit.out = out

    def units(self) -> Iterable[Unit]:
        return (module for module in self.modules() if isinstance(module, Unit))

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


def blocks(network: QuantSpikeGPT) -> list[Node]:
    """Every operation in topological order, with its integer parameters and the nodes it reads."""
    nodes: list[Node] = []
    training = network.training
    with torch.no_grad():
        network.eval().compute(Run(nodes=nodes), torch.zeros(1, 1, dtype=torch.int64))
    network.train(training)
    return nodes
