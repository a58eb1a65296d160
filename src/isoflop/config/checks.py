"""What the config's entries must be to one another, and to the files on this machine."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from isoflop.config.base import UNPINNED
from isoflop.config.check_models import model_faults
from isoflop.config.check_studies import study_faults
from isoflop.config.datasets import CountedSource, FileSource, WordproblemsSource
from isoflop.config.generators import Greedy, Revisions, Sampling, unscored
from isoflop.config.imports.entries import Import
from isoflop.config.study import Config, made_pools
from isoflop.files import located
from isoflop.messages import repeated, unknown_entry
from isoflop.registries import COST_MODELS, DEFAULT_CHOICES, GRADERS, SELECTORS
from isoflop.strategy import NONE, needs_verifier


def check_config(config: Config, root: Path, *, let_unpinned: bool = False) -> list[str]:
    """One line per fault, each with its key; folders and files are looked for under `root`.

    `let_unpinned`: whether revisions and sums may still be missing, as for a plan.
    """
    faults = [
        *([] if let_unpinned else unpinned(config)),
        *_names(config),
        *_sources(config, root),
        *model_faults(config, root),
        *_planning(config),
    ]
    if config.studies:
        faults += [
            *study_faults(config, root),
            *_published(config, root),
            *_headline(config),
            *_costs(config),
            *_choice(config),
        ]
    elif config.training:
        faults += _unused(config)
    else:
        faults.append("generators: none, and no training either; there is nothing to do")
    return faults


# What follows an entry's name in the names of further files and folders of its own.
_ENDINGS = (".ledger", ".usage", ".alone", ".shards")


def rule_name(*parts: str) -> str:
    """The name of the rule that is about these entries."""
    return re.sub(r"\W", "_", "_".join(parts))


def _names(config: Config) -> Iterator[str]:
    """No two entries have the same files, or the same rule."""
    sections: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("datasets", config.datasets),
        ("policies", config.policies),
        ("verifiers", config.verifiers),
        ("generators", config.generators),
        ("training", config.training),
        ("labels", config.labels),
        ("revisions", config.revisions),
        ("chain_labels", config.chain_labels),
    )
    for section, entries in sections:
        seen: dict[str, str] = {}
        for name in entries:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                yield (
                    f"{section}: {other!r} and {name!r} are the same file where case makes no difference; "
                    "rename one"
                )
        for name in entries:
            for ending in _ENDINGS:
                owner = seen.get(name.casefold().removesuffix(ending))
                if name.casefold().endswith(ending) and owner is not None:
                    yield (
                        f"{section}: {name!r} is what a file of {owner!r} is called, whose name has {ending} "
                        "at its end; rename one"
                    )
    yield from _rules(config)


def _rules(config: Config) -> Iterator[str]:
    """Some entries have a rule of their own."""
    named: dict[str, str] = {}
    for rule, members in _own_rules(config):
        what = " of ".join(members)
        other = named.setdefault(rule, what)
        if other != what:
            yield (
                f"generators: {other} and {what} both need a rule {rule!r}, in whose name all but letters "
                "and digits is '_'; rename one"
            )


def _own_rules(config: Config) -> Iterable[tuple[str, tuple[str, ...]]]:
    """The names of these rules, and the entries that each is about."""
    for dataset, policy, generator in made_pools(config):
        if generator in config.counts:
            yield rule_name("counts", generator), (repr(generator),)
        elif generator in config.imports:
            yield rule_name("replay", policy, generator), (repr(generator), repr(policy))
        elif generator in config.searches:
            yield (
                rule_name("gather_trees", dataset, policy, generator),
                (repr(generator), repr(policy), repr(dataset)),
            )


def unpinned(config: Config) -> list[str]:
    """One line per revision and sum that is still to be asked for."""
    return list(_unpinned(config.model_dump(), ""))


def _unpinned(values: object, place: str) -> Iterator[str]:
    if isinstance(values, dict):
        for key, value in values.items():
            inner = f"{place}.{key}" if place else str(key)
            if value == UNPINNED and key in ("revision", "sha256"):
                yield f"{inner}: not pinned yet; `make pin CONFIG=...` asks the hub and writes it"
            yield from _unpinned(value, inner)
    elif isinstance(values, list | tuple):
        for number, value in enumerate(values):
            yield from _unpinned(value, f"{place}[{number}]")


def _sources(config: Config, root: Path) -> Iterator[str]:
    if config.mirror is not None and not (root / config.mirror).is_dir():
        yield f"mirror: {config.mirror!r} is not a folder here; give one, or null to use the hub"
    for name, dataset in config.datasets.items():
        if isinstance(dataset, FileSource) and not located(dataset.path, root).is_file():
            yield f"datasets.{name}.path: there is no file {dataset.path!r} (seen from where snakemake runs)"
        if isinstance(dataset, WordproblemsSource):
            yield from repeated(f"datasets.{name}.levels", dataset.levels)
        if isinstance(dataset, CountedSource):
            continue
        tests = None if isinstance(dataset, WordproblemsSource) else dataset.fields.tests
        kind = GRADERS[dataset.grader]
        if kind.tests != (tests is not None):
            needed = "needs fields.tests" if tests is None else "does not go with fields.tests"
            yield f"datasets.{name}.grader: {dataset.grader!r} {needed}: programs are graded by tests"
        choices = DEFAULT_CHOICES if isinstance(dataset, WordproblemsSource) else dataset.choices
        if choices != DEFAULT_CHOICES and not kind.lettered:
            lettered = [one for one, other in GRADERS.members.items() if other.lettered]
            yield (
                f"datasets.{name}.choices: grader {dataset.grader!r} reads no letters; leave it out, or set "
                f"grader to {' or '.join(lettered)}"
            )


def _planning(config: Config) -> Iterator[str]:
    """Assumptions are about entries that there are."""
    models = {**config.policies, **config.verifiers, **config.training}
    for key, given, section, entries in (
        ("datasets", config.planning.datasets, "datasets", list(config.datasets)),
        ("policies", config.planning.policies, "policies", list(config.policies)),
        ("sizes", config.planning.sizes, "policies, verifiers or training", list(models)),
    ):
        for name in given:
            if name not in entries:
                yield unknown_entry(f"planning.{key}", name, section, entries)


def _unused(config: Config) -> Iterator[str]:
    """Keys that mean nothing where the experiment only trains models."""
    for key in ("verifiers", "budgets", "selectors", "step_aggregations", "headline", "published"):
        if getattr(config, key):
            yield f"{key}: set, but there are no generators to apply it to; add generators or leave it out"


def _headline(config: Config) -> Iterator[str]:
    if config.headline is None:
        yield "headline: missing; name the selector of the headline figures, for example {selector: majority}"
        return
    chosen = config.headline
    if SELECTORS[chosen.selector].oracle and len(config.counts) < len(config.generators):
        yield (
            f"headline.selector: {chosen.selector!r} knows the reference answer, which nobody has in "
            "practice; it heads a study of counts alone "
            f"(allowed: {', '.join(s for s in config.selectors if not SELECTORS[s].oracle) or 'none'})"
        )
    elif chosen.selector not in config.selectors:
        yield (
            f"headline.selector: {chosen.selector!r} is not among the experiment's selectors "
            f"(allowed: {', '.join(s for s in config.selectors if not SELECTORS[s].oracle) or 'none'})"
        )
    if needs_verifier(chosen.selector) and chosen.step_aggregation not in config.step_aggregations:
        yield (
            f"headline.step_aggregation: {chosen.step_aggregation!r} is not among the experiment's "
            f"step_aggregations (allowed: {', '.join(config.step_aggregations) or 'none'})"
        )
    first = next(iter(config.verifiers.values()), None)
    judged = needs_verifier(chosen.selector) and first is not None and first.outcome
    if judged and chosen.step_aggregation != "last":
        yield (
            f"headline.step_aggregation: {chosen.step_aggregation!r} means nothing to the first verifier, an "
            "orm with one score per solution; set last"
        )


def _costs(config: Config) -> Iterator[str]:
    """What the cost models are told in is known of every model of the study."""
    yield from repeated("costs", config.costs)
    unsized = [f"policies.{name}" for name, entry in config.policies.items() if entry.hosted]
    if unsized and config.headline is not None:
        counted = COST_MODELS[config.headline.cost_model]
        if counted.unit == COST_MODELS["total"].unit:
            yield (
                f"headline.cost_model: {counted.name} counts FLOPs, which nobody knows of "
                f"{', '.join(unsized)}; choose tokens, or seconds or dollars where these are known"
            )
    if "dollars" not in config.claim_costs:
        return
    key = "costs" if "dollars" in config.costs else "headline.cost_model"
    for section, models in (("policies", config.policies), ("verifiers", config.verifiers)):
        for name, model in models.items():
            if model.prices is None:
                yield (
                    f"{section}.{name}.prices: missing, and {key} counts dollars; give dollars per million "
                    "tokens, for example {input: 1.25, cached: 0.125, output: 10}"
                )


def _published(config: Config, root: Path) -> Iterator[str]:
    if config.published is None:
        return
    for path in config.published.files:
        if not located(path, root).is_file():
            yield f"published.files: there is no file {path!r} (seen from where snakemake runs)"
    for section, mapped, known in (
        ("policies", config.published.policies, tuple(config.policies)),
        ("datasets", config.published.datasets, config.studied_datasets),
        ("generators", config.published.generators, tuple(config.generators)),
    ):
        for theirs, ours in mapped.items():
            if ours not in known:
                yield unknown_entry(f"published.{section}.{theirs}", ours, section, known)


def _choice(config: Config) -> Iterator[str]:
    """Difficulty, compute-optimal choice and exchange."""
    if config.compute_optimal is not None and config.difficulty is None:
        yield "compute_optimal: chooses per bin of difficulty; add difficulty, or leave it out"
    if config.exchange is not None and config.compute_optimal is None:
        yield "exchange: compares compute-optimal choices; add compute_optimal, or leave it out"
    if config.difficulty is not None:
        yield from _pool_of("difficulty.generator", config.difficulty.generator, config)
        verifier = config.difficulty.verifier
        if verifier is not None and verifier not in config.verifiers:
            yield unknown_entry("difficulty.verifier", verifier, "verifiers", config.verifiers)
    yield from _families(config)
    yield from _exchange(config)


def _families(config: Config) -> Iterator[str]:
    for family, members in config.compute_optimal.families.items() if config.compute_optimal else ():
        place = f"compute_optimal.families.{family}"
        yield from repeated(place, members)
        if len(members) == 1 and not members[0].partition("+")[0].endswith("/*"):
            yield f"{place}: {members[0]!r} alone leaves nothing to choose; name two strategies or more"
        baseline = members[0].partition("+")[0]
        if _chain_fault(baseline, config) is None and baseline.partition("/")[0] in config.chains:
            if baseline.partition("/")[2] not in ("1", "*"):
                yield (
                    f"{place}[0]: {members[0]!r} is not parallel sampling; the baseline of revisions is "
                    f"{baseline.partition('/')[0]}/1"
                )
        else:
            yield from _pool_of(f"{place}[0]", baseline, config)
        for member in members:
            generator, *how = member.split("+")
            fault = _chain_fault(generator, config)
            if fault is not None:
                yield f"{place}: {member!r}: {fault}"
            elif "/" not in generator and generator not in config.generators:
                yield unknown_entry(place, generator, "generators", config.generators)
            selector = how[0] if how else config.headline.selector if config.headline else NONE
            scored = selector in config.selectors and needs_verifier(selector)
            if scored and unscored(config.generators.get(generator)):
                yield f"{place}: {member!r}: {selector} needs scores, and {generator} has verifiers: []"
            known = (config.selectors, config.step_aggregations)
            for part, allowed in zip(how, known, strict=False):
                if part not in allowed:
                    key = "selectors" if allowed is known[0] else "step_aggregations"
                    yield f"{place}: {member!r}: {part!r} is not among {key} ({', '.join(allowed) or 'none'})"


def _chain_fault(generator: str, config: Config) -> str | None:
    """What is wrong with a name of the form NAME/LENGTH, or with one of chains that lacks the length."""
    name, slash, length = generator.partition("/")
    if name not in config.chains:
        return None if not slash else f"{name!r} is no generator of kind revisions, which alone has lengths"
    lengths = [str(one) for one in config.chains[name].compared]
    if length in (*lengths, "*"):
        return None
    return f"name a length of its chains: {name}/{', '.join(lengths)}, or {name}/* for all of them"


def _exchange(config: Config) -> Iterator[str]:
    if config.exchange is None:
        return
    if not isinstance(config.generators.get(config.exchange.greedy), Greedy):
        yield f"exchange.greedy: {config.exchange.greedy!r} is not an entry of generators of kind greedy"
    for number, pair in enumerate(config.exchange.pairs):
        for key, name in (("small", pair.small), ("large", pair.large)):
            place = f"exchange.pairs[{number}].{key}"
            if name not in config.policies:
                yield unknown_entry(place, name, "policies", config.policies)
            elif config.policies[name].hosted:
                yield f"{place}: {name!r} is hosted and of unknown size, so its pretraining cannot be counted"
        if pair.small == pair.large:
            yield f"exchange.pairs[{number}]: {pair.small!r} twice; name a smaller and a larger policy"


def _pool_of(place: str, name: str, config: Config) -> Iterator[str]:
    """A generator that makes one pool with all its budgets as subsets."""
    if name not in config.generators:
        yield unknown_entry(place, name, "generators", config.generators)
        return
    entry = config.generators[name]
    if name in config.counts:
        yield f"{place}: {name!r} imports counts, without candidates; it must sample or import solutions"
    elif isinstance(entry, Import) and entry.budgets is not None:
        yield f"{place}: {name!r} imports a search, whose budgets are no subsets of one pool"
    elif not isinstance(entry, Sampling | Import | Revisions):
        yield f"{place}: {name!r} is of kind {entry.kind}; it must sample or import"
