"""``docs/options.md`` is what the settings of the commands say."""

from __future__ import annotations

from pathlib import Path

from spikegpt_hls.cli import options

PAGE = Path(__file__).parents[1] / "docs" / "options.md"


def test_the_page_of_options_is_up_to_date() -> None:
    want, got = options.page().splitlines(), PAGE.read_text().splitlines()
    stale = next((line for line, found in zip(want, [*got, *want], strict=False) if line != found), None)
    assert want == got, f"docs/options.md is stale, run `make options`; it should say:\n{stale}"
