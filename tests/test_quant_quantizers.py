"""Learned power-of-two scales, and widths by layer."""

import math

import numpy as np
import pytest
import torch
from brevitas.core.quant import RescalingIntQuant
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint

from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.kernels import VARIABLE
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.quantizers import Edge, PowerOfTwoQuant
from spikegpt_hls.quant.units import on_grid
from spikegpt_hls.quant.widths import WEIGHT_BITS, Widths


def quantizer(bits: int, log2_range: float, narrow: bool = False) -> PowerOfTwoQuant:
    quant = PowerOfTwoQuant(bits, signed=True, narrow_range=narrow, max_frac=12)
    torch.nn.init.constant_(quant.log2_range, log2_range)
    return quant


@pytest.mark.parametrize(("bits", "log2_range"), [(8, 2.0), (8, -1.3), (4, 0.4), (2, 1.0)])
def test_training_computes_the_grid_that_evaluation_uses(bits: int, log2_range: float) -> None:
    quant = quantizer(bits, log2_range)
    x = torch.cat([torch.randn(2000) * 3, torch.arange(-64, 64) / 16])  # the latter hold every tie
    assert torch.equal(quant(x)[0], on_grid(quant.format, x))


@pytest.mark.parametrize("kernels", ["compiled", "torch"])
def test_gradients_equal_those_of_brevitas(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv(VARIABLE, "" if kernels == "compiled" else kernels)

    class Learned(Int8ActPerTensorFixedPoint):
        scaling_impl_type = "parameter"
        scaling_init = 1.5

    theirs = Learned.tensor_quant
    assert isinstance(theirs, RescalingIntQuant)
    ours = quantizer(8, theirs.scaling_impl.value.item())
    results = []
    for quant in (theirs, ours):
        x = torch.linspace(-4, 4, 1001).requires_grad_()
        y, *_ = quant(x)
        (y * torch.arange(1001) / 1001).sum().backward()
        log2_range = next(quant.parameters())
        results.append((y.detach(), x.grad, log2_range.grad))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_a_scale_moves_to_where_the_error_is_smaller() -> None:
    torch.manual_seed(0)
    quant, x = quantizer(4, 5.0), torch.randn(4096)
    optimizer = torch.optim.Adam(quant.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        (quant(x)[0] - x).square().mean().backward()
        optimizer.step()
    best = quantizer(4, 0.0)
    best.settle(x.double().numpy())
    assert quant.format == best.format != quantizer(4, 5.0).format


def test_ternary_weights_learn_wherever_they_lie_and_their_scale_stays() -> None:
    quant, x = quantizer(2, 1.0, narrow=True), torch.tensor([-9.0, -0.6, 0.1, 0.9, 40.0]).requires_grad_()
    y, *_ = quant(x)
    assert y.tolist() == [-1, -1, 0, 1, 1]
    (y * torch.arange(1, 6)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 2, 3, 4, 5]
    assert not quant.log2_range.requires_grad


def test_a_scale_stays_within_the_grids_that_hardware_has() -> None:
    assert quantizer(8, -40.0).format.frac == 12
    assert quantizer(8, 40.0).format.frac == 0


def test_widths_by_layer_reach_the_hardware_graph() -> None:
    network = QuantSpikeGPT(Config(2, 16, 64), "4, head=8, blocks.1.*=2", "8, *.gate=5, blocks.0.ln1=6").eval()
    operations = {node.name: node.operation for node in blocks(network)}
    weights = {name: op.weight.bits for name, op in operations.items() if hasattr(op, "weight")}
    assert {bits for name, bits in weights.items() if name.startswith("blocks_0")} == {4}
    assert {bits for name, bits in weights.items() if name.startswith("blocks_1")} == {2}
    assert weights["head"] == 8
    written = {name: op.out.bits for name, op in operations.items()}
    assert [written[name] for name in ("blocks_0_att_gate", "blocks_1_ffn_gate", "blocks_0_ln1", "blocks_1_ln1")] == [
        5,
        5,
        6,
        8,
    ]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (3, "weights have 2, 4, 8 bits, not 3"),
        ("4, head=five", "weights have 2, 4, 8 bits, not five"),
        ("head=8", "start with the common width"),
        ("4, 8", "start with the common width"),
        ("", "not none"),
    ],
)
def test_widths_that_cannot_be_are_refused(setting: int | str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        Widths(setting, WEIGHT_BITS, "weights")


def test_a_pattern_that_fits_no_layer_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no layer with weights is called blocks\.7\.\*"):
        QuantSpikeGPT(Config(1, 8, 16), "8, blocks.7.*=4")


def test_calibration_takes_the_scale_with_the_least_error() -> None:
    edge = Edge(8)
    edge.samples = []
    x = torch.randn(5000) * 0.7
    edge(x)
    edge.settle()
    errors = {f: float((on_grid_at(x, f) - x).square().mean()) for f in range(13)}
    assert edge.format.frac == max(f for f in errors if math.isclose(errors[f], min(errors.values())))


def test_of_grids_that_lose_nothing_the_finest_is_taken() -> None:
    """Whole numbers up to 3 lie on every grid from 0 to 5 fraction bits of a signed byte."""
    quant = quantizer(8, 0.0)
    quant.settle(np.array([3.0, -2.0, 1.0]))
    assert quant.format.frac == 5


def on_grid_at(x: torch.Tensor, frac: int) -> torch.Tensor:
    return torch.from_numpy(np.clip(np.rint(np.ldexp(x.numpy(), frac)), -128, 127) * 2.0**-frac)
