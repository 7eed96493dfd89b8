"""The energy table of the SpikeGPT paper (arXiv 2302.13939), re-derived from its own formulas.

    dense GPT:  E_MAC (3 T d^2 + 2 T^2 d + T^2 + 2 T^2 + FFN)
    SpikeGPT:   E_AC R (3 T d^2 + FFN) + E_MAC mixing T d,   FFN = 4 d^2 + d^2 + 4 d^2

T tokens, width d, firing rate R, mixing 7 (6 in an earlier version), for one layer. The table gives FFN no factor T.
The totals it states do not follow from its formulas at the sizes it states; ``findings`` says what does, with numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import floor, log10
from typing import Any

MAC_PJ, AC_PJ = 4.5, 0.9  # 45 nm, as the paper has them; Horowitz has 3.7 + 0.9 = 4.6 and 0.9
RATE = 0.15
TOKENS, WIDTH = 3072, 512
STATED = {"dense_pj": 3.29e10, "spiking_pj": 1.02e9, "ratio": 32.2}
SOURCE = "SpikeGPT, arXiv 2302.13939, its energy table; transcribed"


@dataclass(frozen=True)
class Row:
    """One row of the table: operations of the dense GPT and of SpikeGPT, the latter accumulates where ``spikes``."""

    name: str
    dense: float
    spiking: float
    spikes: bool

    @property
    def dense_pj(self) -> float:
        return MAC_PJ * self.dense

    def spiking_pj(self, rate: float = RATE) -> float:
        return (AC_PJ * rate if self.spikes else MAC_PJ) * self.spiking


def rows(tokens: float, width: float, *, ffn_per_token: bool = False, mixing: int = 7) -> tuple[Row, ...]:
    """Of one layer; ``ffn_per_token`` gives FFN the factor T that the table lacks."""
    ffn = tokens if ffn_per_token else 1
    square = width**2
    return (
        Row("Q/R, K, V", 3 * tokens * square, 3 * tokens * square, True),
        Row("token mixing", 2 * tokens**2 * width, mixing * tokens * width, False),
        Row("scale", tokens**2, 0, False),
        Row("softmax", 2 * tokens**2, 0, False),
        Row("FFN 1", 4 * square * ffn, 4 * square * ffn, True),
        Row("FFN 2", square * ffn, square * ffn, True),
        Row("FFN 3", 4 * square * ffn, 4 * square * ffn, True),
    )


def totals(table: tuple[Row, ...], rate: float = RATE) -> dict[str, float]:
    dense, spiking = sum(row.dense_pj for row in table), sum(row.spiking_pj(rate) for row in table)
    return {"dense_pj": dense, "spiking_pj": spiking, "ratio": dense / spiking}


def per_token(layers: int, width: int, context: int, rate: float) -> dict[str, float]:
    """The paper's accounting of this geometry, pJ per token: its formulas over ``context`` tokens with FFN once per
    token (the reading that can be right), times ``layers``. It counts no output projection and no head."""
    found = totals(rows(context, width, ffn_per_token=True), rate)
    scale = layers / context
    return {name: found[name] * scale for name in ("dense_pj", "spiking_pj")} | {"ratio": found["ratio"]}


def rederived() -> list[dict[str, Any]]:
    """The rows at the stated T, d and R: pJ of both sides, with FFN as printed and with the factor T."""
    printed, whole = rows(TOKENS, WIDTH), rows(TOKENS, WIDTH, ffn_per_token=True)
    return [
        {
            "row": row.name,
            "dense_pj": row.dense_pj,
            "spiking_pj": row.spiking_pj(),
            "ratio": row.dense_pj / row.spiking_pj() if row.spiking else None,
            "dense_pj_with_t": with_t.dense_pj,
            "spiking_pj_with_t": with_t.spiking_pj(),
        }
        for row, with_t in zip(printed, whole, strict=True)
    ]


def findings() -> list[dict[str, Any]]:
    """``claim``, what is ``stated``, what its formulas give (``found``), and whether that is the same to the digits
    given (``reproduces``)."""
    return [_finding(*claim) for claim in _claims()]


def _claims() -> Iterator[tuple[str, float, float, float]]:
    projection = rows(TOKENS, WIDTH)[0]
    yield "one projection, dense over spiking", 33.3, projection.dense_pj / projection.spiking_pj(), 0
    rounded = sum(_half_unit(STATED[name]) / STATED[name] for name in ("dense_pj", "spiking_pj"))
    yield "ratio of the stated totals", STATED["ratio"], STATED["dense_pj"] / STATED["spiking_pj"], rounded
    for per, mixing in product((False, True), (7, 6)):
        found = totals(rows(TOKENS, WIDTH, ffn_per_token=per, mixing=mixing))
        how = f"FFN {'once per token' if per else 'as printed, without T'}, mixing {mixing} T d"
        for name, label in (("dense_pj", "dense total"), ("spiking_pj", "SpikeGPT's total"), ("ratio", "ratio")):
            yield f"{label}, {how}", STATED[name], found[name], 0


def _finding(claim: str, stated: float, found: float, slack: float) -> dict[str, Any]:
    return {"claim": claim, "stated": stated, "found": found, "reproduces": same(found, stated, slack)}


def same(found: float, stated: float, slack: float = 0) -> bool:
    """To the three digits that are stated; ``slack`` is what ``found`` may be off by itself, relatively."""
    return abs(found - stated) <= _half_unit(stated) + slack * stated


def _half_unit(stated: float) -> float:
    """Of the third digit."""
    return 0.5 * 10.0 ** (floor(log10(stated)) - 2)


def explanations() -> list[dict[str, Any]]:
    """Which rows, summed, give the stated totals: each row left out, at the dense price or at the spiking one, with FFN
    as printed and with the factor T, mixing 6 and 7. What is found is arithmetic, not what anyone meant."""
    found = []
    for per, mixing, side in product((False, True), (6, 7), ("dense_pj", "spiking_pj")):
        table = rows(TOKENS, WIDTH, ffn_per_token=per, mixing=mixing)
        for chosen in product((None, "dense", "spiking"), repeat=len(table)):
            prices = {"dense": [row.dense_pj for row in table], "spiking": [row.spiking_pj() for row in table]}
            used = [
                (row.name, price, prices[price][i])
                for i, (row, price) in enumerate(zip(table, chosen, strict=True))
                if price
            ]
            total = sum(pj for _, _, pj in used)
            if all(pj for _, _, pj in used) and same(total, STATED[side]):
                terms = [f"{name} ({price})" for name, price, _ in used]
                found.append({"total": side, "terms": terms, "ffn_per_token": per, "mixing": mixing, "pj": total})
    return sorted(found, key=lambda entry: len(entry["terms"]))
