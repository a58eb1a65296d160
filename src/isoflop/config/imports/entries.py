"""What the config says of files of solutions: where they are, how their rows are laid out, who wrote them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from isoflop.config.base import (
    Count,
    Entry,
    Name,
    Repository,
    Revision,
    Sha256,
    Text,
    check_path,
    check_repository_path,
)
from isoflop.messages import suggest
from isoflop.registries import IMPORT_FORMATS, FormatTraits, ImportFormatName, SelectorName


def _check_address(url: str) -> str:
    """Every part is a name, and the host one that can be asked."""
    parts = check_path(url).removeprefix("https://").split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{url!r} has an empty part, '.' or '..'; give the address without them")
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address ({error})") from error
    return url


Url = Annotated[
    str,
    StringConstraints(pattern=r"^https://[^\s@/?#]+/[^\s?#]*[^\s?#/]$"),
    AfterValidator(_check_address),
]
Chosen = Annotated[tuple[Text | int | bool, ...], Field(min_length=1)]
Where = Annotated[dict[Text, Text | int | bool | Chosen], Field(min_length=1)]


# Keys that go with counts alone, and with texts alone.
_OF_COUNTS = ("tokens_per_sample", "prompt_tokens", "unequal_samples")
_OF_TEXTS = (
    "verifier", "verifiers", "tokenizer", "characters_per_token", "repetitions", "shuffled", "continuation",
    "step_separator", "budgets", "grades", "selectors",
)  # fmt: skip


# What a file may say of the published search that it is of.
_OF_SEARCHES = ("budget", "run")


class TokenizerSource(Entry):
    """A tokenizer (tokenizer.json) to count with."""

    model: Text
    """Folder that holds it, or hub id `owner/name` of a model."""
    revision: Revision | None = None
    """Commit of a hub model: 40 hexadecimal digits; none for a folder."""


class ImportFile(Entry):
    """A file of solutions."""

    path: Text | None = None
    """Path: in the repository, or on disk, where `*` stands for any name."""
    url: Url | None = None
    """Instead of a path, an address: https alone, without a key or a query. It is downloaded once and kept;
    with `mirror`, it is under `<mirror>/<host>/<path>`."""
    sha256: Sha256 | None = None
    """SHA-256 the file must have; needed for files of a repository and of an address."""
    budget: Count | None = None
    """The budget of the published search whose solutions these are; see `budgets`."""
    run: Annotated[int, Field(ge=0)] | None = None
    """Which repetition of that search it is."""

    @model_validator(mode="after")
    def _somewhere(self) -> "ImportFile":
        if (self.path is None) == (self.url is None):
            raise ValueError("give one of path and url")
        if self.url is not None and self.sha256 is None:
            raise ValueError(f"url: {self.url!r} needs its sha256")
        return self


def _told(files: Sequence[ImportFile], key: str) -> bool:
    return any(getattr(file, key) is not None for file in files)


class LogDemands(Entry):
    """What logs of inspect_ai must be, and which of their scores counts."""

    model: Text | None = None
    """The model that their headers name; needed where the policy does not go by its name."""
    settings: dict[Text, str | int | float | bool] = Field(default_factory=dict)
    """How it was asked, as their headers say: `{reasoning_effort: low}`."""
    scorer: Text | None = None
    """The scorer whose grades, and in summaries answers, are read; needed where they have several."""
    errors: Literal["refuse", "leave_out"] = "refuse"
    """What becomes of samples that ended in an error."""


class ImportSource(Entry):
    """Files of one model's solutions, on disk, at addresses, or of a repository at a pinned commit."""

    policy: Name
    """The model that wrote them: an entry of `policies` with a `size`."""
    repo: Repository | None = None
    """Repository, `owner/name`; without one, files are on disk or have a `url`."""
    host: Literal["github", "hub"] = "github"
    """Where the repository is: GitHub, or a data set of the Hugging Face hub."""
    revision: Revision | None = None
    """Commit of the repository: 40 hexadecimal digits."""
    where: Where | None = None
    """The rows that are this model's, by the value of a column or the path to it, one or several:
    `{model_name: gpt-5}`."""
    files: Annotated[tuple[ImportFile, ...], Field(min_length=1)]
    """The files; with `mirror`, those of a repository are under `<mirror>/<repo>/`."""
    log: LogDemands | None = None
    """With format `inspect`: what the logs must be."""

    @model_validator(mode="after")
    def _pinned(self) -> "ImportSource":
        if (self.repo is None) != (self.revision is None):
            raise ValueError("repo and revision go together")
        for file in self.files:
            if file.path is None:
                if self.repo is not None:
                    raise ValueError(f"files: {file.url!r} is of no repository; give it a source of its own")
                continue
            check_path(file.path) if self.repo is None else check_repository_path(file.path)
            if self.repo is not None and file.sha256 is None:
                raise ValueError(f"files: {file.path!r} of a repository needs its sha256")
            if "*" in file.path and (self.repo is not None or file.sha256 is not None):
                raise ValueError(f"files: {file.path!r}: a pattern is for files on disk, without sha256")
        return self


class Import(Entry):
    """Solutions that exist: written elsewhere, with verifiers' scores where there are any; or, of format
    `counts`, only how many of them are right.
    """

    kind: Literal["import"]
    """Published or earlier solutions."""
    format: ImportFormatName
    """What the files look like: see docs/how-to/replay-published-samples.md."""
    dataset: Name
    """The data set whose problems they solve."""
    verifier: Name | None = None
    """The model that scored them: an entry of `verifiers` with a `size`. None leaves scores out."""
    verifiers: Annotated[dict[Name, Text], Field(min_length=1)] | None = None
    """Instead of one, several: of each its column, or the path to its scores. For format `table`."""
    columns: Annotated[dict[Text, Text], Field(min_length=1)] | None = None
    """Which column of the files is which of the format: `{problem: question, text: response}`. A path leads
    into nested values: `response.usage.completion_tokens`, `choices.0.message.content` (an element),
    `samples.*.text` (of every element: a row of several solutions)."""
    ignore: tuple[Text, ...] = ()
    """Columns that are left unread although nobody knows them, `*` for all. Without it, a column that the
    format does not know is refused where it may be one that it lacks."""
    rows: Text | None = None
    """Where the list of rows is in a JSON file that holds an object: `samples`, `results.rows`."""
    step_separator: Text | None = None
    """What steps end with in the column `text`; without it, a text is one step. For format `table`."""
    continuation: bool = False
    """Whether the solutions go on where the problem's text ends, as HumanEval's completions do: that text is
    put before them."""
    sources: Annotated[tuple[ImportSource, ...], Field(min_length=1)]
    """Where the files are; those of one policy are one pool."""
    repetitions: Literal["across_files", "all"] = "across_files"
    """Exact repetitions of a solution to drop: those in another file, which are the same samples published
    twice; or all, such as the clones that a tree search leaves. Samples of one file may well be alike."""
    shuffled: Literal["refuse", "report"] = "refuse"
    """What happens to a file whose solutions are about other problems than those they are filed under:
    `report` takes it all the same, and the report says so."""
    tokenizer: TokenizerSource | None = None
    """The policy's tokenizer, for prompts and for solutions without a token count."""
    characters_per_token: Annotated[float, Field(gt=0, le=20)] | None = None
    """Instead of a tokenizer, an estimate; the results say that they rest on it. Neither is needed where the
    files count all tokens, those of prompts too."""
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    """The budgets of a published search, strictly increasing: each has solutions of its own, told apart by
    the column `budget` or by the files', and runs by `run`. Left out, the solutions are samples, of which
    every smaller budget is a subset. The cost of a search is that of the solutions that were published."""
    at_most: dict[Name, Count] | None = None
    """Largest budget by policy, for models with fewer solutions than the others."""
    at_least: Count | None = None
    """Problems with fewer solutions are left out of the study; the policy's largest budget if left out, and
    no less than that. Of format `counts` they are refused, and budgets above what a policy has are left out
    of its curve."""
    tokens_per_sample: Annotated[float, Field(gt=0)] | None = None
    """Of format `counts`: generated tokens of a sample, an estimate, where the files have no such column."""
    prompt_tokens: Count | None = None
    """Of format `counts`: tokens of a prompt, an estimate; prompts are not counted if left out."""
    unequal_samples: bool = False
    """Of format `counts`: accept problems of one policy with different numbers of samples. Where sampling
    went on until something was right, the share of right ones is too high, and the report says so."""

    grades: Literal["graded", "imported"] = "graded"
    """Whether solutions are graded here, or as their files grade them; the report has how often the two
    differ."""
    selectors: Annotated[tuple[SelectorName, ...], Field(min_length=1)] | None = None
    """What picks among these solutions: some of the study's `selectors`, all if left out. `[pass]` where the
    files say what is right, but not what was answered."""

    @model_validator(mode="after")
    def _logs(self) -> "Import":
        if self.format != "inspect" and any(source.log is not None for source in self.sources):
            raise ValueError("sources: log is for format inspect")
        return self

    @model_validator(mode="after")
    def _tokens_known(self) -> "Import":
        for name in _OF_TEXTS if self.counted else _OF_COUNTS:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does not go with format {self.format}")
        if self.counted:
            if (self.tokens_per_sample is None) == ("tokens" not in (self.columns or {})):
                raise ValueError(
                    "give one of tokens_per_sample (an estimate) and columns.tokens (of the files)"
                )
        else:
            counting = (self.tokenizer, self.characters_per_token).count(None)
            if counting == 0 or (counting == 2 and self.format != "inspect"):
                raise ValueError(
                    "give one of tokenizer and characters_per_token: files leave tokens uncounted"
                )
        return self

    @model_validator(mode="after")
    def _laid_out(self) -> "Import":
        traits = IMPORT_FORMATS[self.format]
        if self.verifier is not None and self.verifiers is not None:
            raise ValueError("give one of verifier and verifiers")
        for key, value in (("verifiers", self.verifiers), ("step_separator", self.step_separator)):
            if value is not None and not traits.maps_rows:
                raise ValueError(f"{key}: goes with format table; format {self.format} has its own")
        if traits.opens:
            given = [key for key in ("rows", "columns", "ignore") if getattr(self, key)]
            files = [file for source in self.sources for file in source.files]
            given += [f"a file's {key}" for key in _OF_SEARCHES if _told(files, key)]
            if given:
                raise ValueError(
                    f"{', '.join(given)}: format {self.format} has its own layout; leave out what "
                    "it would not read"
                )
        for name in self.columns or ():
            if traits.reads and name not in traits.columns:
                raise ValueError(
                    f"columns: format {self.format} reads no {name!r}{suggest(name, traits.columns)} "
                    f"(it reads {', '.join(traits.columns)})"
                )
        return self

    @model_validator(mode="after")
    def _searched(self) -> "Import":
        if self.budgets is None:
            files = [file for source in self.sources for file in source.files]
            for key in _OF_SEARCHES:
                if _told(files, key):
                    raise ValueError(
                        f"files with a {key} are of a published search; list its budgets in `budgets` too"
                    )
            return self
        if any(high <= low for low, high in pairwise(self.budgets)):
            raise ValueError(f"budgets: {list(self.budgets)} must be strictly increasing")
        for key in ("at_least", "at_most", "verifiers"):
            if getattr(self, key) is not None:
                raise ValueError(f"{key}: goes with samples, not with the `budgets` of a published search")
        return self

    @property
    def estimates_tokens(self) -> bool:
        """Whether tokens that files do not count are estimated; what a published search did not keep is."""
        rate = self.tokens_per_sample if self.counted else self.characters_per_token
        return rate is not None or self.budgets is not None

    @property
    def traits(self) -> FormatTraits:
        """What is known of the format."""
        return IMPORT_FORMATS[self.format]

    @property
    def counted(self) -> bool:
        """Whether the files count right samples, without their texts."""
        return self.traits.counted

    @property
    def policies(self) -> tuple[str, ...]:
        """The models that wrote the solutions, in the order of the sources."""
        return tuple(dict.fromkeys(source.policy for source in self.sources))

    @property
    def scored_by(self) -> dict[str, str | None]:
        """The verifiers, by name, and the column of each where there are several."""
        if self.verifiers is not None:
            return dict(self.verifiers)
        return {} if self.verifier is None else {self.verifier: None}

    def budgets_of(self, policy: str, budgets: tuple[int, ...]) -> tuple[int, ...]:
        """The budgets of a policy: those of the published search, or of the study's `budgets`."""
        most = (self.at_most or {}).get(policy)
        return tuple(one for one in self.budgets or budgets if most is None or one <= most)

    def least(self, policy: str, budgets: tuple[int, ...]) -> int:
        """How many solutions a policy's problem must have; `budgets` are the study's."""
        own = self.budgets_of(policy, budgets)
        return self.at_least or (own[-1] if own else 1)
