"""A step: what it reads, what it may be told, what it writes, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from spikegpt_hls.cli.graph.settings import Nothing, Settings
from spikegpt_hls.cli.workspace import Workspace


def _no_paths(place: Workspace, settings: Any, named: Mapping[str, Any]) -> Mapping[str, str]:
    return {}


def _anything(place: Workspace, settings: Any) -> None:
    pass


@dataclass(frozen=True)
class Step:
    """``reads`` and ``writes`` are paths below the workspace's folder; ``{target}`` in them is the target's name.

    ``outside`` has the digests of the files that the user named, by setting; ``named`` are the settings named now.
    ``sources`` are rooms of this project: another version of them makes something else. ``check`` raises a user's error
    before anything is begun.

    ``owned`` is an output that only the step's own command replaces: one that no record explains is the user's.
    ``restore`` makes the other outputs again from it, where they do not belong to it. ``resumes`` is the folder of what
    an unfinished run goes on from.
    """

    name: str
    about: str
    run: Callable[[Workspace, Any, Console], None]
    settings: type[Settings] = Nothing
    needs: tuple[Step, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] | Callable[[Workspace], tuple[str, ...]] = ()
    sources: tuple[str, ...] = ()
    outside: Callable[[Workspace, Any, Mapping[str, Any]], Mapping[str, str]] = _no_paths
    check: Callable[[Workspace, Any], None] = _anything
    owned: str = ""
    resumes: str = ""
    restore: Callable[[Workspace, Any, Mapping[str, Any], Console], None] | None = None

    def outputs(self, place: Workspace) -> tuple[str, ...]:
        names = self.writes(place) if callable(self.writes) else self.writes
        return tuple(name.format(target=place.target) for name in names)

    def inputs(self, place: Workspace) -> tuple[str, ...]:
        return tuple(name.format(target=place.target) for name in self.reads)

    def title(self, place: Workspace) -> str:
        return self.name.format(target=place.target)
