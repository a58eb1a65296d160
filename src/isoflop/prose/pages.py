"""README.md and docs/studies/*.md, rendered from templates whose numbers are looked up in committed tables.

Every `docs/templates/X.j2` is rendered to `docs/X`, and `README.md.j2` to `README.md` (`isoflop docs`).
A template asks for cells of `docs/studies/STUDY/TABLE.csv` by the values of other columns; CONTRIBUTING.md
says how. What cannot be looked up in exactly one row is an error, never a guess.
"""

import re
import traceback
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.ext import Extension

from isoflop.errors import UserError
from isoflop.files import write_text
from isoflop.prose.formats import FORMATS, above, below, listed, markdown, must, undecided
from isoflop.prose.lint import typed_numbers
from isoflop.prose.tables import Table, read_csv

TEMPLATES = Path("docs/templates")
STUDIES = Path("docs/studies")
ENDING = ".j2"


class _Comments(Extension):
    """Takes comments at the ends of lines away by themselves; Jinja would take the line's end with them."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"(?<=\S)[ \t]*\{#[^\n]*#\}[ \t]*$", "", source, flags=re.MULTILINE)


def environment(root: Path) -> Environment:
    """The language of templates, with its helpers; tables are those under `root`."""

    @cache
    def table(name: str) -> Table:
        path = root / STUDIES / f"{name}.csv"
        try:
            return read_csv(path.read_text(encoding="utf-8"), f"{STUDIES / name}.csv")
        except OSError as error:
            raise UserError(f"{STUDIES / name}.csv: cannot be read ({error.strerror})") from error

    made = Environment(
        loader=FileSystemLoader(root / TEMPLATES),
        # Markdown, from our own tables.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do", _Comments],
    )
    made.globals |= {"t": table, "must": must}
    made.filters |= {**FORMATS, "listed": listed, "markdown": markdown}
    made.tests |= {"above": above, "below": below, "undecided": undecided}
    return made


def rendered(made: Environment, name: str) -> str:
    """The text of a template; raises UserError naming the template and its line."""
    head = f"<!-- Written by `isoflop docs` from {TEMPLATES / name}. -->\n"
    try:
        text = made.get_template(name).render()
    except (UserError, TemplateError) as error:
        # Jinja rewrites the traceback, so that it has the template's lines.
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename.endswith(ENDING)]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f"{TEMPLATES / name}" + ("" if line is None else f", line {line}")
        raise UserError(f"{where}: {error}") from error
    return head + re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)


def templates(root: Path) -> dict[str, Path]:
    """The file that each template is rendered to, both relative: to the templates' folder, to `root`."""
    names = sorted(
        path.relative_to(root / TEMPLATES).as_posix() for path in (root / TEMPLATES).rglob(f"*{ENDING}")
    )
    return {
        name: Path(name.removesuffix(ENDING)) if "/" not in name else Path("docs", name.removesuffix(ENDING))
        for name in names
    }


def write_pages(root: Path) -> None:
    """Render every template under `root`; raises UserError where a number is typed or cannot be looked up."""
    made = environment(root)
    texts = {}
    for name, path in templates(root).items():
        for found in typed_numbers((root / TEMPLATES / name).read_text(encoding="utf-8")):
            raise UserError(
                f"{TEMPLATES / name}, {found!r} is typed: look it up, or say on that line where it comes "
                "from (CONTRIBUTING.md)"
            )
        texts[path] = rendered(made, name)
    # All or none: no text is of other tables than the others.
    for path, text in texts.items():
        write_text(root / path, text)
