"""The one exception whose message is meant for the person at the terminal, and where it ends a program."""

import re
import sys
from collections.abc import Callable, Sequence

# Control characters but for ends of lines and tabs, and what turns the direction of writing round.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """A text that may come from anybody, without power over a terminal: escapes are spelt out (`\\x1b`)."""
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], text)


class UserError(Exception):
    """Bad input: the message names the key, file or row at fault and says what to do about it."""

    def __str__(self) -> str:
        """The message, which may quote files, servers and models."""
        return printable(super().__str__())


def run_main(main: Callable[[Sequence[str]], None]) -> None:
    """Run a program's `main` on the command line's arguments; a UserError ends it with its message alone."""
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
