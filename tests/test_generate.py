"""Generation: what comes out, when, and at which cost."""

import gc
import tracemalloc

import pytest
import torch

from spikegpt_hls.model.errors import ModelError
from spikegpt_hls.model.generate import generate, until
from spikegpt_hls.model.sampling import Sampler
from spikegpt_hls.quant.export.stepper import Stepper
from spikegpt_hls.quant.training.calibrate import random_network


def test_the_stepper_is_the_network() -> None:
    network = random_network(2, 12, seed=3, vocabulary=20)
    stepper = Stepper(network)
    ids = torch.randint(0, 20, (30, 2))
    state = fast = None
    for token in ids:
        logits, state = network.step(token, state)
        ours, fast = stepper.step(token, fast)
        assert torch.equal(logits, ours)


def test_memory_does_not_grow_with_the_text() -> None:
    """Nothing of a token is kept; one row of logits would be 1 KB. NumPy and Python keep some bytes now and then."""
    stream = generate(Stepper(random_network(1, 8, vocabulary=256)), [1, 2], 10_000, Sampler())
    for _ in range(100):
        next(stream)
    gc.collect()
    tracemalloc.start()
    for _ in range(500):
        next(stream)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 500 * 100, f"{kept / 500:.0f} bytes a token"


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["ab", "cEN", "D!"], "abc"),
        (["END"], ""),
        (["aEN", "EN", "Dx"], "aEN"),
        (["a", "E", "N"], "aEN"),
        (["no stop"], "no stop"),
    ],
)
def test_text_ends_before_the_stop_text_however_it_is_cut(texts: list[str], shown: str) -> None:
    assert "".join(until(texts, "END")) == shown


def test_nothing_is_held_back_that_cannot_be_the_stop_text() -> None:
    assert next(until(iter(["some E"]), "END")) == "some "


def test_generation_ends_with_the_stop_text() -> None:
    asked = iter("one END two")
    assert "".join(until(asked, "END")) == "one "
    assert next(asked) == " "


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ModelError, match="at least 1 token"):
        generate(Stepper(random_network(1, 8)), [], 3, Sampler())
