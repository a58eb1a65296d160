"""The one exception whose message is meant for the person at the terminal, and where it ends a program."""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

# What writers of checkpoints say of a full disk: safetensors, and PyTorch's in three places.
_FULL = (
    "No space left on device",
    "PytorchStreamWriter failed writing",
    "inline_container.cc:",
    "iostream error",
)

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
    """Run a program's `main` on the command line's arguments; a UserError ends it with its message alone.

    So does a fault of the system, such as a full disk or a folder that cannot be written to, where it is met
    in code that does not expect it.
    """
    try:
        main(sys.argv[1:])
    except UserError as error:
        _end(str(error))
    except OSError as error:
        # Without a number it is a library's own, whose traceback tells where.
        if error.errno is None:
            raise
        place = f"{error.filename}: " if error.filename is not None else ""
        _end(f"{place}{error.strerror or error}")
    except Exception as error:
        text = str(error).split("\n", 1)[0]
        if not any(mark in text for mark in _FULL):
            raise
        _end(f"a file cannot be written: the disk is full ({text:.200}); free some of it and run again")


def _end(message: str) -> NoReturn:
    # The log may lie on the disk that is full.
    with suppress(OSError):
        print(printable(f"error: {message}"), file=sys.stderr)
    sys.exit(2)
