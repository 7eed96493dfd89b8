"""Sizes of the networks and the recipes that train them."""

from __future__ import annotations

from dataclasses import dataclass

from spikegpt_hls.model.errors import ModelError

NEURONS = ("lif", "none")
HIDDEN = ("squared-relu", "bits")
#: The sites of a block at which neurons stand: ``<mixer>.<site>``, or behind a mixer, under the released name.
PLACEMENTS = {
    "canonical": ("lif1", "lif2"),
    "spike-driven": ("att.lif_k", "att.lif_v", "att.lif_r", "att.lif_o", "ffn.lif_k", "ffn.lif_r"),
}


@dataclass(frozen=True)
class Config:
    """Geometry of a SpikeGPT; the feed-forward key is ``4 * channels`` wide (SpikeGPT ``src/model.py``)."""

    layers: int
    channels: int
    vocabulary: int = 256
    classes: int | None = None  # None: the head writes one logit per token of the vocabulary, else one per class
    neurons: str = "lif"  # none: the twin without spikes, in which what neurons would have read goes on as it is
    placement: str = "canonical"  # where neurons stand (``placement.py``)
    hidden: str = "squared-relu"  # spike-driven: what the channel mix's hidden layer sends; bits: those of neurons

    def __post_init__(self) -> None:
        for name, known in (("neurons", NEURONS), ("placement", PLACEMENTS), ("hidden", HIDDEN)):
            if getattr(self, name) not in known:
                raise ModelError(f"unknown {name} {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.hidden == "bits" and not (self.spike_driven and self.spiking):
            raise ModelError("hidden=bits are the spikes of a spike-driven network, and this one has none there")
        for name in ("layers", "channels", "vocabulary", "outputs"):
            if getattr(self, name) < 1:
                raise ModelError(f"a network needs at least 1 of {name}, not {getattr(self, name)}")

    @property
    def spiking(self) -> bool:
        """Whether there are neurons."""
        return self.neurons != "none"

    @property
    def spike_driven(self) -> bool:
        """Whether neurons stand in front of every matrix, or would."""
        return self.placement == "spike-driven"

    @property
    def sites(self) -> tuple[str, ...]:
        """Where neurons stand in a block."""
        hidden = ("ffn.lif_h",) if self.hidden == "bits" else ()
        return PLACEMENTS[self.placement] + hidden if self.spiking else ()

    @property
    def drive(self) -> int:
        """log2 of what neurons multiply their input by: in front of a matrix it seldom reaches their threshold."""
        return int(self.spike_driven)

    @property
    def theta(self) -> bool:
        """Whether the hidden layer is ``relu(k - theta)**2``, with a threshold of its own for each channel."""
        return self.spike_driven and self.hidden == "squared-relu"

    @property
    def outputs(self) -> int:
        """Logits per token."""
        return self.vocabulary if self.classes is None else self.classes

    @property
    def hidden_channels(self) -> int:
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
    """A named geometry with its recipe, and that of a spike-driven network where it is another."""

    config: Config
    recipe: Recipe
    spike_driven: Recipe | None = None

    def recipe_of(self, config: Config) -> Recipe:
        return self.spike_driven or self.recipe if config.spike_driven else self.recipe


PRESETS: dict[str, Preset] = {
    "tiny": Preset(Config(2, 64), Recipe()),
    "small": Preset(
        Config(4, 128),
        Recipe(batch=12, steps=1000, qat_steps=1000, lr=4e-3, qat_lr=2e-3),
        Recipe(batch=12, steps=1700, qat_steps=300, lr=8e-3, qat_lr=2e-3),
    ),
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
