"""Sizes of the networks and the recipes that train them."""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.model.errors import ModelError

NEURONS = ("lif", "none")


@dataclass(frozen=True)
class Config:
    """Geometry of a SpikeGPT; the feed-forward key is ``4 * channels`` wide (SpikeGPT ``src/model.py``)."""

    layers: int
    channels: int
    vocabulary: int = 256
    classes: int | None = None  # None: the head writes one logit per token of the vocabulary, else one per class
    neurons: str = "lif"  # none: the twin without spikes, whose blocks add what its neurons would have read

    def __post_init__(self) -> None:
        if self.neurons not in NEURONS:
            raise ModelError(f"unknown neurons {self.neurons!r}: choose one of {', '.join(NEURONS)}")
        for name in ("layers", "channels", "vocabulary", "outputs"):
            if getattr(self, name) < 1:
                raise ModelError(f"a network needs at least 1 of {name}, not {getattr(self, name)}")

    @property
    def spiking(self) -> bool:
        """Whether the blocks write spikes."""
        return self.neurons != "none"

    @property
    def outputs(self) -> int:
        """Logits per token."""
        return self.vocabulary if self.classes is None else self.classes

    @property
    def hidden(self) -> int:
        """Width of the feed-forward key."""
        return 4 * self.channels


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: ``steps`` in float, then ``qat_steps`` with quantizers: one cosine from ``lr`` to
    ``qat_lr``, the next from there to ``final_lr``."""

    context: int = 64
    batch: int = 16  # rows of a process between two gradients
    steps: int = 1500
    qat_steps: int = 500
    lr: float = 8e-3
    qat_lr: float = 1e-3
    final_lr: float = 1e-5
    warmup: int = 50
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    validation_windows: int | None = None  # None: all of the held-out text
    accumulate: int = 1  # gradients of so many batches make a step
    ema: float | None = None  # decay of an average of the weights
    precision: str = "float32"
    checkpoint_every: int = 100
    threads: int = (
        1  # these matrices are too small to gain from more, and one thread is reproducible bit for bit; 0: all
    )


@dataclass(frozen=True)
class Preset:
    """A named geometry with its recipe."""

    config: Config
    recipe: Recipe


PRESETS: dict[str, Preset] = {
    "tiny": Preset(Config(2, 64), Recipe()),
    "small": Preset(Config(4, 128), Recipe(batch=12, steps=1000, qat_steps=1000, lr=4e-3, qat_lr=2e-3)),
    "46m": Preset(
        Config(12, 512),
        Recipe(1024, 12, 100_000, 10_000, lr=6e-4, qat_lr=1e-4, warmup=1000, validation_windows=64, threads=0),
    ),
    "216m": Preset(
        Config(18, 768),
        Recipe(1024, 12, 200_000, 20_000, lr=6e-4, qat_lr=1e-4, warmup=1000, validation_windows=64, threads=0),
    ),
}


def preset(name: str) -> Preset:
    """The preset called ``name``; ModelError lists the known ones."""
    if name not in PRESETS:
        raise ModelError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
