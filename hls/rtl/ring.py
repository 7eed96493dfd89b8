"""The ring in the top: its parameters and its instance."""

from __future__ import annotations

from collections.abc import Iterator

from spikegpt_hls.hls.dataflow import Block

PORTS = ("x", "back"), ("layer", "out")
WIRES = ("tdata", "tvalid", "tready", "tlast", "tuser")


def parameters(block: Block) -> dict[str, int]:
    """The integer parameters of ``ring.sv``."""
    new, inside = block.format_in
    return {
        "CHANNELS": block.channels_in,
        "LANES": block.lanes,
        "X_BITS": new.bits,
        "X_SIGNED": int(new.signed),
        "BITS": inside.bits,
        "LAYERS": block.layers,
        "CONTEXTS": block.contexts,
        "TOKENS": block.places,
        "WAVES": int(block.rows is not None),
        "PATIENCE": max(1, block.patience),
    }


def instance(block: Block) -> Iterator[str]:
    """The lines that instantiate it with its streams."""
    yield "  ring #("
    yield ",\n".join(f"      .{name}({value})" for name, value in parameters(block).items())
    yield f"  ) u_{block.name} ("
    lines = ["      .clk", "      .rst"]
    waves = {"wave": "", "closed": "", "taken": "1'b1", "coming": "1'b0"}
    lines += [f"      .{port}({f'ring_{port}' if block.rows else alone})" for port, alone in waves.items()]
    for side, names, streams in zip(("s", "m"), PORTS, (block.inputs, block.outputs), strict=True):
        for name, stream in zip(names, streams, strict=True):
            lines += [f"      .{side}_axis_{name}_{wire}({stream}_{wire})" for wire in WIRES]
    yield ",\n".join(lines)
    yield "  );"
