"""Classifying sentences: a SpikeGPT writes logits at every token, and their mean over the sentence decides.

The prediction is ``argmax_c sum_t logits[t, c]``: exact in integers, and hardware adds up what it streams anyway. The
shorter sentences of a batch are padded on the right, where causality keeps the padding from what comes before it; its
logits are left out of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from spikegpt_hls.model.training.train import Plan

#: Token ids (length,) of each sentence.
Sentences = Sequence[NDArray[np.int64]]
BATCH = 64
POOL = 16  # batches that are sorted by length together


def padded(sentences: Sentences) -> tuple[Tensor, Tensor]:
    """Ids (B, T) with zeros behind the shorter ones, and which are a sentence's own, bool (B, T)."""
    lengths = np.array([len(sentence) for sentence in sentences])
    own = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(own.shape, np.int64)
    ids[own] = np.concatenate(sentences)
    return torch.from_numpy(ids), torch.from_numpy(own)


def summed(logits: Tensor, own: Tensor) -> Tensor:
    """Logits (B, T, classes) added up over a sentence's own tokens: (B, classes)."""
    return torch.where(own[..., None], logits, 0).sum(1)


@dataclass(frozen=True)
class Classification:
    """Cross entropy of the mean logits, over batches of sentences of like length; every epoch in another order.

    ``word_dropout`` is the share of words that training leaves out of a sentence, anew each time: every word has to
    tell by itself, which small sets need more than anything else. ``smoothing`` is the share of a label's weight that
    is spread over all classes.
    """

    sentences: Sentences
    labels: NDArray[np.int64]
    plan: Plan
    word_dropout: float = 0.0
    smoothing: float = 0.0

    def batch(self, step: int, shard: int = 0, shards: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (batch, T), which of them are sentence, and labels (batch,) of one shard of a step."""
        count = min(self.plan.batch, len(self.sentences) // shards) * shards
        epoch, at = divmod(step, len(self.sentences) // count)
        rows = self._order(epoch, count)[at][shard::shards]
        generator = np.random.default_rng([self.plan.seed, step, shard])
        ids, own = padded([self._thinned(self.sentences[row], generator) for row in rows])
        return ids, own, torch.from_numpy(self.labels[rows])

    def loss(self, model: nn.Module, step: int, shard: int, shards: int) -> Tensor:
        ids, own, labels = self.batch(step, shard, shards)
        mean = summed(model(ids), own) / own.sum(1, keepdim=True)
        return F.cross_entropy(mean, labels, label_smoothing=self.smoothing)

    def figures(self) -> dict[str, float]:
        return {}

    def _thinned(self, sentence: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
        """The words that stay; all of them where none would."""
        left = sentence[generator.random(len(sentence)) >= self.word_dropout]
        return left if len(left) else sentence

    def _order(self, epoch: int, count: int) -> NDArray[np.int64]:
        """Rows (batches, count) of an epoch: a permutation, in pools by length, and the batches shuffled."""
        generator = np.random.default_rng([self.plan.seed, epoch])
        order = generator.permutation(len(self.sentences))
        lengths = np.array([len(sentence) for sentence in self.sentences])
        pool = np.arange(len(order)) // (POOL * count)
        by_length = order[np.lexsort((lengths[order], pool))]
        batches = by_length[: len(order) // count * count].reshape(-1, count)
        return generator.permutation(batches)  # type: ignore[no-any-return]


def set_dropout(network: nn.Module, share: float) -> None:
    """Let training leave out this share of the spikes, in a float or a quantized network."""
    for module in network.modules():
        if hasattr(module, "dropout"):
            module.dropout = share


def predictions(
    model: nn.Module, sentences: Sentences, title: str = "classifying", console: Console | None = None
) -> NDArray[np.int64]:
    """The class of each sentence; exact where the model's logits are integers on a grid. Needs ``eval()``."""
    order = np.argsort([len(sentence) for sentence in sentences], kind="stable")
    found = np.empty(len(sentences), np.int64)
    with torch.no_grad(), Progress(console=console or Console(stderr=True), transient=True) as progress:
        for rows in progress.track(np.array_split(order, -(-len(order) // BATCH)), description=title):
            ids, own = padded([sentences[row] for row in rows])
            found[rows] = summed(model(ids).double(), own).argmax(1).numpy()
    return found


def accuracy(
    model: nn.Module,
    sentences: Sentences,
    labels: NDArray[np.int64],
    title: str = "classifying",
    console: Console | None = None,
) -> float:
    """Percent of the sentences that the model classifies as labelled."""
    return 100 * float(np.mean(predictions(model, sentences, title, console) == labels))


def majority(train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """Percent of ``test`` that has the most frequent label of ``train``: what guessing reaches."""
    return 100 * float(np.mean(test == np.bincount(train).argmax()))
