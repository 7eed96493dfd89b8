"""Resources of a network that is too large for its weights to be synthesised: block by block, without its ROMs.

What a ROM takes follows from its words and bits (``memory.py``); the logic around it does not depend on what it holds.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from spikegpt_hls.hls.dataflow import Block, Dataflow
from spikegpt_hls.hls.rtl.blocks import EVENT_LINEAR, SOURCES, image_file, images, module, parameters
from spikegpt_hls.quant.ops import Linear
from spikegpt_hls.sim.resources.synthesis import synthesize
from spikegpt_hls.sim.resources.tools import Parameters
from spikegpt_hls.sim.roms import rom

#: By module: the parameter that names a ROM's image, and the memory's name.
ROMS = {"linear": ("WEIGHT_FILE", "rom"), EVENT_LINEAR: ("WEIGHT_FILE", "rom"), "embedding": ("TABLE_FILE", "rom")}


def resources(dataflow: Dataflow, folder: Path, console: Console) -> dict[str, Any]:
    """``resources.json`` of a dataflow's blocks; ``folder`` gets what Yosys reads. Progress goes to ``console``."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for path in SOURCES.glob("*.sv"):
        shutil.copyfile(path, folder / path.name)
    modules = {block.name: (module(block), _parameters(block, folder)) for block in dataflow.blocks}
    outside = {name: ROMS[top][1] for name, (top, _) in modules.items() if top in ROMS}
    with console.status("size: Yosys") as status:

        def show(name: str, done: int, total: int) -> None:
            status.update(f"size: Yosys, {done} of {total} modules, {name} done")
            if not console.is_terminal:
                console.print(f"size: Yosys, {done} of {total} modules, {name} done", markup=False)

        return synthesize(folder, modules, show, outside)


def _parameters(block: Block, folder: Path) -> Parameters:
    files: dict[str, int | str] = {}
    kept = rom(block)
    if kept:
        files[ROMS[module(block)][0]] = _stand_in(folder, kept.bits)
    else:
        for name, image in images(block).items():
            files[name] = image_file(block.name, name)
            (folder / image_file(block.name, name)).write_text(image.hex())
    return {**parameters(block), **files}


def _stand_in(folder: Path, bits: int) -> str:
    """An image of two words in which no bit is constant, or Yosys would remove it before the ROM is cut off."""
    name, digits = f"images/outside_{bits}.hex", -(-bits // 4)
    (folder / name).write_text(f"{0:0{digits}x}\n{(1 << bits) - 1:0{digits}x}\n")
    return name


def shape(block: Block) -> str:
    """What makes blocks of a kind alike in a table."""
    if isinstance(op := block.operation, Linear):
        return f"{op.inputs} x {op.outputs}, {block.folding.multipliers} multipliers"
    return f"{block.channels_out} channels"


def grouped(dataflow: Dataflow, blocks: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    """Blocks of one kind and shape together: ``count`` of them and the sum of their resources."""
    counts: Counter[tuple[str, str]] = Counter()
    sums: dict[tuple[str, str], Counter[str]] = {}
    for block in dataflow.blocks:
        key = block.kind, shape(block)
        counts[key] += 1
        sums.setdefault(key, Counter()).update(blocks[block.name])
    return [{"kind": kind, "shape": form, "count": counts[kind, form], **found} for (kind, form), found in sums.items()]
