"""The generators of the config: how candidates come about, one type per kind."""

from itertools import pairwise
from math import isqrt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from isoflop.config.base import Count, Entry, Name, Repository, Revision, Sha256, Text, template
from isoflop.config.datasets import Where
from isoflop.registries import IMPORT_FORMATS, ImportFormatName, SelectorName

Asked = Annotated[str, AfterValidator(template("problem", "attempts"))]
Attempt = Annotated[str, AfterValidator(template("attempt"))]


class Scored(Entry):
    """A generator whose answers verifiers score when they are there."""

    verifiers: tuple[Name, ...] | None = None
    """The entries of `verifiers` that score its answers; all that run if left out."""


class Reach(Entry):
    """What a generator is limited to."""

    policies: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `policies`; all if left out."""
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `datasets`; all that are studied if left out."""
    at_most: dict[Name, Count] | None = None
    """Largest budget by policy, for models of which more would cost too much."""

    def cap(self, policy: str, budgets: tuple[int, ...]) -> tuple[int, ...]:
        """The budgets that a policy is given."""
        most = (self.at_most or {}).get(policy)
        return tuple(budget for budget in budgets if most is None or budget <= most)


class Greedy(Entry):
    """One candidate per problem: the most probable token each time."""

    kind: Literal["greedy"]
    """Greedy decoding."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


class Sampling(Scored):
    """Independent samples; every smaller budget is a subset of them."""

    kind: Literal["sampling"]
    """Independent sampling."""
    samples: Count
    """Candidates per problem; the largest budget the pool can answer for."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature; 0 is the generator `greedy`."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
    max_tokens: Count
    """Longest solution, in tokens; longer ones are cut and marked `length`."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""


class AttemptTexts(Entry):
    """How earlier attempts are shown: as they were when the model was trained."""

    asked: Asked = "{problem}\n{attempts}"
    """What takes the problem's place in the prompt of the policy or verifier once there are `{attempts}`."""
    attempt: Attempt = "\n{attempt}\n"
    """How each of them is written, without the white space at its ends; the earliest comes first."""


class ChainWriting(AttemptTexts):
    """How a chain is written: an answer, then revisions of it."""

    length: Count
    """Answers per chain: the first, by the policy's own prompt, and its revisions."""
    history: Count = 4
    """How many of the latest answers a revision is shown."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: the smallest set of tokens with at least this probability."""
    max_tokens: Count
    """Longest answer, in tokens; longer ones are cut and marked `length`."""


class Revisions(Scored, ChainWriting):
    """Chains of revisions, in parallel: every ratio of sequential to parallel answers at each budget.

    The chains of length S are a generator of their own, NAME/S, in the tables and in
    `compute_optimal.families`; its budget N is N / S chains. NAME/1 is parallel sampling.
    """

    kind: Literal["revisions"]
    """Chains of revisions."""
    chains: Count
    """Chains per problem; each is as long as it takes."""
    lengths: tuple[Count, ...] = ()
    """Lengths S to compare, strictly increasing, from 1 to `length`; the powers of two and `length` if left
    out."""
    largest: Count | None = None
    """Most answers to spend in all: of `chains`, no more than `largest` / S are continued to length S."""
    only: Reach | None = None
    """Policies and data sets it is limited to; everything if left out. `largest` limits budgets here."""

    @model_validator(mode="after")
    def _comparable(self) -> "Revisions":
        lengths = self.lengths
        if lengths and (lengths[0] != 1 or lengths[-1] != self.length or sorted(set(lengths)) != [*lengths]):
            raise ValueError(
                f"lengths: {list(lengths)} must be strictly increasing, from 1 to length {self.length}"
            )
        if self.largest is not None and self.largest < self.length:
            raise ValueError(f"largest: {self.largest} is less than one chain of length {self.length}")
        return self

    @property
    def compared(self) -> tuple[int, ...]:
        """The lengths of the chains that are compared."""
        powers = (2**power for power in range(self.length.bit_length()))
        return self.lengths or tuple(sorted({*powers, self.length}))

    def parallel(self, length: int) -> int:
        """How many chains reach `length`."""
        return self.chains if self.largest is None else min(self.chains, self.largest // length)

    def budgets(self, length: int) -> tuple[int, ...]:
        """Numbers of answers that chains of this length are measured at: 1, 2, 4, ... chains."""
        return tuple(length * 2**power for power in range(self.parallel(length).bit_length()))

    @property
    def chain_lengths(self) -> tuple[int, ...]:
        """The length of each chain."""
        return tuple(
            max(length for length in self.compared if chain < self.parallel(length))
            for chain in range(self.parallel(1))
        )


class TokenizerSource(Entry):
    """A tokenizer (tokenizer.json) to count with."""

    model: Text
    """Folder that holds it, or hub id `owner/name` of a model."""
    revision: Revision | None = None
    """Commit of a hub model: 40 hexadecimal digits; none for a folder."""


class ImportFile(Entry):
    """A file of solutions."""

    path: Text
    """Path: in the repository, or on disk, where `*` stands for any name."""
    sha256: Sha256 | None = None
    """SHA-256 the file must have; needed for files of a repository."""


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
    """Files of one model's solutions, on disk or of a repository at a pinned commit."""

    policy: Name
    """The model that wrote them: an entry of `policies` with a `size`."""
    repo: Repository | None = None
    """Repository, `owner/name`; without one, files are on disk."""
    host: Literal["github", "hub"] = "github"
    """Where the repository is: GitHub, or a data set of the Hugging Face hub."""
    revision: Revision | None = None
    """Commit of the repository: 40 hexadecimal digits."""
    files: Annotated[tuple[ImportFile, ...], Field(min_length=1)]
    """The files; with `mirror`, those of a repository are under `<mirror>/<repo>/`."""
    log: LogDemands | None = None
    """With format `inspect`: what the logs must be."""
    where: Where | None = None
    """Keep only rows whose column has one of these values, such as one model's: `{Model: [Pythia 1B]}`."""

    @model_validator(mode="after")
    def _pinned(self) -> "ImportSource":
        if (self.repo is None) != (self.revision is None):
            raise ValueError("repo and revision go together")
        for file in self.files:
            if self.repo is not None and file.sha256 is None:
                raise ValueError(f"files: {file.path!r} of a repository needs its sha256")
            if "*" in file.path and (self.repo is not None or file.sha256 is not None):
                raise ValueError(f"files: {file.path!r}: a pattern is for files on disk, without sha256")
        return self


CountColumn = Literal["problem", "samples", "correct", "tokens", "level"]


class Import(Entry):
    """Solutions that exist: written elsewhere, with a verifier's scores where there are any; or, of format
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
    sources: Annotated[tuple[ImportSource, ...], Field(min_length=1)]
    """Where the files are; those of one policy are one pool."""
    repetitions: Literal["across_files", "all"] = "across_files"
    """Exact repetitions of a solution to drop: those in another file, which are the same samples published
    twice; or all, such as the clones that a tree search leaves. Samples of one file may well be alike."""
    tokenizer: TokenizerSource | None = None
    """The policy's tokenizer, for prompts and for solutions without a token count."""
    characters_per_token: Annotated[float, Field(gt=0, le=20)] | None = None
    """Instead of a tokenizer, an estimate; the results say that they rest on it. Neither is needed where the
    files count all tokens, those of prompts too."""
    columns: dict[CountColumn, Text] | None = None
    """Of format `counts`: what the files call the columns problem, samples and correct, and where they have
    them tokens (of a sample, mean) and level; by these names if left out."""
    tokens_per_sample: Annotated[float, Field(gt=0)] | None = None
    """Of format `counts`: generated tokens of a sample, an estimate, where the files have no such column."""
    prompt_tokens: Count | None = None
    """Of format `counts`: tokens of a prompt, an estimate; prompts are not counted if left out."""
    unequal_samples: bool = False
    """Of format `counts`: accept problems of one policy with different numbers of samples. Where sampling
    went on until something was right, the share of right ones is too high, and the report says so."""
    at_least: Count = 1
    """Problems with fewer solutions are left out of the study; no less than the largest budget. Of format
    `counts` they are refused, and budgets above what a policy has are left out of its curve."""

    grades: Literal["graded", "imported"] = "graded"
    """Whether solutions are graded here, or as their files grade them; the report has how often the two
    differ."""
    selectors: Annotated[tuple[SelectorName, ...], Field(min_length=1)] | None = None
    """What picks among these solutions: some of the study's `selectors`, all if left out. `[pass]` where the
    files say what is right, but not what was answered."""

    @property
    def counted(self) -> bool:
        """Whether the files count right samples, without their texts."""
        return IMPORT_FORMATS[self.format].counted

    @model_validator(mode="after")
    def _logs(self) -> "Import":
        if self.format != "inspect" and any(source.log is not None for source in self.sources):
            raise ValueError("sources: log is for format inspect")
        return self

    @model_validator(mode="after")
    def _tokens_known(self) -> "Import":
        of_counts = ("columns", "tokens_per_sample", "prompt_tokens", "unequal_samples")
        of_texts = ("verifier", "tokenizer", "characters_per_token", "repetitions", "grades", "selectors")
        given = [name for name in (of_texts if self.counted else of_counts) if name in self.model_fields_set]
        if given:
            raise ValueError(f"{given[0]} does not go with format {self.format}")
        if not self.counted:
            counting = (self.tokenizer, self.characters_per_token).count(None)
            if counting == 0 or (counting == 2 and self.format != "inspect"):
                raise ValueError(
                    "give one of tokenizer and characters_per_token: files leave tokens uncounted"
                )
            if any(source.where is not None for source in self.sources):
                raise ValueError("sources.where: goes with format counts")
        elif (self.tokens_per_sample is None) == ("tokens" not in (self.columns or {})):
            raise ValueError("give one of tokens_per_sample (an estimate) and columns.tokens (of the files)")
        return self

    @property
    def estimates_tokens(self) -> bool:
        """Whether tokens that files do not count are estimated."""
        return (self.tokens_per_sample if self.counted else self.characters_per_token) is not None

    @property
    def policies(self) -> tuple[str, ...]:
        """The models that wrote the solutions, in the order of the sources."""
        return tuple(dict.fromkeys(source.policy for source in self.sources))


class TreeSearch(Entry):
    """What all tree searches have in common."""

    verifier: Name | None = None
    """The verifier whose scores guide the search and weigh its votes; the first one if left out."""
    budgets: Annotated[tuple[Count, ...], Field(min_length=1)]
    """Strictly increasing; each is a search of its own."""
    runs: Count = 1
    """How often every search is repeated; the intervals hold the search's own randomness."""
    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Token temperature."""
    max_tokens: Count
    """Longest solution, in tokens along the whole path."""
    max_step_tokens: Count
    """Longest step, in tokens; a longer one is cut and goes on in the next."""
    max_depth: Count = 40
    """Most steps of a solution."""
    only: Reach | None = None
    """Policies and data sets it is limited to, and largest budgets; everything if left out."""

    @model_validator(mode="after")
    def _rising(self) -> "TreeSearch":
        if any(high <= low for low, high in pairwise(self.budgets)):
            raise ValueError(f"budgets: {list(self.budgets)} must be strictly increasing")
        return self


class Rebase(TreeSearch):
    """Reward balanced search (Wu et al. 2024); a budget is the number of solutions."""

    kind: Literal["rebase"]
    """REBASE."""
    balance_temperature: Annotated[float, Field(gt=0)] = 0.1
    """T_b: how strongly the shares of a budget follow the scores; the smaller, the stronger."""
    allocation: Literal["sequential", "round"] = "sequential"
    """How shares become whole children: best node first and exactly the budget (the authors' code), or each
    rounded (the paper)."""
    iterations: Count | None = None
    """How often what is left of the budget is shared out; after that every solution is written to its end at
    once. Until all have ended if left out; Wu et al. share once for programs."""


class _Beams(TreeSearch):
    """Searches that keep N / M beams."""

    beam_width: Count | Literal["sqrt"] = 4
    """M: children of every beam that is kept; N / M are kept. `sqrt` is the square root of the budget."""

    @model_validator(mode="after")
    def _divisible(self) -> "_Beams":
        for budget in self.budgets:
            if self.beam_width == "sqrt" and isqrt(budget) ** 2 != budget:
                raise ValueError(f"budgets: {budget} is no square, which beam_width: sqrt needs")
            if budget % self.width(budget):
                raise ValueError(
                    f"budgets: {budget} beams cannot be cut to {budget} / {self.beam_width}; give multiples "
                    "of beam_width"
                )
        return self

    def width(self, budget: int) -> int:
        """M at a budget."""
        return isqrt(budget) if self.beam_width == "sqrt" else self.beam_width


class Beam(_Beams):
    """Beam search (Snell et al. 2024); a budget is the number N of beams."""

    kind: Literal["beam"]
    """Beam search."""


class Dvts(_Beams):
    """Diverse verifier tree search: N / M subtrees searched apart (Beeching et al. 2024)."""

    kind: Literal["dvts"]
    """DVTS."""


class Lookahead(_Beams):
    """Beam search by the score after further steps at temperature 0 (Snell et al. 2024)."""

    kind: Literal["lookahead"]
    """Lookahead search."""
    lookahead_steps: Count = 1
    """k: how many steps are looked ahead; counts as N (k + 1) samples."""


class Mcts(TreeSearch):
    """Monte Carlo tree search (Wu et al. 2024); a budget is the number of expansions."""

    kind: Literal["mcts"]
    """MCTS."""
    exploration: Annotated[float, Field(ge=0)] = 1.0
    """C of UCT."""
    root_children: Count | None = None
    """Children of the root; an eighth of the budget if left out (Wu et al.: 4, 8, 16 for 32, 64, 128)."""
    children: Count = 2
    """Children of any other node."""


Sampled = Annotated[Greedy | Sampling, Field(discriminator="kind")]
AnySearch = Rebase | Beam | Dvts | Lookahead | Mcts
Searched = Annotated[AnySearch, Field(discriminator="kind")]
Generator = Annotated[Greedy | Sampling | Revisions | Import | AnySearch, Field(discriminator="kind")]
