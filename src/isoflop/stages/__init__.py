"""The command lines: the only modules that read and write files."""

import sys
from types import TracebackType

from isoflop.errors import UserError

_usual = sys.excepthook


def _only_the_message(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What a stage's own main cannot catch: a package that breaks while the stage is being imported."""
    if isinstance(error, UserError):
        print(f"error: {error}", file=sys.stderr)
    else:
        _usual(kind, error, traceback)


sys.excepthook = _only_the_message
