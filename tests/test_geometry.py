"""A dataflow without weights: the one that the conversion makes, and as wide as it is asked to be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from spikegpt_hls.hls.convert import convert, reuse_factors
from spikegpt_hls.hls.dataflow import Dataflow
from spikegpt_hls.hls.errors import ConversionError
from spikegpt_hls.hls.fold.geometry import Network, alike, assemble, widened
from spikegpt_hls.hls.frontend.graph import dataflow
from spikegpt_hls.quant.export.qonnx import export_sequence
from spikegpt_hls.quant.network import QuantSpikeGPT, blocks
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.quant.training.calibrate import random_network


def network_of(quantized: QuantSpikeGPT) -> Network:
    return {node.name: (node.operation, node.inputs) for node in blocks(quantized)}


@pytest.mark.parametrize(("lanes", "contexts"), [(1, 1), (2, 3)])
def test_what_is_assembled_is_what_the_conversion_makes(tmp_path: Path, lanes: int, contexts: int) -> None:
    quantized = random_network(2, 12, seed=5, vocabulary=20)
    model = export_sequence(quantized, tmp_path)
    converted = dataflow(convert(model, tmp_path, "SpikeRTL", lanes=lanes, contexts=contexts))
    network = network_of(quantized)
    factors = reuse_factors({name: op for name, (op, _) in network.items()}, lanes, contexts=contexts)
    assembled = assemble(network, lanes, factors, contexts)
    assert {b.name: b for b in assembled.blocks} == {b.name: b for b in converted.blocks}
    assert (assembled.source, assembled.sink) == (converted.source, converted.sink)


def test_an_assembled_engine_is_that_of_the_conversion(tmp_path: Path) -> None:
    quantized = random_network(2, 12, seed=5, vocabulary=24)
    network = network_of(quantized)
    linears = {name: op for name, (op, _) in network.items() if isinstance(op, Linear)}
    factors = {name: op.inputs * op.outputs // 12 for name, op in linears.items()}
    model = export_sequence(quantized, tmp_path)
    converted = dataflow(convert(model, tmp_path, "SpikeRTL", lanes=1, reuse_factor=factors, engine=linears))
    assembled = assemble(network, 1, factors, engine=linears)
    assert {b.name: b for b in assembled.blocks} == {b.name: b for b in converted.blocks}
    assert {b.name for b in assembled.members} == {b.name for b in converted.members} == set(linears)
    assert Dataflow.from_json(json.loads(json.dumps(converted.to_json()))) == converted


def test_a_widened_network_has_the_large_ones_shapes_and_widths() -> None:
    """Only binary points may differ: the same scheme of weights has other values."""
    large = network_of(random_network(3, 48, seed=1, vocabulary=96))
    found = widened(network_of(random_network(3, 16, seed=2, vocabulary=32)), 3, 96)
    assert found.keys() == large.keys()
    for name, (op, inputs) in large.items():
        assert found[name][1] == inputs
        assert shape(found[name][0]) == shape(op), name


def shape(op: object) -> dict[str, object]:
    attributes = op.attributes().items()  # type: ignore[attr-defined]
    return {key: (value[0], value[2]) if isinstance(value, list) else value for key, value in attributes}


def test_the_logits_of_a_widened_network_are_its_accumulators() -> None:
    """16 inputs of -128..127 by -127..127 reach 260,096: 19 bits; of 64 times as many, 25."""
    small = network_of(random_network(1, 16, vocabulary=32))
    head = widened(small, 64, 128)["head"][0]
    assert isinstance(head, Linear)
    assert (small["head"][0].out.bits, head.out.bits) == (19, 25)
    assert (head.inputs, head.outputs) == (1024, 128)


def test_layers_of_the_same_widths_are_made_alike_and_others_kept() -> None:
    found = alike(network_of(random_network(4, 12, seed=3, weight_bits="8, blocks.3.*=4")))
    for name, (op, _) in found.items():
        if name.startswith("blocks_2_"):
            assert op == found[name.replace("blocks_2_", "blocks_1_")][0]
    assert found["blocks_3_att_key"][0].weight.bits == 4  # type: ignore[attr-defined]


def test_a_graph_of_another_version_is_refused() -> None:
    network = network_of(random_network(1, 8, vocabulary=16))
    factors = reuse_factors({name: op for name, (op, _) in network.items()}, 1)
    written = assemble(network, 1, factors).to_json()
    assert Dataflow.from_json(written).to_json() == written
    for other in ({**written, "version": 0}, {key: value for key, value in written.items() if key != "version"}):
        with pytest.raises(ConversionError, match=r"is of version (0|none), and only 3 is known"):
            Dataflow.from_json(other)


def test_two_streams_of_logits_are_refused() -> None:
    network = dict(network_of(random_network(1, 8, vocabulary=16)))
    op, inputs = network["head"]
    network["second_head"] = replace(op), inputs
    with pytest.raises(ConversionError, match=r"one that goes out.*second_head"):
        assemble(network, 1, {})
