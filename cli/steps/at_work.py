"""A trained network at work on held-out text, as the energy model sees it: its dataflow, and what its traces count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from math import log
from typing import TYPE_CHECKING

from rich.console import Console

from spikegpt_hls.cli.steps import export
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.fold.limits import padded_params
from spikegpt_hls.sim.energy.accountings import Network
from spikegpt_hls.sim.energy.energy_table import EnergyTable

if TYPE_CHECKING:
    from spikegpt_hls.model.corpus.tokenizer import Ids, Tokenizer
    from spikegpt_hls.quant.network import QuantSpikeGPT
    from spikegpt_hls.quant.training.held_out import Piece

CHARACTERS = 10_000  # held out, where nobody says how many


def network(place: Workspace, console: Console, characters: int | None, table: EnergyTable) -> Network:
    """Run over at least ``characters`` held-out characters; None: ``CHARACTERS``, or all there are."""
    from spikegpt_hls.sim.energy import firing
    from spikegpt_hls.sim.energy.actions import activity
    from spikegpt_hls.sim.energy.model import Activity, mean, priced
    from spikegpt_hls.sim.energy.switching import switching

    dataflow, found, context, pieces = run(place, console, characters)
    counted: list[tuple[int, Activity]] = []
    fired: dict[str, firing.Counts] = {}
    nats, sample = 0.0, None
    for piece in pieces:
        sample = sample or switching(dataflow, {n: v[: piece.lengths[0]] for n, v in piece.traces.items()})
        counted.append((piece.tokens, activity(dataflow, piece.traces)))
        of_piece = firing.count(dataflow, piece.traces, piece.lengths)
        fired = {name: fired[name] + counts if fired else counts for name, counts in of_piece.items()}
        nats += piece.nats
    tokens, per_token = mean(counted)
    report = priced(dataflow, per_token, tokens, table, switching=sample)
    return Network(dataflow, report, nats / log(2) / found, found, firing.firing(dataflow, fired), context)


def run(place: Workspace, console: Console, characters: int | None) -> tuple[Dataflow, int, int, Iterator[Piece]]:
    """The dataflow with its parameters, the characters that are predicted, the context, and the run piece by piece."""
    from spikegpt_hls.model.corpus import tokenizer
    from spikegpt_hls.quant.storage import load_network
    from spikegpt_hls.quant.training.held_out import pieces

    model, header = load_network(place.checkpoint)
    ids = export.held_out(place, console)
    tokens, found = _enough(tokenizer.beside(place.checkpoint, header), ids, characters)
    context = json.loads(place.metrics.read_text())["context"]
    return _with_parameters(place, model), found, context, pieces(model, ids, context, tokens)


def _with_parameters(place: Workspace, model: QuantSpikeGPT) -> Dataflow:
    """``dataflow.json`` has none."""
    from spikegpt_hls.quant.network import blocks

    dataflow = Dataflow.from_json(json.loads(place.dataflow.read_text()))
    params = {node.name: node.params for node in blocks(model)}
    own = {block.name: padded_params(params.get(block.name, {}), block.padding) for block in dataflow.blocks}
    return replace(dataflow, blocks=tuple(replace(block, params=own[block.name]) for block in dataflow.blocks))


def _enough(used: Tokenizer, ids: Ids, named: int | None) -> tuple[int, int]:
    """How many tokens after the first make at least the characters that are ``named``, and how many they are;
    ModelError where the held-out text has not so many."""
    from spikegpt_hls.model.errors import ModelError

    taken, characters = 0, CHARACTERS if named is None else named

    def some() -> Iterator[int]:
        nonlocal taken
        for token in ids[1 : 1 + characters].tolist():  # a token is a character at least, but for a byte
            taken += 1
            yield token

    made = 0
    for text in used.decode_stream(some()):
        made += len(text)
        if made >= characters:
            return taken, made
    if named is None and made:
        return taken, made
    raise ModelError(f"the held-out text has {made} characters to predict, {characters} were asked for")
