"""Checkpoints that Python packages bring: found in what is installed, without importing the package."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from isoflop.errors import UserError


def is_installed(package: str) -> bool:
    """Whether a package of this name is installed."""
    return _installed(package) is not None


def packaged_file(package: str, name: str) -> Path:
    """The file called `name` of an installed package.

    Raises UserError where the package is not installed, or brings none or several of that name.
    """
    installed = _installed(package)
    if installed is None:
        raise UserError(f"package {package!r}: is not installed; pip install {package}")
    files = installed.files or []
    found = [file for file in files if file.name == name]
    if len(found) != 1:
        ending = Path(name).suffix
        there = ", ".join(sorted(file.name for file in files if file.suffix == ending)) or f"no *{ending}"
        how = f"brings {len(found)} files" if found else "brings no file"
        raise UserError(f"package {package!r}: {how} called {name!r} (it has {there})")
    path = Path(str(found[0].locate()))
    if not path.is_file():
        raise UserError(f"package {package!r}: {name} is gone; install the package again")
    return path


def _installed(package: str) -> Distribution | None:
    try:
        return distribution(package)
    except (PackageNotFoundError, ValueError):
        return None
