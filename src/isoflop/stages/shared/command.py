"""The command line of a stage: its specification, what it may use of the machine, and the files by name."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, NamedTuple, NoReturn, TypeVar

from pydantic import BaseModel

from isoflop.errors import UserError
from isoflop.files import read_json
from isoflop.stages.shared.runtime import Runtime

Spec = TypeVar("Spec", bound=BaseModel)

STANDARD_INPUT = "-"


class File(NamedTuple):
    """A positional argument: a file or folder.

    `many`: at most one (`?`), any number (`*`), or one or more (`+`), where it is not exactly one. `shown`:
    what the help calls it, if not its name in capitals.
    """

    name: str
    help: str
    many: Literal["?", "*", "+"] | None = None
    shown: str | None = None


@dataclass(frozen=True)
class Given(Generic[Spec]):
    """What a command line says. `text`: the specification's JSON; `files`: paths, by name."""

    spec: Spec
    text: str
    runtime: Runtime
    files: argparse.Namespace


class StageCommand:
    """The command line of `stage`: SPEC, then `files` in their order. `about`: what its help begins with."""

    def __init__(self, stage: str, about: str | None, *files: File, with_spec: bool = True) -> None:
        self._stage = stage
        self._parser = _Parser(
            prog=f"python -m isoflop.stages.{stage}",
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._parser.add_argument(
            "--runtime",
            metavar="JSON",
            default="{}",
            help="what the job may use of the machine (isoflop.stages.shared.runtime); decides no result",
        )
        if with_spec:
            self._parser.add_argument(
                "spec",
                metavar="SPEC",
                help="what is asked for, as JSON; @FILE for a file that holds it, - for standard input",
            )
        for file in files:
            shown = file.shown or file.name.upper()
            self._parser.add_argument(file.name, nargs=file.many, metavar=shown, help=file.help)

    def read(self, model: type[Spec], arguments: Sequence[str]) -> Given[Spec]:
        """The specification, what the job may use, and the paths.

        Raises UserError in one line where the arguments are not those of the stage, the specification cannot
        be read, or a field of it or of `--runtime` is wrong.
        """
        files = self.files(arguments)
        text = _text(files.spec)
        spec = read_json(model, text, f"{self._stage} specification")
        runtime = read_json(Runtime, files.runtime, "--runtime")
        return Given(spec, text, runtime.model_copy(update={"output": getattr(files, "out", "")}), files)

    def files(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The paths alone, of a stage without a specification; raises UserError as `read` does."""
        return self._parser.parse_args(arguments)

    def fault(self, message: str) -> UserError:
        """An error about the arguments, with the usage."""
        return UserError(f"{message} ({self._parser.usage_line()})")


class _Parser(argparse.ArgumentParser):
    """Wrong usage is a UserError of one line."""

    def usage_line(self) -> str:
        return " ".join(self.format_usage().split())

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} ({self.usage_line()})")


def _text(argument: str) -> str:
    """The specification's JSON, wherever the argument says it is."""
    if argument.lstrip().startswith("{"):
        return argument
    if argument != STANDARD_INPUT and not argument.startswith("@"):
        raise UserError(f"SPEC {argument[:60]!r}: is neither JSON nor @FILE nor - (standard input)")
    name = argument.removeprefix("@")
    try:
        data = sys.stdin.buffer.read() if argument == STANDARD_INPUT else Path(name).read_bytes()
        # What a shell or an editor puts around it is no part of it.
        return data.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"SPEC {argument}: cannot be read as text ({error})") from error
