"""What is known before a run, for its forecast: problems, lengths and models, each with where it is from.

Problems come from their table, the generator or a local file, else from the assumptions; lengths from an
earlier run's ledgers, else from the problems' own texts and the assumptions; sizes as
isoflop.forecast.model_sizes finds them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from isoflop.config.check_models import is_local
from isoflop.config.datasets import CountedSource, FileSource, WordproblemsSource
from isoflop.config.generators import Greedy, Sampling, TreeSearch
from isoflop.config.models import Model, Policy
from isoflop.config.study import Config
from isoflop.config.training import Init, PolicyTraining
from isoflop.config.verifiers import ImportedVerifier, RunningVerifier
from isoflop.costs.shape import ModelShape
from isoflop.data.loading import load_file, load_repository, load_wordproblems
from isoflop.errors import UserError
from isoflop.files import located, read_ledger, read_parquet, read_table
from isoflop.forecast.checkpoint_configs import CheckpointConfigs
from isoflop.forecast.model_sizes import (
    Size,
    counted_size,
    size_of_architecture,
    size_of_name,
    size_of_plan,
    with_layers,
)
from isoflop.forecast.time import Placed, memory_fault, shared_fault, training_fault
from isoflop.forecast.tokens import Lengths
from isoflop.forecast.work import Known, assumed_lengths, search_gpus
from isoflop.pipeline.plan import Plan
from isoflop.tables import PROBLEMS

# Prompts that are counted for their mean.
_COUNTED = 200
# Stands for a size that check() then complains of.
_UNKNOWN = Size(ModelShape(parameters=1, embedding_parameters=0, layers=1, attention_width=1), 1, "unknown")

Count = Callable[[Sequence[str]], float]
"""The mean number of tokens of some texts."""


@dataclass(frozen=True)
class Problems:
    """How many there are, the texts of the first ones where they are known, and where that is from."""

    count: int
    prompts: Sequence[str]
    solutions: Sequence[str]
    source: str


@dataclass(frozen=True)
class Inputs:
    """`known`, the sentences on where it is from, and what does not fit the planned accelerator."""

    known: Known
    notes: Sequence[str]
    faults: Sequence[str]


def gather(plan: Plan, root: Path, *, offline: bool = False) -> Inputs:
    """All that can be known of a study under `root`.

    Raises UserError where a model's size cannot be found, not even in its name.
    """
    config = plan.config
    problems = {name: _problems(config, name, root / plan.results) for name in config.datasets}
    sizes = _Sizes(config, root, CheckpointConfigs(offline=offline))
    policies = {name: sizes.policy(name) for name, entry in config.policies.items() if entry.runs}
    verifiers = {
        name: sizes.verifier(name, entry)
        for name, entry in config.verifiers.items()
        if not isinstance(entry, ImportedVerifier)
    }
    trained = {name: Placed(size.shape, size.key_width) for name, size in sizes.trained().items()}
    sizes.check()
    lengths = _Lengths(plan, root, problems)
    known = Known(
        problems={name: texts.count for name, texts in problems.items()},
        lengths=lengths.all(),
        policies=policies,
        verifiers=verifiers,
        trained=trained,
        chunk_problems=config.engine_settings.chunk_problems,
    )
    notes = [f"{name}: {texts.count:,} problems, {texts.source}" for name, texts in problems.items()]
    notes += [*lengths.notes, *dict.fromkeys(sizes.notes), *_together(plan, known)]
    return Inputs(known, notes, _faults(config, known))


def _problems(config: Config, name: str, results: Path) -> Problems:
    entry, table = config.datasets[name], results / "problems" / f"{name}.parquet"
    planned = config.planning.datasets.get(name)
    # A table may be of before an edit, which what it is made of here tells.
    if table.is_file() and not isinstance(entry, WordproblemsSource | FileSource):
        whole = read_table(table, PROBLEMS)
        rows = whole.slice(0, _COUNTED)
        prompts = rows["prompt"].to_pylist()
        solutions = [solution for solution in rows["solution"].to_pylist() if solution]
        return Problems(whole.num_rows, prompts, solutions, "of its table")
    loaded = None
    if isinstance(entry, WordproblemsSource):
        # The longer list begins with the shorter one.
        first = entry.model_copy(update={"size": min(entry.size, _COUNTED)})
        problems = load_wordproblems(first)[0]
        loaded = (entry.size, problems, "generated")
    elif isinstance(entry, FileSource):
        problems = load_file(entry)[0]
        loaded = (len(problems), problems, f"of {entry.path}")
    elif isinstance(entry, CountedSource):
        return Problems(config.planning.problems, (), (), "counted, of which no model reads any")
    elif config.mirror is not None:
        problems = load_repository(entry, Path(config.mirror))[0]
        loaded = (len(problems), problems, "of the mirror")
    if loaded is not None:
        count, problems, source = loaded
        solutions = [problem.solution for problem in problems[:_COUNTED] if problem.solution]
        return Problems(count, [problem.prompt for problem in problems[:_COUNTED]], solutions, source)
    if planned is not None and planned.problems is not None:
        return Problems(planned.problems, (), (), f"assumed (planning.datasets.{name}.problems)")
    limit = None if isinstance(entry, WordproblemsSource | FileSource) else entry.limit
    if limit is not None:
        return Problems(limit, (), (), f"the limit of datasets.{name}")
    return Problems(config.planning.problems, (), (), "assumed (planning.problems)")


class _Lengths:
    """Tokens of prompts and solutions by data set and policy, or model to train."""

    def __init__(self, plan: Plan, root: Path, problems: Mapping[str, Problems]) -> None:
        self._plan, self._config = plan, plan.config
        self._root, self._problems = root, problems
        self._tokenizers: dict[str, Count | None] = {}
        self.notes: list[str] = []

    def all(self) -> dict[tuple[str, str], Lengths]:
        """Of every data set and policy that meet."""
        config, lengths = self._config, {}
        for dataset, name in dict.fromkeys((pool.dataset, pool.policy) for pool in self._plan.pools.all()):
            if config.policies[name].runs:
                lengths[dataset, name] = self._of_policy(dataset, name, config.policies[name])
        pairs = [
            (label.problems, name)
            for label in config.labels.values()
            for name in (*label.policies, label.completer)
        ]
        pairs += [(entry.problems, entry.policy) for entry in config.revisions.values()]
        pairs += [(entry.problems, entry.policy) for entry in config.chain_labels.values()]
        for dataset, name in dict.fromkeys(pairs):
            if (dataset, name) not in lengths:
                lengths[dataset, name] = self._of_policy(dataset, name, config.policies[name])
        for name, training in config.training.items():
            if isinstance(training, PolicyTraining) and (learnt := training.data.dataset) is not None:
                lengths[learnt, name] = self._of_training(learnt, name, training)
        return lengths

    def _of_policy(self, dataset: str, name: str, policy: Policy) -> Lengths:
        measured = self._measured(dataset, name)
        if measured is not None:
            return measured
        assumed = assumed_lengths(self._config.planning, dataset, name)
        texts = [policy.prompt.format(problem=prompt) for prompt in self._problems[dataset].prompts]
        prompt, source = self._prompt(texts, policy, assumed.prompt)
        self._note(dataset, name, replace(assumed, prompt=prompt), source)
        return replace(assumed, prompt=prompt)

    def _measured(self, dataset: str, policy: str) -> Lengths | None:
        """From the first ledger of samples that an earlier run left, with the steps of its candidates."""
        for generator in self._plan.pools.sampled():
            base = self._root / self._plan.results / "sample" / dataset / policy / generator
            ledger, table = base.with_name(f"{generator}.ledger.json"), base.with_name(f"{generator}.parquet")
            if not (ledger.is_file() and table.is_file()):
                continue
            entries = read_ledger(ledger)
            try:
                candidates = entries["candidates"]
                steps = pc.mean(pc.list_value_length(read_parquet(table, ["step_tokens"])[0])).as_py()
                lengths = Lengths(
                    entries["prompt_tokens"] / candidates,
                    max(1.0, entries["generated_tokens"] / candidates),
                    max(1.0, steps),
                    measured=True,
                )
            except (KeyError, TypeError, ZeroDivisionError) as error:
                raise UserError(
                    f"{ledger}: is no ledger of samples ({error}); delete it and run again"
                ) from error
            self._note(dataset, policy, lengths, f"measured by {generator}'s ledger")
            return lengths
        return None

    def _prompt(self, texts: Sequence[str], policy: Policy, assumed: float) -> tuple[float, str]:
        if not texts:
            return assumed, "all assumed"
        count = self._counter(policy)
        if count is not None:
            return count(texts), "prompt counted, the rest assumed"
        per_token = self._config.planning.characters_per_token
        mean = sum(map(len, texts)) / len(texts) / per_token
        return mean, f"prompt at {per_token:g} characters a token, the rest assumed"

    def _counter(self, policy: Policy) -> Count | None:
        """Counts prompts with the policy's own tokenizer, where that is in a local folder."""
        if policy.model is None or policy.gguf_file or not is_local(policy.model, self._root):
            return None
        from isoflop.engines.checkpoints import load_tokenizer  # noqa: PLC0415  heavy, only where it counts
        from isoflop.engines.prompts import PromptEncoder  # noqa: PLC0415

        encoder = PromptEncoder(
            load_tokenizer(str(located(policy.model, self._root)), None),
            chat=policy.chat,
            system=policy.system,
            template=policy.chat_template,
        )
        return lambda texts: sum(map(len, encoder.ids(texts))) / len(texts)

    def _of_training(self, dataset: str, name: str, training: PolicyTraining) -> Lengths:
        """Reference solutions, where there are any to look at."""
        assumed = assumed_lengths(self._config.planning, dataset, name)
        texts = self._problems[dataset]
        prompts = [training.prompt.format(problem=prompt) for prompt in texts.prompts]
        if not texts.solutions:
            self._note(dataset, name, assumed, "all assumed")
            return assumed
        tokenizer = self._start_tokenizer(training.init)
        per_token = self._config.planning.characters_per_token

        def mean(some: Sequence[str]) -> float:
            if tokenizer is None:
                return sum(map(len, some)) / len(some) / per_token
            return sum(len(ids) for ids in tokenizer(list(some))["input_ids"]) / len(some)

        lengths = Lengths(mean(prompts), mean(texts.solutions), assumed.steps, measured=True)
        how = "counted" if tokenizer else f"{per_token:g} characters a token"
        self._note(dataset, name, lengths, f"reference solutions, {how}")
        return lengths

    def _start_tokenizer(self, init: Init) -> Any:
        from isoflop.engines.checkpoints import load_tokenizer  # noqa: PLC0415  heavy, only where it counts
        from isoflop.engines.loading.source import source_of  # noqa: PLC0415
        from isoflop.training.word_tokenizer import build_tokenizer  # noqa: PLC0415

        if init.architecture is not None:
            return build_tokenizer()
        if init.trained is not None:
            return self._start_tokenizer(self._config.training[init.trained].init)
        entry = init.checkpoint
        if entry is not None and entry.package is not None:
            return load_tokenizer(*source_of(entry))
        assert init.model is not None  # one of the four is given
        return (
            load_tokenizer(str(located(init.model, self._root)), None, init.gguf_file)
            if is_local(init.model, self._root)
            else None
        )

    def _note(self, dataset: str, policy: str, lengths: Lengths, source: str) -> None:
        self.notes.append(
            f"{dataset}, {policy}: prompt {lengths.prompt:,.0f} and solution {lengths.solution:,.0f} tokens, "
            f"{lengths.steps:.1f} steps ({source})"
        )


class _Sizes:
    """Sizes of models, and those that nothing tells."""

    def __init__(self, config: Config, root: Path, configs: CheckpointConfigs) -> None:
        self._config, self._root, self._configs = config, root, configs
        self._trained: dict[str, Size] = {}
        self._unknown: list[str] = []
        self.notes: list[str] = []

    def policy(self, name: str) -> Placed:
        """A policy that runs."""
        entry = self._config.policies[name]
        return self._placed(f"policies.{name}", name, entry)

    def verifier(self, name: str, entry: RunningVerifier) -> Placed:
        """A verifier that runs."""
        return self._placed(f"verifiers.{name}", name, entry)

    def trained(self) -> dict[str, Size]:
        """All models to train."""
        return {name: self._of_training(name) for name in self._config.training}

    def check(self) -> None:
        """Raises UserError naming the models whose size is not known."""
        if self._unknown:
            raise UserError(
                "planning: the size of " + ", ".join(self._unknown) + " is not known: its config.json is not "
                "here, the hub does not give it, and the name does not say; set planning.sizes.NAME: "
                "{parameters, layers, attention_width}"
            )

    def _placed(self, key: str, name: str, entry: Policy | RunningVerifier) -> Placed:
        size = self._of_training(entry.trained) if entry.trained else None
        if size is None:
            size = self._found(key, name, str(entry.model or entry.package), entry.revision, entry)
        return Placed(
            size.shape,
            size.key_width,
            entry.dtype,
            entry.quantization,
            entry.gpus,
            entry.memory_share,
            vllm=entry.engine == "vllm",
        )

    def _found(
        self, key: str, name: str, model: str, revision: str | None, entry: Model | None = None
    ) -> Size:
        local = str(located(model, self._root)) if is_local(model, self._root) else model
        planned = self._config.planning.sizes.get(name)
        size = counted_size(self._configs, local, revision, entry)
        if size is None:
            named = model if entry is None else entry.gguf_file or model
            size = size_of_plan(planned) if planned is not None else size_of_name(named)
        if size is None:
            self._unknown.append(f"{key} ({model})")
            return _UNKNOWN
        self.notes.append(f"{key}: {size.shape.parameters:,} parameters, {size.source}")
        return size

    def _of_training(self, name: str) -> Size:
        if name not in self._trained:
            init = self._config.training[name].init
            key = f"training.{name}"
            if init.architecture is not None:
                size = size_of_architecture(init.architecture)
                self.notes.append(f"{key}: {size.shape.parameters:,} parameters, {size.source}")
            elif init.trained is not None:
                size = self._of_training(init.trained)
            else:
                entry = init.checkpoint
                assert entry is not None  # one of the four is given
                size = self._found(key, name, str(entry.model or entry.package), entry.revision, entry)
            self._trained[name] = with_layers(size, init.extra_layers) if init.extra_layers else size
        return self._trained[name]


def _together(plan: Plan, known: Known) -> list[str]:
    """How many GPUs the searches in vLLM take."""
    apart = []
    for generator, name in dict.fromkeys((pool.generator, pool.policy) for pool in plan.pools.searches()):
        (guide,) = plan.pools.verifiers(generator)
        policy, verifier = known.policies[name], known.verifiers[guide]
        if policy.vllm or verifier.vllm:
            gpus, shares = search_gpus(policy, verifier), policy.memory_share + verifier.memory_share
            how = (
                f"share {max(policy.gpus, verifier.gpus)}"
                if shares <= 1
                else f"take {gpus}, each its own: memory_shares add up to {shares:g}"
            )
            apart.append(f"{generator}: GPUs of {name} and {guide}: they {how}")
    return apart


def _faults(config: Config, known: Known) -> list[str]:
    """What does not fit the accelerator, by entry."""
    planning, faults = config.planning, []
    written = [
        entry.max_tokens
        for entry in config.generators.values()
        if isinstance(entry, Greedy | Sampling | TreeSearch)
    ]
    written += [label.max_tokens for label in config.labels.values()]
    written += [entry.max_tokens for entry in config.revisions.values()]
    chains = (*config.chains.values(), *config.chain_labels.values())
    # The prompt of a revision holds the attempts before it.
    written += [(1 + min(entry.history, entry.length - 1)) * entry.max_tokens for entry in chains]
    prompts = [lengths.prompt for lengths in known.lengths.values()]
    usual = max(prompts, default=0.0) + max(written, default=0)
    for section, models in (("policies", known.policies), ("verifiers", known.verifiers)):
        for name, model in models.items():
            entry = getattr(config, section)[name]
            fault = memory_fault(model, planning, entry.max_length or usual)
            if fault is not None:
                faults.append(f"{section}.{name}: {fault}")
    for name, model in known.trained.items():
        fault = training_fault(model.shape.parameters, planning, config.training[name].gpus)
        if fault is not None:
            faults.append(f"training.{name}: {fault}")
    for generator, search in config.searches.items():
        guide = search.verifier or next(iter(config.verifiers))
        for name, policy in known.policies.items():
            verifier = known.verifiers[guide]
            if policy.vllm or verifier.vllm:
                continue
            fault = shared_fault(policy, verifier, planning)
            if fault is not None:
                faults.append(f"generators.{generator}: policies.{name} and verifiers.{guide} {fault}")
    return faults
