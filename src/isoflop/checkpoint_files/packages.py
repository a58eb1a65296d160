"""Checkpoints that Python packages bring: found in what is installed, without importing the package."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from isoflop.errors import UserError


def is_installed(package: str) -> bool:
    """Whether a package of this name is installed."""
    try:
        distribution(package)
    except (PackageNotFoundError, ValueError):
        return False
    return True


def packaged_file(package: str, name: str) -> Path:
    """The file called `name` of an installed package.

    Raises UserError where the package is not installed, or brings none or several of that name.
    """
    try:
        files = distribution(package).files or []
    except (PackageNotFoundError, ValueError) as error:
        raise UserError(f"package {package!r}: is not installed; pip install {package}") from error
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
