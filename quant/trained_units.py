"""The units with parameters, under the released names; see ``quant.units``."""

from __future__ import annotations

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.channel_mix import squared_relu
from spikegpt_hls.model.lif import SpikeFunction
from spikegpt_hls.model.time_mix import shift_mix
from spikegpt_hls.model.wkv import wkv
from spikegpt_hls.quant import ops
from spikegpt_hls.quant.fake_quantize import Grid, fake_quantize, quantized_layer_norm, quantized_shift_mix
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops.wkv import FORMATS, quantize
from spikegpt_hls.quant.quantizers import (
    BIAS,
    GAIN_BITS,
    MU,
    Edge,
    FixedWeight,
)
from spikegpt_hls.quant.units import Rounding, Run, Stream, Unit, on_grid


class BinaryEmbedding(Unit):
    """Parameter ``weight`` (vocabulary, channels), of which only the signs count."""

    def __init__(self, vocabulary: int, channels: int) -> None:
        super().__init__()
        self.vocabulary, self.channels = vocabulary, channels
        self.weight = nn.Parameter(torch.randn(vocabulary, channels) * 0.1)

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.BinaryEmbedding(ops.BIT, self.vocabulary, self.channels)

    def params(self) -> dict[str, Tensor]:
        return {"table": (self.weight.detach() >= 0).float()}

    def surrogate(self, *streams: Stream) -> Tensor:
        return SpikeFunction.apply(F.embedding(streams[0].value, self.weight))  # type: ignore[no-any-return]


class LayerNorm(Unit):
    """Parameters ``weight`` and ``bias`` (channels,)."""

    gain_frac: Tensor

    def __init__(self, channels: int, bits: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("gain_frac", torch.tensor(5))
        self.out = Edge(bits)

    @property
    def gain(self) -> Format:
        return Format(GAIN_BITS, int(self.gain_frac))

    def settle(self, *others: LayerNorm) -> None:
        """Room for gains of up to twice today's, here and in ``others`` that share the format."""
        norms = (self, *others)
        reach = 2 * max(float(norm.weight.detach().abs().max()) for norm in norms)
        for norm in norms:
            norm.gain_frac.fill_(min(max(GAIN_BITS - 1 - int(np.ceil(np.log2(max(reach, 2.0**-4)))), 0), 10))

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.LayerNorm(self.out.format, self.channels, formats[0], self.gain, BIAS)

    def params(self) -> dict[str, Tensor]:
        return {"gain": on_grid(self.gain, self.weight), "bias": on_grid(BIAS, self.bias)}

    def surrogate(self, *streams: Stream) -> Tensor:
        x = streams[0].value
        if self.calibrating:
            return self.out(F.layer_norm(x, self.weight.shape, self.weight, self.bias))  # type: ignore[no-any-return]
        r, grid = self.out.scale_and_grid
        grids = Grid.of(self.gain), Grid.of(BIAS), grid
        return quantized_layer_norm(x, self.weight, self.bias, r, *grids)  # type: ignore[no-any-return]


class TokenShift(Unit):
    """Reads ``mu`` (1, 1, channels) from its mixer, under the released name; the output keeps the input's format."""

    def __init__(self, channels: int, mixer: nn.Module, name: str) -> None:
        super().__init__()
        self.channels = channels
        self.mu = lambda: getattr(mixer, name)  # not a submodule: the parameter stays where released code has it

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.TokenShift(formats[0], self.channels, formats[0], MU)

    def params(self) -> dict[str, Tensor]:
        return {"mu": on_grid(MU, self.mu().flatten())}

    def surrogate(self, *streams: Stream) -> Tensor:
        return self.mix(streams[0], self)[0]

    def mix(self, x: Stream, *units: TokenShift) -> tuple[Tensor, ...]:
        """What ``units``, which all read ``x``, write."""
        mus = [unit.mu() for unit in units]
        if self.calibrating:
            return shift_mix(x.value, None, *mus)  # type: ignore[no-any-return]
        return quantized_shift_mix(x.value, Grid.of(MU), Grid.of(x.format), *mus)  # type: ignore[no-any-return]


def shifted(run: Run, x: Stream, *units: TokenShift) -> tuple[Stream, ...]:
    """What token shifts that read the same stream write; in training in one pass."""
    if not units[0].training:
        return tuple(unit(run, x) for unit in units)
    return tuple(Stream(mixed, x.format, unit.node) for unit, mixed in zip(units, units[0].mix(x, *units), strict=True))


class Linear(qnn.QuantLinear, Unit):
    """Parameter ``weight`` (outputs, inputs); ``out`` is None where the accumulators themselves leave."""

    def __init__(self, inputs: int, outputs: int, weight_bits: int, out: Edge | None) -> None:
        super().__init__(inputs, outputs, bias=False, weight_quant=FixedWeight, weight_bit_width=weight_bits)
        self.out = out

    @property
    def weight_format(self) -> Format:
        return self.weight_quant.tensor_quant.format  # type: ignore[no-any-return]

    def settle(self) -> None:
        """Choose the scale from today's weights."""
        self.weight_quant.tensor_quant.settle(self.weight.detach().double().numpy())

    def operation(self, *formats: Format) -> ops.Operation:
        sizes = self.in_features, self.out_features
        if self.out is not None:
            return ops.Linear(self.out.format, *sizes, formats[0], self.weight_format)
        accumulator = ops.Linear(ops.BIT, *sizes, formats[0], self.weight_format).accumulator
        return ops.Linear(accumulator, *sizes, formats[0], self.weight_format)

    def params(self) -> dict[str, Tensor]:
        """By way of Brevitas's proxies, whose export writes the weights as a QONNX ``Quant``."""
        weight = self.quant_weight()
        return {"weight": weight if isinstance(weight, Tensor) else weight.value}

    def surrogate(self, *streams: Stream) -> Tensor:
        y = F.linear(streams[0].value, self.weight_quant.tensor_quant.rounded(self.weight))
        return self.out(y) if self.out and self.calibrating else y

    def rounding(self, out: Format) -> Rounding | None:
        return self.out.scale_and_grid if self.out else None

    def forward(self, run: Run, *streams: Stream) -> Stream:
        return Unit.forward(self, run, *streams)


class GradedSpike(Unit):
    """``max(x - theta, 0)**2``; reads ``theta`` (channels,) from its mixer."""

    def __init__(self, channels: int, mixer: nn.Module, bits: int = 8) -> None:
        super().__init__()
        self.channels = channels
        self.out = Edge(bits, signed=False)
        self.theta = lambda: mixer.theta

    def operation(self, *formats: Format) -> ops.Operation:
        return ops.GradedSpike(self.out.format, self.channels, formats[0])

    def params(self) -> dict[str, Tensor]:
        return {"theta": on_grid(self._grid, self.theta())}

    def forward(self, run: Run, *streams: Stream) -> Stream:
        self._grid = ops.GradedSpike(self.out.format, self.channels, streams[0].format).param_format("theta")
        return super().forward(run, *streams)

    def surrogate(self, *streams: Stream) -> Tensor:
        x, theta = streams[0].value, self.theta()
        if not self.calibrating:
            theta = fake_quantize(theta, None, Grid.of(self._grid))
        return self.out(squared_relu(x - theta))  # type: ignore[no-any-return]


class WKV(Unit):
    """Reads ``time_decay`` and ``time_first`` (channels,) from its mixer, under the released names."""

    def __init__(self, channels: int, mixer: nn.Module) -> None:
        super().__init__()
        self.channels = channels
        self.mixer = lambda: mixer

    def operation(self, *formats: Format) -> ops.Operation:
        k, v = formats
        return ops.WKV(Format(10, v.frac + 2), self.channels, k, v)

    def params(self) -> dict[str, Tensor]:
        mixer = self.mixer()
        integers = quantize(mixer.time_decay.detach().double().numpy(), mixer.time_first.detach().double().numpy())
        return {name: torch.from_numpy(FORMATS[name].real(value)).float() for name, value in integers.items()}

    def surrogate(self, *streams: Stream) -> Tensor:
        k, v = streams
        y, _ = wkv(self.mixer().time_decay, self.mixer().time_first, k.value, v.value)
        return y  # type: ignore[no-any-return]

    def rounding(self, out: Format) -> Rounding | None:
        return None, Grid.of(out)
