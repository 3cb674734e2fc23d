"""Logs to measure on: grown, or copied from those that were grown before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster import running_cluster
from benchmarks.growing import Upcoming, grow, write_log_key

BACKENDS = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Wanted:
    """A log that is asked for."""

    backend: str
    entries: int
    further: int
    """Events that come next, at least."""


@dataclass(frozen=True)
class Ground:
    """A log that may be spoiled."""

    database: str
    """As `--database` takes it."""
    log_key: Path
    upcoming: Upcoming


@contextmanager
def prepared(wanted: Wanted, folder: Path, cache: Path | None, jobs: int) -> Iterator[Ground]:
    """A log in an empty folder, until the block ends.

    Args:
        wanted: which.
        folder: where it is kept meanwhile.
        cache: where grown logs are kept for the next time; what is there is copied and stays as it is.
        jobs: processes that sign.
    """
    # PostgreSQL runs as somebody else, who has to get through to its own folder.
    folder.chmod(0o711)
    upcoming = Upcoming(folder / "upcoming")
    name = f"{wanted.backend}-{wanted.entries}"
    kept = _kept(wanted, cache / name) if cache is not None else None
    if kept is not None:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
    else:
        write_log_key(folder / "log.pem")
        with _running(wanted.backend, folder) as database:
            grow(database, wanted.entries, upcoming, wanted.further, jobs)
        (folder / "further").write_text(str(wanted.further))
        if cache is not None:
            _keep(folder, cache / name)
    with _running(wanted.backend, folder) as database:
        yield Ground(database, folder / "log.pem", upcoming)


@contextmanager
def _running(backend: str, folder: Path) -> Iterator[str]:
    if backend == "sqlite":
        yield str(folder / "log.db")
    else:
        with running_cluster(folder / "cluster") as url:
            yield url


def _kept(wanted: Wanted, kept: Path) -> Path | None:
    """A log that was kept, if it was so to its end and has enough events."""
    try:
        further = int((kept / "further").read_text())
    except OSError:
        return None
    return kept if further >= wanted.further else None


def _keep(folder: Path, kept: Path) -> None:
    """Keep a copy. It is put in its place as a whole: a copy that was cut short is never taken for a log."""
    draft = kept.with_name(f"{kept.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, draft)
    shutil.rmtree(kept, ignore_errors=True)
    draft.rename(kept)
