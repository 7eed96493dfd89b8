"""The float LIF is spikingjelly's, spike for spike, in plain PyTorch and in each kernel; it can be cut at any token.

Where Python finds spikingjelly, ``pytest -n0 -s tests/test_model_lif.py`` prints the table of docs/quality.md.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spikegpt_hls.model import kernels
from spikegpt_hls.model.lif import LIFFunction

BATCH, TOKENS, CHANNELS = 4, 250, 100


def spikingjelly_equation(x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """spikingjelly 2.0.0, ``charge`` of ``_ops/lif/reference.py`` and ``voltage`` of ``_ops/reset.py``, for
    ``LIFNode(tau=2., decay_input=True, v_threshold=1., v_reset=0., step_mode="m")``."""
    spikes = []
    for t in range(x.shape[1]):
        h = v + (x[:, t] - (v - 0.0)) / 2.0
        spike = (h - 1.0 >= 0).to(h.dtype)
        v = spike * 0.0 + (1.0 - spike) * h
        spikes.append(spike)
    return torch.stack(spikes, 1), v


def lerped(x: Tensor) -> Tensor:
    """The spikes of ``x - (x - v)/2``, which is rounded otherwise."""
    v, spikes = torch.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        h = torch.lerp(v, x[:, t], 0.5)
        v = torch.where(h >= 1, 0.0, h)
        spikes.append((h >= 1).to(x.dtype))
    return torch.stack(spikes, 1)


def some_infinite(normal: Tensor) -> Tensor:
    """One in 50 of them, one of which is first."""
    far = torch.where(torch.rand(normal.shape, generator=torch.Generator().manual_seed(1)) < 0.5, -math.inf, math.inf)
    chosen = torch.rand(normal.shape, generator=torch.Generator().manual_seed(2)) < 0.02
    chosen[0, 0, 0], far[0, 0, 0] = True, math.inf
    return torch.where(chosen, far.to(normal.dtype), 2 * normal)


INPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "randn x 0.1": lambda n: 0.1 * n,
    "randn": lambda n: n,
    "randn x 2": lambda n: 2 * n,
    "randn x 10,000": lambda n: 1e4 * n,
    "k/16": lambda n: (16 * n).round() / 16,
    "+3, -3, ...": lambda n: (3 - 6 * (torch.arange(n.shape[1], dtype=n.dtype) % 2))[None, :, None].expand_as(n),
    "1": torch.ones_like,
    "2 - 1 ulp": lambda n: torch.full_like(n, 2).nextafter(torch.ones_like(n)),
    "infinities": some_infinite,
    "below normal": lambda n: 3 * torch.finfo(n.dtype).tiny * n,
}
BOTH = [torch.float32, torch.float64]


def made(name: str, dtype: torch.dtype) -> Tensor:
    normal = torch.randn(BATCH, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return INPUTS[name](normal)


@pytest.fixture(params=["plain", "compiled", "triton"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which implementation ``LIFFunction`` runs."""
    torch.set_num_threads(1)
    if request.param == "triton":
        request.getfixturevalue("interpreted")
    monkeypatch.setenv(kernels.VARIABLE, "torch" if request.param == "plain" else "")
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", BOTH, ids=str)
@pytest.mark.parametrize("name", INPUTS)
def test_spikes_and_membranes_are_those_of_spikingjellys_equation(path: str, name: str, dtype: torch.dtype) -> None:
    x = made(name, dtype)
    x = x[:1, :60, :40] if path == "triton" else x  # its interpreter is slow
    before = 0.5 * x[:, -1].nan_to_num(0, 0, 0)
    for membrane in (torch.zeros_like(before), before):
        spikes, after = LIFFunction.apply(x, membrane)
        expected, expected_after = spikingjelly_equation(x, membrane)
        assert torch.equal(spikes, expected)
        assert torch.equal(after.nan_to_num(9e9), expected_after.nan_to_num(9e9))


def test_an_infinite_input_spikes(path: str) -> None:
    x = torch.tensor([math.inf, -math.inf, 2]).view(1, 1, 3)
    assert LIFFunction.apply(x, torch.zeros(1, 3))[0].tolist() == [[[1, 0, 1]]]


@pytest.mark.parametrize("dtype", BOTH, ids=str)
def test_every_spike_is_spikingjellys(dtype: torch.dtype) -> None:
    reason = "spikingjelly is not installed: its own code was not run, its equation was"
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason=reason)
    surrogate = pytest.importorskip("spikingjelly.activation_based.surrogate", reason=reason)
    for name in INPUTS:
        x = made(name, dtype)
        theirs = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.ATan(alpha=2.0), step_mode="m")
        expected = theirs(x.transpose(0, 1)).transpose(0, 1)
        spikes = LIFFunction.apply(x, torch.zeros_like(x[:, 0]))[0]
        wrong, lerps = (int((found != expected).sum()) for found in (spikes, lerped(x)))
        print(f"| {name} | {str(dtype)[6:]} | {int(expected.sum()):,} of {x.numel():,} | {wrong:,} | {lerps:,} |")
        assert torch.equal(spikes, expected), name


@pytest.mark.parametrize("path", ["plain", "compiled"], indirect=True)
def test_gradients_pass_through_a_carried_membrane(path: str) -> None:
    """A sequence in three parts, each from the membrane that the one before it left, has the gradients of the whole."""
    generator = torch.Generator().manual_seed(0)
    x = (2 * torch.randn(2, 30, 5, generator=generator).double() + 0.5).requires_grad_()
    start = torch.randn(2, 5, generator=generator).double().requires_grad_()
    weight, last = torch.randn(2, 30, 5, generator=generator).double(), torch.randn(2, 5, generator=generator).double()

    def gradients(*cuts: int) -> tuple[Tensor, ...]:
        membrane, spikes = start, []
        for part in x.tensor_split(cuts, 1):
            s, membrane = LIFFunction.apply(part, membrane)
            spikes.append(s)
        return torch.autograd.grad((torch.cat(spikes, 1) * weight).sum() + (membrane * last).sum(), (x, start))

    whole = gradients()
    assert all((g != 0).all() for g in whole)
    assert all(map(torch.equal, gradients(7, 8), whole))
