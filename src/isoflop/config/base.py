"""What all entries of the config are made of: the type of a mapping, of names, texts, templates and numbers.

Their values travel to the stages inside specifications (isoflop.specs); what a stage does with them
is decided in the stage's own modules.
"""

from collections.abc import Callable
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from isoflop.strategy import NONE


class Entry(BaseModel):
    """A mapping of the config: its keys are fixed, its values typed and never converted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


RESERVED_NAMES = ("all", NONE)


def _check_name(name: str) -> str:
    if name in RESERVED_NAMES:
        raise ValueError(f"{name!r} has a meaning of its own in the tables; choose another name")
    return name


def template_fields(template: str) -> list[str]:
    """The names in the braces. Raises ValueError for what is no template, and for more than names."""
    try:
        pieces = [piece for piece in Formatter().parse(template) if piece[1] is not None]
    except ValueError as error:
        raise ValueError(f"not a template ({error}); write a literal brace twice: {{{{ or }}}}") from error
    for _, field, form, conversion in pieces:
        # Formatter takes "{problem:d}" for a number, which no text is, and only when it is filled in.
        more = (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
        if more:
            raise ValueError(
                f"has {{{field}{more}}}; braces hold a plain name, without '!' and ':' "
                "(a literal brace is written twice)"
            )
    return [str(field) for _, field, _, _ in pieces]


def template(*wanted: str) -> Callable[[str], str]:
    """A check that a text has these fields, each once; what it returns raises ValueError if not."""

    def check(text: str) -> str:
        if sorted(template_fields(text)) != sorted(wanted):
            named = " and ".join(f"{{{field}}}" for field in wanted)
            raise ValueError(f"must contain {named}, each once, and nothing else in single braces")
        return text

    return check


def _check_problem_text(prompt: str) -> str:
    if "" in template_fields(prompt):
        raise ValueError("has {}; name a column in the braces (a literal brace is written twice)")
    return prompt


def _check_repository(repo: str) -> str:
    if {".", ".."} & set(repo.split("/")):
        raise ValueError(f"{repo!r} is no repository; it is owner/name")
    return repo


def check_repository_path(path: str) -> str:
    """A path that stays in its repository. Raises ValueError for one that does not."""
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(
            f"{path!r} leads out of its repository; a path inside it has no '..' and no '/' first"
        )
    return check_path(path)


def check_path(path: str) -> str:
    """A path that a file may have. Raises ValueError for one with control characters."""
    if not path.isprintable():
        raise ValueError(f"{path!r} is no path: it holds what cannot be printed")
    return path


def _check_prompt(prompt: str) -> str:
    fields = template_fields(prompt)
    if set(fields) != {"problem"}:
        wrong = ", ".join(f"{{{field}}}" for field in fields if field != "problem")
        found = f"has {wrong}" if wrong else "has no {problem}"
        raise ValueError(
            f"{found}; it must contain {{problem}} and nothing else in single braces "
            "(a literal brace is written twice)"
        )
    return prompt


Name = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100),
    AfterValidator(_check_name),
]
Revision = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{40}|unpinned)$")]
Repository = Annotated[
    str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$"), AfterValidator(_check_repository)
]
RepositoryPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(check_repository_path)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64}|unpinned)$")]
Text = Annotated[str, StringConstraints(min_length=1)]
Prompt = Annotated[str, AfterValidator(_check_prompt)]
ProblemText = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_problem_text)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Dtype = Literal["float32", "bfloat16", "float16"]

UNPINNED = "unpinned"
