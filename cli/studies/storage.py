"""Where a search is kept: in SQLite beside its points, in a journal in a folder that machines share, or in a database.

Each has a lock, which one process holds at a time, whatever machine it runs on, and which goes with its process.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikegpt_hls.model.errors import ModelError

#: What takes a lock that ends with the connection, by SQLAlchemy's name of the database.
_LOCKS = {
    "postgresql": "SELECT pg_advisory_lock(2302, 13939)",
    "mysql": "SELECT GET_LOCK('spikegpt_hls.explore', -1)",
    "mariadb": "SELECT GET_LOCK('spikegpt_hls.explore', -1)",
}


@dataclass(frozen=True)
class Storage:
    """``named`` is a URL or the journal's path; None stands for ``study.db`` in ``folder``. ModelError where a name is
    of neither."""

    named: str | None
    folder: Path

    def __post_init__(self) -> None:
        if self.named is not None and "://" in self.named:
            _parsed(self.named)
        elif self.named is not None and not Path(self.named).absolute().parent.is_dir():
            raise ModelError(f"there is no folder for storage={self.named}")

    @property
    def shared(self) -> bool:
        """Whether processes of other machines may use it."""
        return self.named is not None

    def __str__(self) -> str:
        """Without a password."""
        if self.named is None:
            return str(self._sqlite)
        return str(_parsed(self.named)) if "://" in self.named else self.named

    def open(self) -> Any:
        """Optuna's storage."""
        from optuna.storages import JournalStorage, RDBStorage
        from optuna.storages.journal import JournalFileBackend

        if self.named is None:
            return RDBStorage(f"sqlite:///{self._sqlite}", {"connect_args": {"timeout": 60}})
        if "://" in self.named:
            return RDBStorage(self.named)
        if not _is_journal(Path(self.named)):
            raise ModelError(f"{self.named} is a file of something else: {self.instead}")
        return JournalStorage(JournalFileBackend(self.named))

    @property
    def instead(self) -> str:
        """What the user can do where it holds something else."""
        return "name another storage=" if self.shared else "name another build= or remove it"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """ModelError where it cannot be reached, or no more."""
        try:
            yield
        except database_errors() as error:
            raise ModelError(f"{self} does not answer: {str(error).splitlines()[0]}") from error

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Where one process at a time is."""
        if self.named is None:
            with lock(self._sqlite.with_suffix(".lock"), fcntl.LOCK_EX):
                yield
        elif "://" in self.named:
            with _database(self.named):
                yield
        else:
            with _journal(self.named):
                yield

    @property
    def _sqlite(self) -> Path:
        return self.folder / "study.db"


def database_errors() -> tuple[type[Exception], ...]:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    return StorageInternalError, SQLAlchemyError


@contextmanager
def lock(path: Path, how: int) -> Iterator[bool]:
    """Whether the lock was given; it is, sooner or later, unless ``how`` says not to wait."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _database(url: str) -> Iterator[None]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import NullPool

    try:
        engine = create_engine(_parsed(url), poolclass=NullPool)
    except ImportError as error:
        raise ModelError(f"storage= needs a Python package for its database ({error}): docs/explore.md") from error
    with engine.connect() as connection:
        connection.execute(text(_LOCKS[engine.dialect.name]))
        yield


@contextmanager
def _journal(path: str) -> Iterator[None]:
    from optuna.storages.journal import JournalFileSymlinkLock

    turn = Path(f"{path}.turn")
    turn.touch()
    held = JournalFileSymlinkLock(str(turn))
    held.acquire()
    try:
        turn.touch()  # a lock that stays with the same time is taken away from whoever died with it
        yield
    finally:
        held.release()


def _is_journal(path: Path) -> bool:
    """Whether Optuna may write behind what the file holds."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        first = file.readline(1 << 20)
    try:
        return "op_code" in dict(json.loads(first))
    except (TypeError, ValueError):
        return False


def _parsed(url: str) -> Any:
    """ModelError where it names no database that a search can be kept in."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        found = make_url(url)
    except ArgumentError as error:
        raise ModelError("storage= is no URL: it is like postgresql://user@host/database, or a file") from error
    if found.get_backend_name() not in _LOCKS:
        known = ", ".join(_LOCKS)
        raise ModelError(f"storage= may be a database of {known}, or a file, not one of {found.get_backend_name()}")
    return found
