"""The one exception whose message is meant for the person at the terminal, and where it ends a program."""

import sys
from collections.abc import Callable, Sequence


class UserError(Exception):
    """Bad input: the message names the key, file or row at fault and says what to do about it."""


def run_main(main: Callable[[Sequence[str]], None]) -> None:
    """Run a program's `main` on the command line's arguments; a UserError ends it with its message alone."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
