"""Settings: frozen dataclasses whose every field has its help, its domain and its default.

The options of the commands, the Makefile's variables, ``docs/options.md`` and the records of runs follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, NamedTuple, Self

import click

TEXT = click.STRING


class About(NamedTuple):
    """What a field of ``Settings`` carries beside its default."""

    help: str
    domain: click.ParamType
    example: str
    otherwise: str  # what a default of None stands for


def setting(
    default: Any, help: str, domain: click.ParamType = TEXT, example: object = "", otherwise: str = "none"
) -> Any:
    """A field: ``domain`` reads and judges what a user or a record says; ``example`` is a value to show."""
    return field(default=default, metadata={"about": About(help, domain, str(example), otherwise)})


def about(entry: Field[Any]) -> About:
    found: About = entry.metadata["about"]
    return found


@dataclass(frozen=True)
class Settings:
    """What one step, or one command, may be told."""

    remembered: ClassVar[bool] = True  # whether a setting that is not named is as in the last run
    forgotten: ClassVar[tuple[str, ...]] = ()  # but for these

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(entry.name for entry in fields(cls))

    @classmethod
    def of(cls, named: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Self:
        """What is named (None: not), then what ``before`` recorded, then the defaults."""
        known = {entry.name: about(entry).domain for entry in fields(cls)}
        asked = {name: named[name] for name in known if named.get(name) is not None}
        recorded = {
            name: value
            for name, value in cls.kept(before or {}, asked).items()
            if name in known and name not in cls.forgotten and _holds(known[name], value)
        }
        return replace(cls(), **{**recorded, **asked})

    @classmethod
    def kept(cls, before: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """What remains of the last run's settings where ``asked`` is named now."""
        return before

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """``steps is 300, was 200`` for every field that ``other`` has another value of; a field that it lacks was no
        choice then, and had its default."""
        values = {**type(self)().as_json(), **other}
        return [f"{n} is {v}, was {values[n]}" for n, v in self.as_json().items() if values[n] != v]


class Nothing(Settings):
    """For a step that has no choice."""


def _holds(domain: click.ParamType, value: Any) -> bool:
    """Whether a record's value is one that a user could have named."""
    if value is None:
        return True
    try:
        return bool(domain.convert(value, None, None) == value)
    except click.BadParameter:
        return False


def options(kinds: Iterable[type[Settings]]) -> list[click.Option]:
    """One option for each name; None stands for "not named"."""
    found: dict[str, click.Option] = {}
    for kind in kinds:
        for entry in fields(kind):
            told = about(entry)
            switch = isinstance(told.domain, click.types.BoolParamType)
            more: dict[str, Any] = {"is_flag": False, "flag_value": "1"} if switch else {}  # --waves, or --waves 1
            declared = [f"--{entry.name.replace('_', '-')}"]
            found.setdefault(entry.name, click.Option(declared, type=told.domain, default=None, help=told.help, **more))
    return list(found.values())
