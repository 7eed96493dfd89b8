"""The same actions with 32-bit floating-point numbers: what the paper's energies price.

Adds and compares become floating-point adds, products floating-point products. What only integers need is left out:
rounding, saturation, alignment, normalisation. The divider's steps and the tables stay as they are. Every number that
is read or written has 32 bits, in as many more banks; what is one bit (a spike) stays one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from spikegpt_hls.sim.energy.actions import Action

BITS = 32
INTEGER_ONLY = ("round", "saturate", "align", "normalise", "leading zeros")


def as_floats(actions: Iterable[Action]) -> Iterator[Action]:
    for action in actions:
        if action.kind == "shift" or action.what.startswith(INTEGER_ONLY):
            continue
        if action.kind in ("add", "compare"):
            yield replace(action, kind="float_add", bits=BITS)
        elif action.kind == "multiply":
            yield replace(action, kind="float_multiply", bits=BITS, other=BITS)
        elif action.is_memory and action.bits > 1:
            yield replace(action, bits=BITS)
        else:
            yield action
