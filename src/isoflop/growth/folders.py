"""Where finished rows lie: tables, what is kept beside them, unfinished work.

Other jobs remove files meanwhile, so what is gone is not there.

Beside a table `X.parquet` there may be `.X.parquet.finished`, a link to it for when a job makes it again,
`.X.parquet.former/`, tables and chunks with rows that it has not, and `.X.parquet.NAME.chunks/`, unfinished.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from isoflop.files import times_of

_RESULTS = "results"
_KEPT = ".finished"
_FORMER = ".former"
_TABLES = ".parquet"


def listed(folder: Path, ending: str = _TABLES) -> list[Path]:
    """What lies in a folder under names that end so, in their order; nothing where it is gone."""
    return [Path(entry.path) for entry in _entries(folder) if entry.name.endswith(ending)]


def below(folder: Path, ending: str = _TABLES) -> Iterator[Path]:
    """The same of a folder and all in it, also while other jobs remove folders; links are not followed."""
    for entry in _entries(folder):
        if entry.name.endswith(ending):
            yield Path(entry.path)
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                yield from below(Path(entry.path), ending)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def unfinished(target: Path, kind: str = "chunks") -> list[Path]:
    """The folders of unfinished work for `target`, whatever its name."""
    found = listed(target.parent, f".{kind}")
    return [folder for folder in found if folder.name.startswith(f".{target.name}.")]


def kept(path: Path) -> Path:
    """Where a file is kept, beside it: not every file system links across folders."""
    return path.with_name(f".{path.name}{_KEPT}")


def former_folder(table: Path) -> Path:
    """Where tables and chunks are that have rows which the table has not."""
    return table.with_name(f".{table.name}{_FORMER}")


def times_beside(table: Path) -> Path:
    """Where the measured times of a table are, of a kept one too."""
    if not table.name.endswith(_KEPT):
        return Path(times_of(str(table)))
    return kept(Path(times_of(str(table.with_name(table.name[1:].removesuffix(_KEPT))))))


def keep(table: Path) -> None:
    """Keep a finished table and its times, as links that take no space, for when it is to be made again.

    Snakemake removes outputs before a job makes them, and keeps none for a job that may fail: its `update`
    outputs, once restored, count as the new ones. Where the file system has no hard links nothing is kept.
    """
    for path in (table, Path(times_of(str(table)))):
        target = kept(path)
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        with suppress(OSError):
            os.link(path, temporary)
            os.replace(temporary, target)
        # Where both are the same file already, renaming one to the other does nothing.
        temporary.unlink(missing_ok=True)


def here(whole: Path, own: Path | None = None) -> Iterator[Path]:
    """Where rows of a table may lie under its name: in itself as it was, in what is kept, in unfinished work,
    in its parts. `own`: the folder of unfinished work that is looked through after the others'.
    """
    yield whole
    yield kept(whole)
    folders = [folder for folder in unfinished(whole) if folder != own]
    for folder in (former_folder(whole), *folders, *([] if own is None else [own])):
        yield from listed(folder)
    yield from listed(whole.with_suffix(".shards"))


def places(whole: Path, stage: str, own: Path | None = None) -> Iterator[Path]:
    """Where rows of a table may lie, in other tables too.

    Parameters
    ----------
    whole
        The table.
    stage
        The folder of its stage's tables, by which other experiments' are found.
    own
        The folder of unfinished work that is looked through after the others'.

    Yields
    ------
    Paths, there or not.
    """
    yield from here(whole, own)
    yield from elsewhere(whole, stage)


def elsewhere(table: Path, stage: str) -> Iterator[Path]:
    """Tables and chunks of a stage in all experiments beside that of `table`, its own included.

    `stage`: the folder of its tables. Nothing where `table` does not lie in an experiment's results.
    """
    for folder in table.absolute().parents:
        if folder.name == stage and folder.parent.parent.name == _RESULTS:
            for experiment in listed(folder.parent.parent, ""):
                yield from below(experiment / stage)
            return
