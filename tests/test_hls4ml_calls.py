"""hls4ml's documented calls, in a process that imports nothing of ours: both backends, both placements."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikegpt_hls.hls.convert import operations
from spikegpt_hls.quant.export.qonnx import export
from spikegpt_hls.quant.export.vectors import trace, write
from spikegpt_hls.quant.training.calibrate import random_network

BACKENDS = ["SpikeRTL", "Vitis"]
PLACEMENTS = ["canonical", "spike-driven"]
SEQUENCES, LENGTH = 3, 8

#: As the pages of hls4ml say it. What was asked is in the arguments, what came out goes into a file.
CALLS = """
import json, sys
import hls4ml, numpy as np, onnx
folder, backend, granularity, changes = sys.argv[1:]
model = onnx.load(f"{folder}/model.onnx")
config = hls4ml.utils.config_from_onnx_model(
    model, granularity=granularity, backend=backend, default_reuse_factor=60)
for path, value in json.loads(changes).items():
    at = config
    *places, last = path.split("/")
    for place in places:
        at = at.setdefault(place, {})
    at[last] = value
hls_model = hls4ml.converters.convert_from_onnx_model(
    model, hls_config=config, backend=backend, output_dir=f"{folder}/{backend}")
"""
PREDICTS = """
hls_model.compile()
ids = np.load(f"{folder}/ids.npy")
y = hls_model.predict(ids)
traced, layers = hls_model.trace(ids)
np.savez(f"{folder}/{backend}.npz", y=y, traced=traced, **layers)
"""
BUILDS = """
report = hls_model.build()
hls4ml.report.print_vivado_report(report)
json.dump(report, open(f"{folder}/report.json", "w"))
"""


@pytest.fixture(scope="module", params=PLACEMENTS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def canonical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What settings do has nothing to do with the placement."""
    return written(tmp_path_factory.mktemp("one"), "canonical")


def written(folder: Path, placement: str) -> Path:
    """A random network of 1 layer and 16 channels, and the integers of three sequences."""
    network = random_network(1, 16, seed=3, weight_bits=4, placement=placement)
    ids = np.random.default_rng(3).integers(0, 256, (SEQUENCES, LENGTH))
    export(network, folder)
    write(trace(network, list(ids)), folder)
    np.save(folder / "ids.npy", ids)
    return folder


def call(script: str, folder: Path, backend: str, granularity: str = "name", **changes: Any) -> Any:
    command = [sys.executable, "-c", script, str(folder), backend, granularity, json.dumps(changes)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize("backend", BACKENDS)
def test_predict_and_trace_are_the_golden_vectors(exported: Path, backend: str) -> None:
    done = call(CALLS + PREDICTS, exported, backend)
    assert done.returncode == 0, done.stderr
    got, expected = np.load(exported / f"{backend}.npz"), np.load(exported / "vectors.npz")
    assert got["y"].shape == (SEQUENCES, LENGTH, 256)
    np.testing.assert_array_equal(got["y"], got["traced"])
    network = operations(exported / "model.onnx")
    assert set(got.files) == {"y", "traced", *network}
    for name, op in network.items():
        real = op.out.real(expected[name]).reshape(SEQUENCES, LENGTH, -1)
        np.testing.assert_array_equal(got[name], real, name)
    assert 'WARNING: Invalid ReuseFactor=60 in layer "head". Using ReuseFactor=64 instead' in done.stdout


@pytest.mark.parametrize("granularity", ["model", "type", "name"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_granularity_and_a_cleaned_model_converts(exported: Path, backend: str, granularity: str) -> None:
    """``qonnx-cleanup`` renames nodes and tensors, and folds constants."""
    folder = exported / "cleaned"
    folder.mkdir(exist_ok=True)
    cleanup = Path(sys.executable).with_name("qonnx-cleanup")
    command = [cleanup, exported / "model.onnx", "--out-file", folder / "model.onnx"]
    subprocess.run(command, check=True, capture_output=True)
    changes = {"Model/Lanes": 2, "Model/ReuseFactor": 128}
    script = """
hls_model.write()
print([layer.get_attr("lanes") for layer in hls_model.get_layers() if layer.get_attr("operation")])
"""
    done = call(CALLS + script, folder, backend, granularity, **changes)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) == {2}


@pytest.mark.slow
def test_build_reports_as_hls4ml_prints(exported: Path) -> None:
    done = call(CALLS + BUILDS, exported, "SpikeRTL")
    assert done.returncode == 0, done.stderr
    report = json.loads((exported / "report.json").read_text())["CSynthesisReport"]
    assert int(report["LUT"]) > 0
    assert int(report["BestLatency"]) <= int(report["WorstLatency"])
    assert report["LUT"] in done.stdout


@pytest.mark.skipif(shutil.which("dot") is None, reason="hls4ml's picture of a model needs Graphviz, which is not here")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_of_the_model(canonical: Path, backend: str) -> None:
    script = f"""
hls4ml.utils.plot_model(hls_model, to_file="{backend}.png", show_shapes=True, show_precision=True)
"""
    done = call(CALLS + script, canonical, backend)
    assert done.returncode == 0, done.stderr
    assert (canonical / f"{backend}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("backend", BACKENDS)
def test_profiling_shows_every_parameter_within_its_type(canonical: Path, backend: str) -> None:
    script = """
import matplotlib
matplotlib.use("Agg")
from hls4ml.model import profiling
hls_model.compile()
assert all(profiling.numerical(hls_model=hls_model, X=np.load(f"{folder}/ids.npy"))[i] for i in (0, 1, 3))
weights = profiling.weights_hlsmodel(hls_model, fmt="summary")
types = profiling.types_hlsmodel(hls_model)
json.dump({w["weight"]: [w["whislo"], w["whishi"]] for w in weights}, open(f"{folder}/weights.json", "w"))
types.set_index("layer").to_json(f"{folder}/types.json", orient="index")
"""
    done = call(CALLS + script, canonical, backend)
    assert done.returncode == 0, done.stderr
    weights, types = (json.loads((canonical / f"{name}.json").read_text()) for name in ("weights", "types"))
    parameters = {
        f"{name}/{p}": op.param_format(p)
        for name, op in operations(canonical / "model.onnx").items()
        for p in op.params
    }
    assert {name.removesuffix("/w") for name in types} - {"model"} == set(parameters)
    for name, (least, most) in weights.items():
        low, high = types[name]["low"], types[name]["high"]
        assert 2.0**low <= least <= most <= 2.0**high, name
        assert low == -parameters[name.removesuffix("/w")].frac


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"LayerName/head/Precision": "fixed<8,4>"}, "Precision of head: its widths are those of the QONNX model"),
        ({"LayerName/head/Strategy": "Resource"}, "Strategy of head: a Linear has the multipliers of its ReuseFactor"),
        ({"Model/Strategy": "Resource"}, "Strategy of Model"),
        ({"Model/Precision/default": "fixed<8,4>"}, "Precision of Model"),
        ({"LayerName/tail/ReuseFactor": 8}, "no layer is named 'tail'"),
        ({"LayerName/head/Lanes": 2}, "Lanes is one number for all layers: emb has 1, head has 2"),
        ({"Model/Lanes": 3, "LayerName": {}}, "3 lanes do not divide the 16 channels of emb"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_means_nothing_is_refused_by_name(canonical: Path, backend: str, changes: Any, says: str) -> None:
    done = call(CALLS, canonical, backend, **changes)
    assert done.returncode == 1
    assert says in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("shape", [(8,), (1, 8, 1), (0, 8)], ids=str)
def test_another_shape_is_refused(canonical: Path, shape: tuple[int, ...]) -> None:
    script = f"""
hls_model.compile()
hls_model.predict(np.zeros({shape}, int))
"""
    done = call(CALLS + script, canonical, "Vitis")
    assert f"token ids have the shape (sequences, tokens), not {shape}" in done.stderr.splitlines()[-1]
