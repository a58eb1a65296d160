"""Where the files are that a config names, from wherever the workflow runs."""

import sysconfig
from pathlib import Path

_SHIPPED = "resources/"

# Beside the package's sources, as in a clone; or where pip puts the data of a package.
_HOMES = (Path(__file__).resolve().parents[2], Path(sysconfig.get_path("data")) / "share" / "isoflop")


def located(path: str, root: Path = Path()) -> Path:
    """Where a file or folder of the config is.

    It is under `root`, the working directory. Where nothing is there and its name begins with `resources/`,
    it is what isoflop ships, if there is such a thing.
    """
    own = root / path
    if not path.startswith(_SHIPPED) or own.exists():
        return own
    return next((home / path for home in _HOMES if (home / path).exists()), own)


def of_run(path: str, output: str) -> str:
    """Where a path of the run is that wrote `output`: both begin with `results/EXPERIMENT/`, after a folder.

    That folder is the prefix of a module, or a storage's for local copies. Other paths stay as they are.
    """
    experiment = "/".join(path.split("/")[:2]) + "/"
    place = f"/{output}".rfind(f"/{experiment}")
    return path if place < 0 or not path.startswith("results/") else f"{output[:place]}{path}"
