"""Which files on disk a path or a pattern of the config names."""

from pathlib import Path


def local_files(pattern: str) -> list[Path]:
    """The files that a path or a pattern with `*` names, in the order of their names."""
    path = Path(pattern)
    if "*" not in pattern:
        return [path] if path.is_file() else []
    return sorted(
        found for found in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if found.is_file()
    )
