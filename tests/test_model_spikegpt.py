"""The float network: equal to the released code, parallel equal to stepwise, gradients of the hand-written scans."""

from pathlib import Path

import numpy as np
import pytest
import torch

from spikegpt_hls.model import kernels
from spikegpt_hls.model.config import Config
from spikegpt_hls.model.lif import LIF, LIFFunction, SpikeFunction, arctan_slope
from spikegpt_hls.model.spikegpt import SpikeGPT
from spikegpt_hls.model.wkv import wkv

GOLDEN = Path(__file__).parents[1] / "../shared/golden/spikegpt_reference_3L32d.npz"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # small tensors: more threads only wait for each other


def test_released_code_is_reproduced_in_float64() -> None:
    if not GOLDEN.is_file():
        pytest.skip("the released code's logits and spikes are not at ../shared/golden: nothing was compared with them")
    golden = np.load(GOLDEN)
    weights = {name[2:]: torch.from_numpy(golden[name]) for name in golden if name.startswith("w.")}
    model = SpikeGPT(Config(3, 32, 64)).double()
    model.load_state_dict(weights)
    spikes: dict[str, torch.Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _m, _i, out, name=name: spikes.__setitem__(name, out[0]))
    ids = torch.from_numpy(golden["idx"])
    with torch.no_grad():
        logits = model(ids)
        spikes["emb"] = SpikeFunction.apply(model.emb(ids))
    assert np.abs(logits.numpy() - golden["logits"]).max() < 1e-9
    compared = [name for name in golden if name.startswith("spikes.")]
    assert len(compared) == 7
    for name in compared:
        assert np.array_equal(spikes[name.removeprefix("spikes.")].numpy(), golden[name]), name


def test_stepwise_and_in_chunks_equals_parallel() -> None:
    torch.manual_seed(0)
    model = SpikeGPT(Config(2, 16, 32)).double()
    for parameter in model.parameters():  # neurons that fire, so that what a state lacks is seen
        parameter.data += torch.randn_like(parameter)
    ids = torch.randint(0, 32, (3, 20))
    with torch.no_grad():
        whole = model(ids)
        state, steps = None, []
        for t in range(20):
            logits, state = model.step(ids[:, t], state)
            steps.append(logits)
        first, state = model.run(ids[:, :7])
        second, _ = model.run(ids[:, 7:], state)
    assert torch.allclose(torch.stack(steps, 1), whole, atol=1e-12, rtol=0)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("choice", ["", "torch"], ids=["compiled", "plain"])
def test_stepwise_equals_parallel_over_2000_tokens(monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setenv(kernels.VARIABLE, choice)
    torch.manual_seed(0)
    model = SpikeGPT(Config(2, 8, 16)).double()
    for parameter in model.parameters():  # keys that differ from token to token
        parameter.data += 0.3 * torch.randn_like(parameter)
    ids = torch.randint(0, 16, (1, 2000))
    with torch.inference_mode():
        whole, state, worst = model(ids), None, 0.0
        for t in range(2000):
            logits, state = model.step(ids[:, t], state)
            worst = max(worst, float((logits - whole[:, t]).abs().max()))
    assert worst <= 1e-9


def test_wkv_does_not_overflow_and_forgets_nothing_it_should_keep() -> None:
    k = torch.full((1, 50, 1), -80.0)
    k[0, 3] = 300.0
    v = torch.arange(50.0).view(1, 50, 1)
    y, _ = wkv(torch.tensor([-9.0]), torch.tensor([0.0]), k, v)
    assert torch.isfinite(y).all()
    assert y[0, 3:].sub(3).abs().max() < 1e-3  # the huge key's value rules until the end


def test_lif_gradient_equals_autograd_through_the_same_steps() -> None:
    class Heaviside(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx, grad):
            return grad * arctan_slope(ctx.saved_tensors[0])

    torch.manual_seed(0)
    x = (2 * torch.randn(2, 30, 5).double() + 0.5).requires_grad_()
    weight = torch.randn(2, 30, 5).double()
    v, spikes = torch.zeros(2, 5).double(), []
    for t in range(30):
        h = v + (x[:, t] - v) / 2
        s = Heaviside.apply(h - 1)
        v = h * (1 - s)
        spikes.append(s)
    expected = torch.autograd.grad((torch.stack(spikes, 1) * weight).sum(), x)[0]
    ours = LIFFunction.apply(x, torch.zeros(2, 5).double())[0]
    assert torch.equal(ours, torch.stack(spikes, 1))
    assert 0 < ours.mean() < 1
    assert torch.allclose(torch.autograd.grad((ours * weight).sum(), x)[0], expected, atol=1e-12)
