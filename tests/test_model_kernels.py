"""Compiled kernels equal the plain functions in values and gradients, whatever the sizes, strides and threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from spikegpt_hls.model import kernels
from spikegpt_hls.model.channel_mix import squared_relu
from spikegpt_hls.model.kernels import build
from spikegpt_hls.model.lif import LIFFunction
from spikegpt_hls.model.time_mix import gate, shift_mix
from spikegpt_hls.model.wkv import WKVFunction

#: (batch, time, channels): narrower than a vector, some whole strips and a rest, one token.
SHAPES = [(2, 9, 5), (3, 20, 150), (1, 1, 64)]
TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-9}

Inputs = dict[str, Tensor]
#: Every accelerated computation on (B, T, C): its inputs, and the tensors that come out of it.
CASES: dict[str, tuple[Callable[..., Inputs], Callable[[Inputs], tuple[Tensor, ...]]]] = {}


def case(inputs: Callable[..., Inputs]) -> Callable:
    def register(compute: Callable[[Inputs], tuple[Tensor, ...]]) -> None:
        CASES[compute.__name__] = inputs, compute

    return register


@case(lambda n, b, t, c: {"x": 2 * n(b, t, c) + 0.5, "membrane": n(b, c)})
def lif(i: Inputs) -> tuple[Tensor, ...]:
    return LIFFunction.apply(i["x"], i["membrane"].detach())


@case(
    lambda n, b, t, c: (
        {"w": -(n(c) ** 2), "u": n(c), "k": 4 * n(b, t, c), "v": n(b, t, c)} | {s: n(b, c) ** 2 + 0.1 for s in "abp"}
    )
)
def wkv(i: Inputs) -> tuple[Tensor, ...]:
    return WKVFunction.apply(i["w"], i["u"], i["k"], i["v"], *(i[s].detach() for s in "abp"))


@case(lambda n, b, t, c: {"x": n(b, t, c)} | {f"mu{i}": n(1, 1, c).sigmoid() for i in range(2)})
def shift_mix_from_nothing(i: Inputs) -> tuple[Tensor, ...]:
    return shift_mix(i["x"], None, i["mu0"], i["mu1"])


@case(lambda n, b, t, c: {"x": n(b, t, c), "before": n(b, c)} | {f"mu{i}": n(1, 1, c).sigmoid() for i in range(3)})
def shift_mix_from_a_state(i: Inputs) -> tuple[Tensor, ...]:
    return shift_mix(i["x"], i["before"], i["mu0"], i["mu1"], i["mu2"])


@case(lambda n, b, t, c: {"r": 9 * n(b, t, c), "x": n(b, t, c)})
def gated(i: Inputs) -> tuple[Tensor, ...]:
    return (gate(i["r"], i["x"]),)


@case(lambda n, b, t, c: {"x": n(b, t, c)})
def relu_squared(i: Inputs) -> tuple[Tensor, ...]:
    return (squared_relu(i["x"]),)


def values_and_gradients(compute: Callable[[Inputs], tuple[Tensor, ...]], inputs: Inputs) -> Inputs:
    """Outputs by number, gradients by the input's name; every output is weighted differently."""
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    outputs = compute(leaves)
    differentiable = [y for y in outputs if y.requires_grad]
    weighted = sum((y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)).sum() for y in differentiable)
    grads = torch.autograd.grad(weighted, list(leaves.values()), allow_unused=True)
    named = {name: grad for name, grad in zip(leaves, grads, strict=True) if grad is not None}
    return {str(i): y.detach() for i, y in enumerate(outputs)} | named


def made(name: str, shape: tuple[int, int, int], dtype: torch.dtype = torch.float64) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    return CASES[name][0](lambda *size: torch.randn(*size, generator=generator, dtype=dtype), *shape)


def assert_equal(ours: Inputs, expected: Inputs, tolerance: float) -> None:
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        assert ours[name].dtype == value.dtype
        error = (ours[name] - value).abs() / (1 + value.abs())
        assert error.max() <= tolerance, f"{name} differs by {error.max()}"


@pytest.fixture(autouse=True)
def _compiles() -> None:
    """Nothing below compares the plain functions with themselves."""
    torch.set_num_threads(1)
    assert build.library("float") is not None
    assert build.library("double") is not None


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_compiled_equals_plain(monkeypatch: pytest.MonkeyPatch, name: str, shape, dtype: torch.dtype) -> None:
    inputs, compute = made(name, shape, dtype), CASES[name][1]
    ours = values_and_gradients(compute, inputs)
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    assert_equal(ours, values_and_gradients(compute, inputs), TOLERANCE[dtype])
