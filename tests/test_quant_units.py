"""What a unit trains on is what it computes: the float meaning beside the integer one, on the integers' own streams."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from spikegpt_hls.quant.network import QuantSpikeGPT
from spikegpt_hls.quant.trained_units import WKV, LayerNorm
from spikegpt_hls.quant.training.calibrate import calibrate, random_network
from spikegpt_hls.quant.units import Run, Stream, Unit

#: Steps of its output by which a surrogate may differ, where the integers are not exact: a rounding more or less, and
#: a WKV's short keys and decays. In all others the two are equal.
ALLOWED = {LayerNorm: 1, WKV: 2}
Seen = dict[str, tuple[Unit, tuple[Stream, ...], Stream]]


def watched(network: QuantSpikeGPT, ids: torch.Tensor) -> Seen:
    """What every unit of an evaluation read and wrote."""
    seen: Seen = {}

    def note(unit: Unit, inputs: tuple[Run, *tuple[Stream, ...]], output: Stream) -> None:
        seen[unit.node] = unit, inputs[1:], output

    for unit in network.units():
        unit.register_forward_hook(note)
    with torch.no_grad():
        network(ids)
    return seen


@pytest.mark.parametrize("neurons", ["lif", "none"])
def test_every_unit_trains_on_what_it_computes(neurons: str) -> None:
    torch.set_num_threads(1)
    network = random_network(2, 16, seed=3, vocabulary=32, neurons=neurons)
    with torch.no_grad():
        network.emb.weight[:4] = 0  # no sign: counts as a spike
        for block in network.blocks:
            block.att.time_first.add_(torch.linspace(-1, 1, 16))
    seen = watched(network, torch.randint(0, 32, (2, 60), generator=torch.Generator().manual_seed(0)))
    assert len({type(unit) for unit, _, _ in seen.values()}) == (10 if neurons == "lif" else 9)
    network.double().train()
    for node, (unit, streams, output) in seen.items():
        values = [s.value.double() if s.value.is_floating_point() else s.value for s in streams]
        exact = [replace(s, raw=value, rounding=None) for s, value in zip(streams, values, strict=True)]
        with torch.no_grad():
            trained = Stream(unit.surrogate(*exact), output.format, node, unit.rounding(output.format)).value
        steps = (trained - output.value).abs().max().item() / output.format.scale
        assert steps <= ALLOWED.get(type(unit), 0), f"{node} differs by {steps} steps"


def test_calibration_leaves_the_mode_as_it_was() -> None:
    network = random_network(1, 8, vocabulary=16)
    for mode in (True, False):
        calibrate(network.train(mode), [torch.zeros(1, 4, dtype=torch.int64)])
        assert network.training == mode
        assert not any(unit.calibrating for unit in network.units())


def test_a_layernorms_grid_has_room_for_twice_its_largest_gain() -> None:
    norm = random_network(1, 8, vocabulary=16).ln_out
    for largest, frac in ((0.9, 6), (1.1, 5), (1.0, 6), (3.9, 4), (7.0, 3), (1e-3, 10), (200.0, 0)):
        with torch.no_grad():
            norm.weight.fill_(0.01 if largest > 0.01 else 1e-4)
            norm.weight[2] = -largest
        norm.settle()
        assert norm.gain.frac == frac, largest
