"""Where the multipliers go: by hand (``lanes``, ``reuse``), by budget (``multipliers``), by rate, or by a file; how
many sequences share them (``contexts``), and what they do with zeros (``zeros``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import click

from spikegpt_hls.cli.graph import record
from spikegpt_hls.cli.graph.settings import Settings, setting
from spikegpt_hls.cli.steps import activity
from spikegpt_hls.cli.steps.activity import Events
from spikegpt_hls.cli.workspace import Workspace
from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.folding import pace
from spikegpt_hls.hls.fold.ring import DEPTHS, FOLDED, SPATIAL, layer_name
from spikegpt_hls.hls.fold.rows import CHIP, MAX_BATCH, MEMORY, WEIGHTS
from spikegpt_hls.quant.ops import Linear, Operation

WAYS = (("lanes", "reuse"), ("multipliers",), ("rate",), ("folding",))
LANES = 2
FILE = "folding.yml"
POSITIVE = click.FloatRange(0, min_open=True)


@dataclass(frozen=True)
class Folding(Settings):
    """How large and how fast the hardware is to be. There are four ways to say so, and one is named at a time: by hand
    (``lanes``, ``reuse``), by a budget (``multipliers``), by a rate (``rate``, ``clock``), by a file (``folding``).
    ``contexts``, ``zeros``, ``depth``, ``weights`` and ``batch`` go with any of them."""

    lanes: int | None = setting(
        None,
        "Channels that a stream moves per cycle (a beat).",
        click.INT,
        2,
        f"{LANES}",
    )
    reuse: int | None = setting(
        None,
        "Cycles per token of every Linear (hls4ml's ReuseFactor).",
        click.INT,
        512,
        "the largest up to 512, or to the beats of the logits",
    )
    multipliers: int | None = setting(
        None, "A budget: the fastest hardware with so many multipliers.", click.IntRange(1), 64, "the target's own"
    )
    rate: float | None = setting(
        None, "Tokens per second at clock=: the smallest hardware that reaches them.", POSITIVE, 10000
    )
    clock: float = setting(100.0, "The clock to reckon with, in MHz.", POSITIVE, 150)
    folding: str | None = setting(
        None,
        "A file with each Linear's ReuseFactor: an edited copy of the folding.yml that hls writes.",
        example="mine.yml",
    )
    contexts: int | None = setting(
        None, "Texts that the hardware works on at once; several keep its pipeline full.", click.INT, 4,
        "what the file of folding= says, or 1",
    )  # fmt: skip
    zeros: str | None = setting(
        None,
        "What a Linear behind a neuron or a ReLU does with inputs that are 0: skip (an adder's step for each of the "
        "others), or add (all of them).",
        click.Choice(["skip", "add"]),
        "skip",
        "what the file of folding= says, or skip where the placement is spike-driven",
    )

    depth: str = setting(
        SPATIAL,
        "Blocks for every layer (spatial), or those of one layer for all of them (folded; formats=shared).",
        click.Choice(DEPTHS),
        FOLDED,
    )
    weights: str = setting(
        CHIP,
        "Where weights lie: on the chip, or in a memory outside, whose rows are read as needed (depth=folded).",
        click.Choice(WEIGHTS),
        MEMORY,
    )
    batch: int = setting(1, "Tokens that share a reading of weights=memory.", click.IntRange(1, MAX_BATCH), 8)

    @classmethod
    def kept(cls, before: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The way that is named now makes the ones before it void; ConversionError for two at once."""
        named = {way: name for way in WAYS for name in way if name in asked}
        if len(named) > 1:
            raise ConversionError(f"{' and '.join(named.values())} are different ways to fold: name one of them")
        void = {name for way in WAYS if named and way not in named for name in way}
        return {name: value for name, value in before.items() if name not in void}

    @property
    def free(self) -> bool:
        """Whether nobody says how to fold."""
        return all(getattr(self, name) is None for way in WAYS for name in way)

    @property
    def shape(self) -> dict[str, Any]:
        """What one layer's blocks do for others, and a memory for all: options of the backend."""
        return {"depth": self.depth, "weights": self.weights, "batch": self.batch}

    def named(self) -> dict[str, Any]:
        """The settings that fold like this again."""
        names = (entry.name for entry in fields(self) if entry.name != "clock" or self.rate is not None)
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def digests(place: Workspace, settings: Folding, named: Mapping[str, Any]) -> dict[str, str]:
    return {"folding": record.of_file(Path(settings.folding))} if settings.folding else {}


def chosen(
    place: Workspace,
    settings: Folding,
    budget: int | None = None,
    network: Mapping[str, Operation] | None = None,
    engine: bool = True,
    events: Mapping[str, float] | None = None,
    most_lanes: int | None = None,
) -> dict[str, Any]:
    """The arguments of ``convert``; where nothing was asked for, ``budget`` is the target's of multipliers, and
    ``most_lanes`` its bound on lanes.

    ``network`` has the operations of a graph that was not exported, ``events`` those that drive its Linears.
    ``engine``: whether a budget or a rate that was asked for may be met by an engine.
    """
    if settings.free:
        settings, engine = replace(settings, multipliers=budget), False
    else:
        most_lanes = None
    found = _folded(place, settings, network, engine, events, most_lanes)
    folded = {"contexts": 1, "engine": (), "events": (), **found}
    if settings.folding is not None and settings.zeros is not None:  # more than the file says
        driven = tuple(events or {} if network else _driven(place, settings))
        shared = tuple(name for name in folded["engine"] if name not in driven)
        folded |= {"events": driven, "engine": shared}
    return folded if settings.contexts is None else {**folded, "contexts": settings.contexts}


def _folded(
    place: Workspace,
    settings: Folding,
    network: Mapping[str, Operation] | None,
    engine: bool,
    events: Mapping[str, float] | None,
    most_lanes: int | None,
) -> dict[str, Any]:
    if settings.folding is not None:
        return read(Path(settings.folding))
    from spikegpt_hls.hls.convert import operations
    from spikegpt_hls.hls.fold.planning import cheapest, fastest, within

    events = events or {}
    if network is None:
        network, events = operations(place.onnx), _driven(place, settings)
    if settings.multipliers is None and settings.rate is None:
        lanes = settings.lanes
        if lanes is None:
            lanes = LANES
        reuse: Any = settings.reuse
        if events and reuse is None:
            target = pace(network, lanes)
            reuse = {name: within(network[name], lanes, target, mean) for name, mean in events.items()}
        return {"lanes": lanes, "reuse_factor": reuse, "events": tuple(events)}
    if settings.rate is None:
        assert settings.multipliers is not None
        plan = fastest(network, settings.multipliers, engine, events, most_lanes)
    else:
        plan = cheapest(network, settings.clock * 1e6 / settings.rate, engine, events)
    return {
        "lanes": plan.lanes,
        "reuse_factor": plan.reuse_factors,
        "engine": plan.members,
        "events": tuple(events),
    }


def _driven(place: Workspace, settings: Folding) -> dict[str, float]:
    """The Linears of the exported network that are driven by events, and how many a token has on average."""
    from spikegpt_hls.hls.convert import operations

    found = activity.driven(place, settings.zeros, operations(place.onnx))
    return {name: events.mean for name, events in found.items()}


def read(path: Path) -> dict[str, Any]:
    """A file as ``write`` writes it, in the terms of hls4ml's configuration; ConversionError says what is wrong."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
        factors = {name: layer["ReuseFactor"] for name, layer in content["LayerName"].items()}
        engine, events = (
            tuple(name for name, layer in content["LayerName"].items() if layer.get(key))
            for key in ("Engine", "Events")
        )
        lanes, contexts = content["Lanes"], content.get("Contexts", 1)
    except OSError as error:
        raise ConversionError(f"cannot read the folding {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ConversionError(f"{path} is no folding: it needs Lanes, and LayerName with a ReuseFactor each") from error
    if not all(isinstance(number, int) for number in (lanes, contexts, *factors.values())):
        raise ConversionError(f"{path} is no folding: Lanes, Contexts and every ReuseFactor are whole numbers")
    return {"lanes": lanes, "reuse_factor": factors, "contexts": contexts, "engine": engine, "events": events}


def write(dataflow: Dataflow, folder: Path, events: Mapping[str, Events]) -> None:
    """What was chosen, as a file to edit and to name as ``folding=``; of the Linears that are driven by events, how
    many those are, and the cycles per token that follow."""
    import yaml

    linears = [block for block in dataflow.blocks if isinstance(block.operation, Linear)]
    layers = {layer_name(b, n): _layer(b, events.get(b.name)) for b in linears for n in range(b.layers)}
    content = {"Lanes": dataflow.blocks[0].lanes, "Contexts": dataflow.contexts, "LayerName": layers}
    (folder / FILE).write_text(yaml.safe_dump(content, sort_keys=False))


def _layer(block: Block, events: Events | None) -> dict[str, Any]:
    from spikegpt_hls.hls.rtl.timing import interval

    layer: dict[str, Any] = {"ReuseFactor": block.reuse_factor}
    if block.engine:
        layer["Engine"] = True
    if block.events:
        known = (events or Events(block.channels_in, block.channels_in))._asdict()
        layer["Events"] = {name: round(count, 2) for name, count in known.items()}
        layer["Cycles"] = {name: round(interval(block, count), 1) for name, count in known.items()}
    return layer
