"""The C++ kernels of a test run, in one library, each between two conversions: integers to beats, and back."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import hls4ml
import numpy as np

from spikegpt_hls.hls.fold.folding import legal_factors
from spikegpt_hls.hls.vitis.kernels import SOURCES, kernel
from spikegpt_hls.host import library as host
from spikegpt_hls.quant.format import Format
from spikegpt_hls.quant.ops import BinaryEmbedding, Linear, Operation
from spikegpt_hls.rtl_tests.corners import corner_parameters, corner_streams, lanes_of

LENGTHS = (5, 1, 40, 2)  # unequal, back to back; a single token too

HARNESS = """
template <class T, unsigned N>
void feed(hls::stream<nnet::beat<T, N>> &stream, const long long *values, unsigned beats, bool first) {
    for (unsigned b = 0; b < beats; b++) {
        nnet::beat<T, N> beat;
        beat.first = first;
        for (unsigned l = 0; l < N; l++)
            beat[l] = nnet::from_raw<T>(ap_int<64>(values[b * N + l]));
        stream.write(beat);
    }
}
template <class T> void feed(hls::stream<nnet::token<T>> &stream, const long long *values, unsigned, bool first) {
    nnet::token<T> token;
    token[0] = T(*values);
    token[1] = T(first);
    stream.write(token);
}
template <class T, unsigned N>
void drain(hls::stream<nnet::beat<T, N>> &stream, long long *values, unsigned beats, bool first) {
    for (unsigned b = 0; b < beats; b++) {
        const nnet::beat<T, N> beat = stream.read();
        for (unsigned l = 0; l < N; l++)
            values[b * N + l] = beat.first == first ? nnet::raw(beat[l]).to_int64() : -999999;
    }
}
"""


@dataclass(frozen=True)
class Case:
    """One kernel, and what goes in."""

    op: Operation
    lanes: int
    reuse_factor: int = 1
    huge_keys: bool = False

    def __str__(self) -> str:
        op = self.op
        weight = f"-w{op.weight.bits}" if isinstance(op, Linear) else ""
        return f"{type(op).__name__}-{op.n_in}x{op.n_out}-lanes{self.lanes}-r{self.reuse_factor}{weight}"

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(1)
        return {name: self._param(name, rng) for name in self.op.params}

    def _param(self, name: str, rng: np.random.Generator) -> np.ndarray:
        fmt, shape = self.op.param_format(name), self.op.param_shape(name)
        if name == "weight":  # symmetric; each column is a shuffle of every weight there is, as often as fits
            every = np.resize(np.arange(-fmt.hi, fmt.hi + 1), shape[0])
            return np.stack([rng.permutation(every) for _ in range(shape[1])], axis=1)
        values = rng.integers(fmt.lo, 4 if name == "halvings" else fmt.hi + 1, shape)  # most states outlast a token
        values.flat[0], values.flat[-1] = fmt.lo, fmt.hi
        return values

    @cached_property
    def streams(self) -> list[list[np.ndarray]]:
        """For each sequence, its input streams (1, tokens, channels): every value if 8 bits, and the corners."""
        rng = np.random.default_rng(2)
        every_pair = isinstance(self.op, Linear) and self.op.outputs >= 256
        lengths = (*LENGTHS, 256) if every_pair else LENGTHS
        return [[self._stream(name, tokens, rng, every_pair) for name in self.op.streams] for tokens in lengths]

    def _stream(self, name: str, tokens: int, rng: np.random.Generator, every_pair: bool) -> np.ndarray:
        fmt = self.op.stream_format(name)
        if name == "ids":
            return rng.integers(0, self.op.vocabulary, (1, tokens))  # type: ignore[attr-defined]
        channels = self.op.n_in
        if every_pair and tokens == 256:  # each input takes each value once
            return (np.arange(256)[None, :, None] + np.arange(channels)) % 256 + fmt.lo
        every = np.resize(np.arange(fmt.lo, fmt.hi + 1), max(tokens * channels, fmt.hi - fmt.lo + 1))
        values = rng.permutation(every)[: tokens * channels].reshape(1, tokens, channels)
        if self.huge_keys and name == "k":  # one huge key, then tiny ones
            values[:, 0], values[:, 1:] = fmt.hi, fmt.lo
        if tokens == 2:  # all channels at a corner: the widest sums, no variance
            values[:, 0], values[:, 1] = fmt.lo, fmt.hi
        return values

    def expected(self) -> np.ndarray:
        outputs = [self.op(*streams, **self.params) for streams in self.streams]
        return np.concatenate(outputs, axis=1)[0]


class Corner(Case):
    """A kernel at a corner of its operation's schema."""

    @classmethod
    def of(cls, op: Operation) -> Corner:
        lanes = lanes_of(op)
        factors = legal_factors(op.inputs, op.outputs, lanes) if isinstance(op, Linear) else (1,)
        return cls(op, lanes, factors[len(factors) // 2])

    @cached_property
    def params(self) -> dict[str, np.ndarray]:
        return corner_parameters(self.op)

    @cached_property
    def streams(self) -> list[list[np.ndarray]]:
        return [[x[None] for x in corner_streams(self.op, tokens, seed=tokens)] for tokens in LENGTHS]


def cpp_type(fmt: Format) -> str:
    return f"ap_{'' if fmt.signed else 'u'}fixed<{fmt.bits}, {fmt.bits - fmt.frac}>"


def cpp(case: Case, index: int) -> str:
    """A C function around the kernel: streams and parameters as 64-bit integers."""
    op, k = case.op, kernel(case.op, case.params, case.lanes, case.reuse_factor, index)
    formats = [op.stream_format(name) for name in op.streams]
    types = [f"nnet::beat<{cpp_type(fmt)}, {case.lanes}>" for fmt in formats]
    if isinstance(op, BinaryEmbedding):
        types = [f"nnet::token<{cpp_type(replace(op.ids, signed=False))}>"]
    types.append(f"nnet::beat<{cpp_type(op.out)}, {case.lanes}>")
    names = [f"s{i}" for i in range(len(types))]
    lines = [k.config(f"config{index}"), f'extern "C" void run{index}(const long long *x, bool first, long long *y) {{']
    lines += [
        f"    static {type_} {name};" for type_, name in zip(map("hls::stream<{}>".format, types), names, strict=True)
    ]
    for name, array in k.arrays.items():
        type_ = f"ap_{'' if array.signed else 'u'}int<{array.bits}>"
        values = ", ".join(map(str, np.ravel(array.values)))
        lines += [f"    static const long long {name}_values[] = {{{values}}};"]
        lines += [f"    static {type_} {name}[{np.size(array.values)}];"]
        lines += [f"    for (int i = 0; i < {np.size(array.values)}; i++) {name}[i] = {name}_values[i];"]
    width = 1 if isinstance(op, BinaryEmbedding) else op.n_in
    for i, name in enumerate(names[:-1]):
        lines += [f"    feed({name}, x + {i * width}, {op.n_in // case.lanes}, first);"]
    lines += [f"    nnet::{k.function}<{', '.join(types)}, config{index}>({', '.join([*names, *k.arrays])});"]
    lines += [f"    drain({names[-1]}, y, {op.n_out // case.lanes}, first);", "}"]
    return "\n".join(lines)


def compile_cases(cases: list[Case], folder: Path) -> ctypes.CDLL:
    headers = "".join(f'#include "{header.name}"\n' for header in sorted(SOURCES.glob("*.h")))
    source = folder / "cases.cpp"
    source.write_text(headers + HARNESS + "\n".join(cpp(case, i) for i, case in enumerate(cases)))
    templates = Path(hls4ml.__file__).parent / "templates" / "vivado"
    include = [SOURCES, templates / "ap_types", templates / "nnet_utils"]
    flags = ["-std=c++11", "-O0", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-label"]
    headers = [path for place in include for path in sorted(place.rglob("*.h"))]
    return host.library([source], flags, headers, include)


def run(library: ctypes.CDLL, index: int, case: Case) -> np.ndarray:
    function = getattr(library, f"run{index}")
    outputs = []
    for streams in case.streams:
        for token in range(streams[0].shape[1]):
            x = np.concatenate([np.ravel(stream[0, token]) for stream in streams]).astype(np.int64)
            y = np.zeros(case.op.n_out, np.int64)
            pointer = ctypes.POINTER(ctypes.c_longlong)
            function(x.ctypes.data_as(pointer), ctypes.c_bool(token == 0), y.ctypes.data_as(pointer))
            outputs.append(y)
    return np.stack(outputs)
