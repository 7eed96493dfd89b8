"""Which module implements an operation, with which parameters and memory images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from spikegpt_hls.hls.dataflow import Block, Engine
from spikegpt_hls.hls.rtl import ring, rows
from spikegpt_hls.hls.rtl.hierarchy import declared, needed
from spikegpt_hls.hls.rtl.image import Image, pack
from spikegpt_hls.hls.rtl.timing import timing
from spikegpt_hls.quant.format import Ints, bits_for
from spikegpt_hls.quant.ops import (
    NAMES,
    WKV,
    BinaryEmbedding,
    GradedSpike,
    LayerNorm,
    Linear,
    Operation,
    Sigmoid,
    TokenShift,
)
from spikegpt_hls.quant.ops.layernorm import seed_table
from spikegpt_hls.quant.ops.wkv import BONUS, LOSS, MANTISSA_BITS, OCTAVE_FRAC, TABLE_FRAC, exp2_table

SOURCES = Path(__file__).parent
#: The module of each kind of block; none of an operation that has no file here.
MODULES = {
    kind: name
    for kind, name in {**NAMES, "Fork": "stream_fork", "Ring": "ring"}.items()
    if (SOURCES / f"{name}.sv").is_file()
}
#: That of a Linear that is driven by events.
EVENT_LINEAR = "event_linear"


def _lanes(block: Block, name: str, bits: int) -> Image:
    """A parameter per channel, one word per beat."""
    return pack(np.reshape(block.params[name], (-1, block.lanes)), bits)


def _decays(block: Block) -> Ints:
    """Per channel of a WKV 16 bits of the decay's mantissa, below its highest one, and above them its halvings.

    A mantissa in [1, 2) is wanted: that of 1 - loss, in (1/2, 1], takes one halving more, but for 1 itself. A state
    that was halved ``_forgotten`` times is shifted out beside every key, as it is when halved more often."""
    op, loss = block.operation, block.params["loss"]
    assert isinstance(op, WKV)
    halvings = np.minimum(block.params["halvings"] + (loss > 0), _forgotten(op))
    words: Ints = (halvings << LOSS.bits | -loss % (1 << LOSS.bits)).reshape(-1, block.lanes)
    return words


def _key_table(op: WKV) -> Ints:
    """Keys in base 2 by the bits of k, less a mantissa's octaves: the exponent of their terms, and its fraction."""
    values = np.arange(1 << op.k.bits)
    return op.octaves(np.where(values > op.k.hi, values - (1 << op.k.bits), values)) - (
        MANTISSA_BITS - 1 << OCTAVE_FRAC
    )


def _key_bits(op: WKV) -> int:
    return bits_for(int(_key_table(op).min()), int(_key_table(op).max()))


def _terms(op: WKV, bonus: int = 0) -> tuple[int, int]:
    """The exponents of the terms of the smallest and of the largest key, less and more a bonus."""
    keys = _key_table(op)
    return int(keys.min()) - bonus >> OCTAVE_FRAC, int(keys.max()) + bonus >> OCTAVE_FRAC


def _forgotten(op: WKV) -> int:
    """Halvings after which no bit of the largest key's state is left beside the smallest key's term; a product with the
    decay has up to two octaves more than its exponent says."""
    low, high = _terms(op)
    return high - low + 2 + op.state_format("a").bits


def exponents(op: WKV) -> tuple[int, int]:
    """The exponent of a state without a token, and the bits of an exponent and of the distance of two.

    A state's exponent lies above that of its last key's term and, as a term that is shifted out adds nothing, at most
    ``MANTISSA_BITS`` + 2 above the largest one's."""
    (low, high), (least, most) = _terms(op), _terms(op, -BONUS.lo)
    lowest, highest = min(low - _forgotten(op), least), max(high + MANTISSA_BITS + 2, most)
    return least, max(bits_for(lowest - most, highest - least), bits_for(lowest, highest))


def images(block: Block) -> dict[str, Image]:
    """The memory images of a block by the SystemVerilog parameter that takes the file's name.

    Those of several layers lie one behind the other: a layer's rows of constants begin at the next power of two, where
    its number stands in front of a row's, its weights where those of the layer before end."""
    if block.engine or block.rows:
        return {}  # its weights are the engine's, or in a memory outside
    if block.layers == 1:
        return _images(block)
    each = [_images(block.of_layer(number)) for number in range(block.layers)]
    return {name: _joined(name, [of[name] for of in each]) for name in each[0]}


def _joined(name: str, layers: list[Image]) -> Image:
    first = layers[0]
    if name in _SAME:
        return first
    length = len(first.words)
    stride = length if name == "WEIGHT_FILE" or length == 1 else 1 << (length - 1).bit_length()
    stride = max(stride, 2) if name != "WEIGHT_FILE" else stride
    words = [word for image in layers[:-1] for word in (*image.words, *[0] * (stride - length))]
    return Image((*words, *layers[-1].words), first.bits)


#: Images that depend on no layer.
_SAME = ("TABLE_FILE", "SEED_FILE", "KEY_FILE", "EXP2_FILE")


def _images(block: Block) -> dict[str, Image]:
    op = block.operation
    match op:
        case BinaryEmbedding():
            return {"TABLE_FILE": _lanes(block, "table", 1)}
        case GradedSpike():
            return {"THETA_FILE": _lanes(block, "theta", op.param_format("theta").bits)}
        case TokenShift():
            return {"MU_FILE": _lanes(block, "mu", op.mu.bits)}
        case Sigmoid():
            values = np.roll(op.table(), op.x.lo)  # addressed by the bits of x: the negative half comes last
            return {"TABLE_FILE": pack(values[:, None], op.out.bits)}
        case LayerNorm():
            return {
                "GAIN_FILE": _lanes(block, "gain", op.gain.bits),
                "BIAS_FILE": _lanes(block, "bias", op.bias.bits),
                "SEED_FILE": pack(seed_table()[:, None], 16),
            }
        case WKV():
            return {
                "BONUS_FILE": _lanes(block, "bonus", BONUS.bits),
                "DECAY_FILE": pack(_decays(block), _forgotten(op).bit_length() + LOSS.bits),
                "KEY_FILE": pack(_key_table(op)[:, None], _key_bits(op)),
                "EXP2_FILE": pack(exp2_table()[:, None], TABLE_FRAC + 1),
            }
        case Linear():
            return {"WEIGHT_FILE": weight_image(block, op.weight.bits)}
    return {}


def image_file(block: str, name: str) -> str:
    """A memory image's path, relative to the RTL's folder."""
    return f"images/{block}_{name.removesuffix('_FILE').lower()}.hex"


def weight_image(block: Block, bits: int) -> Image:
    """Word ``step`` holds ``PE x SIMD`` weights of ``bits``: step = group * (inputs/SIMD) + i multiplies the inputs
    ``i*SIMD + s`` into the outputs ``group*PE + p``, at ``[(p*SIMD + s)*BITS +: BITS]``.

    Driven by events, word ``row*inputs + lane*beats + beat`` holds the PE weights of input ``beat*lanes + lane``, and 0
    for outputs that there are not.
    """
    op, (simd, pe, *_) = block.operation, block.folding
    assert isinstance(op, Linear)
    if block.events:
        weight = np.pad(block.params["weight"], ((0, block.folding.rows * pe - op.outputs), (0, 0)))
        rows = np.reshape(weight, (-1, pe, block.beats_in, block.lanes))
        return pack(rows.transpose(0, 3, 2, 1).reshape(-1, pe), bits)
    tiles = np.reshape(block.params["weight"], (op.outputs // pe, pe, op.inputs // simd, simd))
    return pack(tiles.transpose(0, 2, 1, 3).reshape(-1, pe * simd), bits)


def module(block: Block) -> str:
    if block.rows and not block.places:
        return f"row_{MODULES[block.kind]}"
    return "shared_linear" if block.engine else EVENT_LINEAR if block.events else MODULES[block.kind]


def sources(kind: str) -> list[Path]:
    """The files that a block's module needs: its own, and those of the modules it instantiates."""
    return files(MODULES[kind])


def files(*modules: str) -> list[Path]:
    """As ``sources``, of modules by name."""
    return needed(modules, {path.stem: path for path in SOURCES.glob("*.sv")})


def parameters(block: Block) -> dict[str, int]:
    """The integer parameters of a block's module: geometry, formats, and constants that follow from them."""
    known = _all_parameters(block)
    return {name: value for name, value in known.items() if name in declared(SOURCES / f"{module(block)}.sv")}


def _all_parameters(block: Block) -> dict[str, int]:
    op = block.operation
    if block.places:
        return ring.parameters(block)
    if op is None:
        width = block.lanes * block.format_out.bits
        return {"WIDTH": width, "OUTPUTS": len(block.outputs), "CONTEXTS": block.states}
    values = {"LANES": block.lanes, "CONTEXTS": block.states, "LAYERS": block.layers}
    values |= dict(_flatten(op.attributes()))
    if block.is_join:
        values |= {f"{name.upper()}_DEPTH": depth for name, depth in zip(op.streams, block.fifo_depths, strict=True)}
    values |= zip(("WIDE", "NARROW"), block.multiplier, strict=True)
    return {**values, **_derived(block)}


def _derived(block: Block) -> Mapping[str, int]:
    op = block.operation
    match op:
        case BinaryEmbedding():
            return {"IDS_BITS": op.ids.bits}
        case LayerNorm():
            return {
                "EPSILON": op.epsilon,
                "SUM_BITS": op.sum_bits,
                "SQUARE_BITS": op.square_bits,
                "VARIANCE_BITS": op.variance_bits,
                "DEVIATION_BITS": op.deviation_bits,
                "NORM_BITS": op.norm.bits,
            }
        case WKV():
            return {
                "KEY_BITS": _key_bits(op),
                "A_BITS": op.state_format("a").bits,
                "B_BITS": op.state_format("b").bits,
                "E_BITS": exponents(op)[1],
                "EMPTY": exponents(op)[0],
                "HALVINGS_BITS": _forgotten(op).bit_length(),
            }
        case Linear() if block.rows:
            return rows.linear(block)
        case Linear():
            simd, pe, word, *_ = block.folding
            shared = bus(block.engine) if block.engine else {}
            banks = {"BANK_BITS": timing(block).banks.bit_length() - 1} if block.events else {}
            return {"SIMD": simd, "PE": pe, "WORD": word, "ACC_BITS": op.accumulator.bits, **shared, **banks}
    return {}


def bus(engine: Engine) -> dict[str, int]:
    """The widths of what a member and the engine say to each other."""
    return {
        "BEAT_BITS": max(1, (engine.beats - 1).bit_length()),
        "BUS_BITS": engine.x_bits,
        "SUM_BITS": engine.sum_bits,
    }


def _flatten(attributes: Mapping[str, int | list[int]]) -> Iterator[tuple[str, int]]:
    for name, value in attributes.items():
        if isinstance(value, list):
            yield from zip((f"{name.upper()}_{part}" for part in ("BITS", "FRAC", "SIGNED")), value, strict=True)
        else:
            yield name.upper(), value


def single(
    op: Operation,
    lanes: int,
    params: Mapping[str, Ints],
    reuse_factor: int = 1,
    depth: int = 2,
    contexts: int = 1,
    name: str = "",
    events: bool = False,
) -> Block:
    """A block by itself, outside a graph: for benches and for synthesis of one block."""
    formats = tuple(op.stream_format(name) for name in op.streams)
    depths = (depth,) * len(op.streams) if len(op.streams) > 1 else ()
    return Block(
        name or type(op).__name__.lower(), op, op.streams, ("m_axis",), op.n_in, op.n_out, formats, op.out, lanes,
        reuse_factor, depths, contexts=contexts, events=events, params=params,
    )  # fmt: skip
