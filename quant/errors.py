"""What a graph can be refused for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class GraphError(ValueError):
    """A graph without a meaning here, or without one that hardware can have: a sentence with node and attribute."""


@contextmanager
def at_node(name: str) -> Iterator[None]:
    """Whatever is refused inside is refused of this node."""
    try:
        yield
    except GraphError as error:
        raise GraphError(f"node {name!r}: {error}") from error
