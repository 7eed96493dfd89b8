"""Compiled kernels equal the plain functions in values and gradients, whatever the sizes, strides and threads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spikegpt_hls.cli.bench import training as bench_training
from spikegpt_hls.host import library as host_library
from spikegpt_hls.model import kernels
from spikegpt_hls.model import lif as lif_module
from spikegpt_hls.model import wkv as wkv_module
from spikegpt_hls.model.channel_mix import squared_relu
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.kernels import build
from spikegpt_hls.model.lif import LIFFunction
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.time_mix import gate, shift_mix
from spikegpt_hls.model.wkv import WKVFunction
from spikegpt_hls.quant.fake_quantize import (
    Grid,
    fake_quantize,
    quantized_layer_norm,
    quantized_product,
    quantized_shift_mix,
    quantized_sigmoid,
    quantized_squared_relu,
)
from spikegpt_hls.quant.training.calibrate import random_network

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
    return LIFFunction.apply(i["x"], i["membrane"])


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


#: Both clip some of what a normal distribution gives.
NARROW, WIDE = Grid(3, -12, 12), Grid(4, -30, 36)


def on_grid(x: Tensor) -> Tensor:
    """Multiples of 1/16: what is multiplied or mixed is then exact, and rounds the same however it is computed."""
    return (16 * x).round() / 16


def rounding(inputs: Callable[..., Inputs]) -> Callable:
    """A case whose output is rounded, so that its gradient is no derivative; with the logarithms that some have."""

    def register(compute: Callable[[Inputs], tuple[Tensor, ...]]) -> None:
        ROUNDING.add(compute.__name__)
        case(lambda n, b, t, c: {**inputs(n, b, t, c), "r": 0 * n(1)[0], "r_x": 0 * n(1)[0]})(compute)

    return register


ROUNDING: set[str] = set()


@rounding(lambda n, b, t, c: {"x": n(b, t, c)})
def rounded(i: Inputs) -> tuple[Tensor, ...]:
    return (fake_quantize(i["x"], i["r"], NARROW),)


@rounding(lambda n, b, t, c: {"x": on_grid(n(b, t, c)), "y": on_grid(n(b, t, c))})
def rounded_product(i: Inputs) -> tuple[Tensor, ...]:
    return (quantized_product(i["x"], i["r_x"], WIDE, i["y"], i["r"], NARROW),)


@rounding(lambda n, b, t, c: {"x": on_grid(n(b, t, c))})
def rounded_squared_relu(i: Inputs) -> tuple[Tensor, ...]:
    return (quantized_squared_relu(i["x"], i["r_x"], WIDE, i["r"], Grid(3, 0, 24)),)


@rounding(lambda n, b, t, c: {"x": 3 * n(b, t, c)})
def rounded_sigmoid(i: Inputs) -> tuple[Tensor, ...]:
    return (quantized_sigmoid(i["x"], i["r_x"], WIDE, Grid(8, 0, 250)),)


@rounding(lambda n, b, t, c: {"x": n(b, t, c), "gain": 1 + n(c), "bias": n(c)})
def rounded_layer_norm(i: Inputs) -> tuple[Tensor, ...]:
    grids = Grid(5, -64, 63), Grid(6, -80, 80), NARROW
    return (quantized_layer_norm(i["x"], i["gain"], i["bias"], i["r"], *grids),)


@rounding(lambda n, b, t, c: {"x": on_grid(n(b, t, c))} | {f"mu{i}": 0.5 + 0.5 * n(1, 1, c) for i in range(3)})
def rounded_shift_mix(i: Inputs) -> tuple[Tensor, ...]:
    mus = i["mu0"], i["mu1"], i["mu2"]
    return quantized_shift_mix(i["x"], Grid(4, -8, 15), NARROW, *mus)


def values_and_gradients(compute: Callable[[Inputs], tuple[Tensor, ...]], inputs: Inputs) -> Inputs:
    """Outputs by number, gradients by the input's name; every output is weighted differently."""
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    outputs = compute(leaves)
    differentiable = [y for y in outputs if y.requires_grad]
    weighted = sum(
        (y * torch.linspace(-1, 2, y.numel(), dtype=y.dtype, device=y.device).view(y.shape)).sum()
        for y in differentiable
    )
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


SCANS = ("lif_forward", "lif_backward", "wkv_forward", "wkv_backward")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(2, 5, 40), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("name", ["lif", "wkv"])
def test_triton_equals_compiled(request: pytest.FixtureRequest, name: str, shape, dtype: torch.dtype) -> None:
    inputs, compute = made(name, shape, dtype), CASES[name][1]
    expected = values_and_gradients(compute, inputs)
    request.getfixturevalue("interpreted")
    assert_equal(values_and_gradients(compute, inputs), expected, TOLERANCE[dtype])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing ran on one")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_cuda_equals_the_cpu(name: str, shape, dtype: torch.dtype) -> None:
    inputs, compute = made(name, shape, dtype), CASES[name][1]
    on_device = values_and_gradients(compute, {key: x.cuda() for key, x in inputs.items()})
    assert_equal(
        {key: x.cpu() for key, x in on_device.items()}, values_and_gradients(compute, inputs), TOLERANCE[dtype]
    )


def test_triton_compiles_for_a_gpu() -> None:
    """Down to machine code; what it computes is interpreted above."""
    pytest.importorskip("triton", reason="Triton is not installed: its kernels were not compiled")
    from triton import compile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from spikegpt_hls.model.kernels import triton_scans

    for name in SCANS:
        kernel = getattr(triton_scans, f"_{name}")
        kinds = {"time": "i32", "channels": "i32", "BLOCK": "constexpr"}
        signature = {argument: kinds.get(argument, "*fp32") for argument in kernel.arg_names}
        source = ASTSource(kernel, signature, constexprs={"BLOCK": triton_scans.BLOCK})
        options = {"num_warps": 1} | (triton_scans.UNFUSED if name.startswith("lif") else {})
        made = compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm
        assert made["cubin"]
        assert ("fma." in made["ptx"]) == name.startswith("wkv")  # a LIF's spikes are PyTorch's, bit for bit


def test_infinities_are_clipped_and_what_is_not_a_number_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([-torch.inf, -1e38, 1e38, torch.inf, torch.nan])
    ours = fake_quantize(x, None, NARROW)
    assert ours[:4].tolist() == [-1.5, -1.5, 1.5, 1.5]
    assert ours[4].isnan()
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    assert torch.equal(ours.nan_to_num(9), fake_quantize(x, None, NARROW).nan_to_num(9))


@pytest.mark.parametrize("neurons", ["lif", "none"])
def test_quantized_networks_train_alike_with_kernels_and_without(monkeypatch: pytest.MonkeyPatch, neurons: str) -> None:
    """Values and gradients of a whole network, where all that is rounded is on grids."""
    network = random_network(2, 24, neurons=neurons).train()
    ids, found = torch.randint(0, 256, (3, 12)), []
    for choice in ("", "torch"):
        monkeypatch.setenv(kernels.VARIABLE, choice)
        network.zero_grad()
        logits = network(ids)
        logits.square().mean().backward()
        found.append({name: p.grad for name, p in network.named_parameters()} | {"logits": logits.detach()})
    assert_equal(found[0], found[1], 2e-3)


def test_strides_do_not_matter() -> None:
    for name, (_, compute) in CASES.items():
        inputs = made(name, (2, 9, 70))
        spread = {
            key: torch.stack([x, x], -1)[..., 0].transpose(0, -1).contiguous().transpose(0, -1)
            for key, x in inputs.items()
        }
        assert not spread["k" if name == "wkv" else next(iter(inputs))].is_contiguous()
        assert_equal(values_and_gradients(compute, spread), values_and_gradients(compute, inputs), 0)


def test_threads_do_not_matter() -> None:
    for name, (_, compute) in CASES.items():
        inputs = made(name, (3, 20, 300), torch.float32)
        alone = values_and_gradients(compute, inputs)
        torch.set_num_threads(2)
        assert_equal(values_and_gradients(compute, inputs), alone, 0)
        torch.set_num_threads(1)


def test_threads_are_those_of_torch() -> None:
    """Two OpenMP runtimes in a process would each start their own threads."""
    loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "libgomp" in line}
    assert len(loaded) == 1


def test_oracles_gradients_match_finite_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but LIF's, whose gradient is a surrogate's, and those that pass rounding."""
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    for name in CASES.keys() - ROUNDING - {"lif"}:
        inputs, compute = made(name, (2, 4, 3)), CASES[name][1]
        leaves = [x.requires_grad_(not (name == "wkv" and key in "abp")) for key, x in inputs.items()]
        assert torch.autograd.gradcheck(
            lambda *x, compute=compute, inputs=inputs: compute(dict(zip(inputs, x, strict=True)))[:1], leaves
        ), name


def test_exponentials_of_any_distance() -> None:
    """The compiled exponential, seen through the sigmoid: from 1 down to where numbers end."""
    for dtype, bound in ((torch.float32, 80), (torch.float64, 700)):
        r = torch.linspace(-bound, bound, 20001, dtype=dtype)
        expected = torch.sigmoid(r.double())
        error = (gate(r, torch.ones_like(r)).double() - expected).abs() / expected
        assert error.max() < 8 * torch.finfo(dtype).eps
        far = torch.tensor([-torch.inf, -1e30, 1e30, torch.inf, torch.nan], dtype=dtype)
        assert gate(far, torch.ones_like(far)).tolist()[:4] == [0, 0, 1, 1]
        assert gate(far, torch.ones_like(far))[4].isnan()


def test_scans_norms_and_loss_stay_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    model, seen = SpikeGPT(Config(2, 16, 32)), {}

    def watch(module: torch.nn.Module, name: str) -> Callable:
        original = getattr(module, name)

        def watched(*tensors: Tensor) -> object:
            seen.setdefault(name, set()).update(x.dtype for x in tensors)
            return original(*tensors)

        return watched

    with pytest.MonkeyPatch.context() as patch:
        for name in SCANS:
            module = lif_module if name.startswith("lif") else wkv_module
            patch.setattr(module, name, watch(module, name))
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.register_forward_hook(
                    lambda _m, x, y: seen.setdefault("norm", set()).update((x[0].dtype, y.dtype))
                )
        with torch.autocast("cpu", torch.bfloat16):
            logits, state = model.run(torch.randint(0, 32, (2, 6)))
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(0, 32, (12,)))
        loss.backward()
    assert loss.dtype == torch.float32
    assert logits.dtype == torch.bfloat16  # the matrices did run in half precision
    assert seen == {name: {torch.float32} for name in (*SCANS, "norm")}
    assert {x.dtype for block in state for key, x in block.items() if not key.endswith("shift")} == {torch.float32}
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_without_a_compiler_plain_pytorch_runs_and_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model, ids = SpikeGPT(Config(1, 8, 9)), torch.arange(6)[None]
    with monkeypatch.context() as without:
        without.setattr(host_library, "COMPILER", "no-such-compiler")
        _forget()
        with pytest.warns(UserWarning, match="no compiled kernels, so plain PyTorch runs") as warned:
            logits, _ = model(ids), model(ids)
        _forget()
    assert len(warned) == 1
    monkeypatch.setenv(kernels.VARIABLE, "torch")
    assert torch.equal(logits, model(ids))


def _forget() -> None:
    """What this process knows about kernels."""
    build.library.cache_clear()
    kernels._for_cpu.cache_clear()


def test_an_unknown_choice_of_kernels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(kernels.VARIABLE, "tourch")
    with pytest.raises(ModelError, match="SPIKEGPT_KERNELS is 'tourch'"):
        squared_relu(torch.ones(3))


def test_training_memory_is_linear_in_the_sequence_and_a_state_is_constant() -> None:
    model = SpikeGPT(Config(2, 16, 32))
    short, long = (bench_training.memory(model, context) for context in (50, 500))
    assert 0.9 < long.training / (10 * short.training) <= 1
    assert long.state == short.state == 4 * 16 * 7 * 2
    _, state = model.run(torch.zeros(1, 500, dtype=torch.long))
    assert all(x.untyped_storage().nbytes() <= 4 * 16 * 3 for block in state for x in block.values())
