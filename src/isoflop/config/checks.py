"""What the config's entries must be to one another, and to the files on this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.config.base import (
    UNPINNED,
    FileSource,
    Greedy,
    Import,
    Reach,
    Sampling,
    WordproblemsSource,
)
from isoflop.config.models import (
    AnyVerifier,
    CausalOrm,
    MathShepherd,
    Policy,
    RunningVerifier,
    Server,
    TokenPair,
)
from isoflop.config.revisions import Revisions
from isoflop.config.search import Generator, TreeSearch
from isoflop.config.training import Init, PolicyTraining
from isoflop.files import local_files
from isoflop.messages import suggest
from isoflop.registries import SELECTORS, STEP_AGGREGATIONS
from isoflop.strategy import needs_verifier

if TYPE_CHECKING:
    from isoflop.config.study import Config

COMMIT = "a 40-digit commit"


def check_config(config: Config, root: Path, *, let_unpinned: bool = False) -> list[str]:
    """One line per fault, each with its key; folders and files are looked for under `root`.

    `let_unpinned`: whether revisions and sums may still be missing, as for a plan.
    """
    faults = [
        *([] if let_unpinned else unpinned(config)),
        *_sources(config, root),
        *_models(config, root),
        *_training(config),
        *_labels(config),
        *_revision_data(config),
        *_planning(config),
    ]
    if config.studies:
        faults += [
            *_pools(config),
            *_reach(config),
            *_scoring(config),
            *_searches(config),
            *_imports(config, root),
            *_selection(config),
            *_published(config, root),
            *_headline(config),
            *_choice(config),
        ]
    elif config.training:
        faults += _unused(config)
    else:
        faults.append("generators: none, and no training either; there is nothing to do")
    return faults


def is_local(model: str, root: Path) -> bool:
    """Whether `model` names a folder rather than a hub repository `owner/name`."""
    return (root / model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") != 1


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
        if isinstance(dataset, FileSource) and not (root / dataset.path).is_file():
            yield f"datasets.{name}.path: there is no file {dataset.path!r} (seen from where snakemake runs)"
        if isinstance(dataset, WordproblemsSource):
            yield from _repeated(f"datasets.{name}.levels", dataset.levels)
        tests = None if isinstance(dataset, WordproblemsSource) else dataset.fields.tests
        if (dataset.grader == "code") != (tests is not None):
            needed = "needs fields.tests" if tests is None else "does not go with fields.tests"
            yield f"datasets.{name}.grader: {dataset.grader!r} {needed}: programs are graded by tests"


def _models(config: Config, root: Path) -> Iterator[str]:
    for section, entries in (("policies", config.policies), ("verifiers", config.verifiers)):
        for name, entry in entries.items():
            place = f"{section}.{name}"
            yield from _checkpoint(place, entry.model, entry.revision, root)
            yield from _trained(config, place, entry, "policy" if section == "policies" else "prm")
    yield from _servers(config)
    for name, training in config.training.items():
        yield from _checkpoint(f"training.{name}.init", training.init.model, training.init.revision, root)


def _servers(config: Config) -> Iterator[str]:
    """An address for every policy that a server runs; one per model, which is all that a job knows."""
    known: dict[str | None, tuple[str, Server]] = {}
    for name, entry in config.policies.items():
        place = f"policies.{name}.server"
        if (entry.engine == "server") != (entry.server is not None):
            yield (
                f"{place}: missing; give the address of the server, for example {{url: http://127.0.0.1:8000/v1}}"
                if entry.server is None
                else f"{place}: goes with engine: server, and the engine is {entry.engine}"
            )
        elif entry.server is not None:
            model = entry.trained or entry.model
            first, server = known.setdefault(f"{model}@{entry.revision}", (name, entry.server))
            if server != entry.server:
                yield f"{place}: is another than that of policies.{first}, which is the same model"


def _checkpoint(
    place: str, model: str | None, revision: str | None, root: Path, needed: str = "config.json"
) -> Iterator[str]:
    if model is None:
        return
    if not is_local(model, root):
        if revision is None:
            yield (
                f"{place}.revision: the hub model {model!r} must be pinned to {COMMIT} "
                "(or give the path of a folder)"
            )
        return
    if not (root / model / needed).is_file():
        yield f"{place}.model: {model!r} is not a folder with a {needed} (seen from where snakemake runs)"
    elif revision is not None:
        yield f"{place}.revision: {model!r} is a local folder, which has no revision; leave it out"


def _trained(config: Config, place: str, entry: Policy | AnyVerifier, kind: str) -> Iterator[str]:
    if entry.trained is None:
        return
    if entry.trained not in config.training:
        yield _unknown(f"{place}.trained", entry.trained, "training", config.training)
    elif config.training[entry.trained].kind != kind:
        found = config.training[entry.trained].kind
        yield f"{place}.trained: {entry.trained!r} trains a {found}; a {kind} is needed here"
    elif isinstance(entry, RunningVerifier) and not isinstance(entry, MathShepherd | TokenPair | CausalOrm):
        yield (
            f"{place}.trained: {entry.trained!r} is of kind math-shepherd, token-pair or causal-orm, as "
            "trained here"
        )


def _training(config: Config) -> Iterator[str]:
    above: list[str] = []
    for name, training in config.training.items():
        place = f"training.{name}"
        yield from _start(config, place, training.init, above, training.kind)
        data = training.data
        if isinstance(training, PolicyTraining) and training.data.dataset is not None:
            for key, dataset in (("dataset", data.learned), ("held_out", data.held_out)):
                yield from _solved(config, f"{place}.data.{key}", dataset)
        else:
            sections: dict[str, Collection[str]] = {
                "labels": config.labels, "chain_labels": config.chain_labels, "revisions": config.revisions
            }  # fmt: skip
            section = next(key for key in sections if getattr(data, key, None) is not None)
            for key, entry in ((section, data.learned), ("held_out", data.held_out)):
                if entry not in sections[section]:
                    yield _unknown(f"{place}.data.{key}", entry, section, sections[section])
        above.append(name)


def _start(config: Config, place: str, init: Init, above: Collection[str], kind: str) -> Iterator[str]:
    if init.trained is None:
        return
    if init.trained not in above:
        hint = "an entry further down" if init.trained in config.training else "not an entry"
        yield (
            f"{place}.init.trained: {init.trained!r} is {hint}; only entries of training above this one "
            f"can be a start (here: {', '.join(above) or 'none'}){suggest(init.trained, above)}"
        )
    elif kind == "policy" and config.training[init.trained].kind != "policy":
        yield f"{place}.init.trained: {init.trained!r} trains a prm; a policy starts from a policy"


def _solved(config: Config, place: str, name: str) -> Iterator[str]:
    """A data set that exists and has solutions to learn."""
    if name not in config.datasets:
        yield _unknown(place, name, "datasets", config.datasets)
        return
    dataset = config.datasets[name]
    if not isinstance(dataset, WordproblemsSource) and dataset.fields.solution is None:
        yield f"{place}: {name!r} has no solutions to learn; set datasets.{name}.fields.solution"


def _labels(config: Config) -> Iterator[str]:
    for name, label in config.labels.items():
        if label.problems not in config.datasets:
            yield _unknown(f"labels.{name}.problems", label.problems, "datasets", config.datasets)
        for policy in (*label.policies, label.completer):
            if policy not in config.policies:
                key = "completer" if policy == label.completer else "policies"
                yield _unknown(f"labels.{name}.{key}", policy, "policies", config.policies)
        yield from _repeated(f"labels.{name}.policies", label.policies)


def _revision_data(config: Config) -> Iterator[str]:
    """What revision models and verifiers of revisions learn from."""
    for section, entries in (("revisions", config.revisions), ("chain_labels", config.chain_labels)):
        for name, entry in entries.items():
            place = f"{section}.{name}"
            if entry.problems not in config.datasets:
                yield _unknown(f"{place}.problems", entry.problems, "datasets", config.datasets)
            if entry.policy not in config.policies:
                yield _unknown(f"{place}.policy", entry.policy, "policies", config.policies)
            elif not config.policies[entry.policy].runs:
                yield f"{place}.policy: {entry.policy!r} has no checkpoint, so it cannot write answers"


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
                yield _unknown(f"planning.{key}", name, section, entries)


def _unused(config: Config) -> Iterator[str]:
    """Keys that mean nothing where the experiment only trains models."""
    for key in ("verifiers", "budgets", "selectors", "step_aggregations", "headline", "published"):
        if getattr(config, key):
            yield f"{key}: set, but there are no generators to apply it to; add generators or leave it out"


def _pools(config: Config) -> Iterator[str]:
    if not config.studied_datasets:
        yield "datasets: training and labels use all of them; the generators need one of their own"
    if not config.policies:
        yield "policies: none; the generators need at least one to sample from"
    pools = {name: entry for name, entry in config.generators.items() if isinstance(entry, Sampling)}
    if not pools and not config.imports and not config.searches:
        yield "generators: none of kind sampling, import or a tree search; the report is about one of these"
        return
    if not pools and not config.imports:
        if config.budgets:
            yield "budgets: set, but no generator samples or imports; a tree search has budgets of its own"
        return
    if not config.budgets:
        yield "budgets: none; give numbers of samples, for example [1, 2, 4, 8]"
    for place, (low, high) in enumerate(zip(config.budgets, config.budgets[1:], strict=False), start=1):
        if high <= low:
            yield f"budgets[{place}]: {high} after {low}; budgets must be strictly increasing"
    for name, pool in pools.items():
        too_large = [budget for budget in config.budgets if budget > pool.samples]
        if too_large:
            yield (
                f"budgets: {', '.join(map(str, too_large))} is more than generators.{name}.samples, "
                f"{pool.samples}; smaller budgets are subsets of the pool, so allowed are 1 to {pool.samples}"
            )


def _scoring(config: Config) -> Iterator[str]:
    """The verifiers that a generator is scored by."""
    for name, entry in config.generators.items():
        if not isinstance(entry, Sampling | Revisions):
            continue
        place = f"generators.{name}.verifiers"
        for verifier in entry.verifiers or ():
            if verifier not in config.verifiers:
                yield _unknown(place, verifier, "verifiers", config.verifiers)
            elif not config.verifiers[verifier].runs:
                yield f"{place}: {verifier!r} has no checkpoint; it cannot score anything"
        yield from _repeated(place, entry.verifiers or ())
        scored = [one for one in config.selectors if needs_verifier(one)]
        if entry.verifiers == () and scored:
            yield f"{place}: none, but the selectors {', '.join(scored)} need one"


def _reach(config: Config) -> Iterator[str]:
    """What policies and generators are limited to exists, and leaves something to do."""
    for name, policy in config.policies.items():
        place = f"policies.{name}.datasets"
        for dataset in policy.datasets or ():
            if dataset not in config.studied_datasets:
                yield _unknown(place, dataset, "the studied datasets", config.studied_datasets)
        yield from _repeated(place, policy.datasets or ())
    for name, entry in config.generators.items():
        only = None if isinstance(entry, Import) else entry.only
        if only is None:
            continue
        place = f"generators.{name}.only"
        for key, names, section, known in (
            ("policies", only.policies, "policies", tuple(config.policies)),
            ("datasets", only.datasets, "the studied datasets", config.studied_datasets),
            ("at_most", only.at_most, "policies", tuple(config.policies)),
        ):
            for one in names or ():
                if one not in known:
                    yield _unknown(f"{place}.{key}", one, section, known)
            yield from _repeated(f"{place}.{key}", tuple(names or ()))
        yield from _caps(config, place, entry, only)
    yield from _unreached(config)


def _caps(config: Config, place: str, entry: Generator, only: Reach) -> Iterator[str]:
    """Every largest budget leaves a budget."""
    budgets = entry.budgets if isinstance(entry, TreeSearch) else config.budgets
    for policy, most in (only.at_most or {}).items():
        if isinstance(entry, Greedy):
            yield f"{place}.at_most: greedy has one candidate and no budgets; leave it out"
        elif isinstance(entry, Revisions):
            yield f"{place}.at_most: what revisions spend at most is `largest`; set that, and leave this out"
        elif budgets and not only.cap(policy, budgets):
            yield f"{place}.at_most.{policy}: {most} is less than every budget (the smallest is {budgets[0]})"


def _unreached(config: Config) -> Iterator[str]:
    """Policies, data sets and generators between which the limits leave nothing."""
    pools = made_pools(config)
    for section, place, names in (
        ("datasets", 0, config.studied_datasets),
        ("policies", 1, tuple(config.policies)),
        ("generators", 2, tuple(config.generators)),
    ):
        reached = {pool[place] for pool in pools}
        trains = {policy for label in config.labels.values() for policy in (*label.policies, label.completer)}
        trains |= {one.policy for one in config.revisions.values()}
        trains |= {one.policy for one in config.chain_labels.values()}
        for name in names:
            idle = section == "policies" and (not config.policies[name].runs or name in trains)
            if pools and name not in reached and not idle:
                yield f"{section}.{name}: limits (`only`, `datasets`) leave it nothing to do"


def made_pools(config: Config) -> list[tuple[str, str, str]]:
    """Data set, policy and generator of every table of candidates that the config asks for."""
    return [
        (dataset, policy, generator)
        for dataset in config.studied_datasets
        for policy, model in config.policies.items()
        for generator, entry in config.generators.items()
        if _makes(entry, dataset, policy, model)
    ]


def _makes(entry: Generator, dataset: str, policy: str, model: Policy) -> bool:
    if isinstance(entry, Import):
        return entry.dataset == dataset and policy in entry.policies
    only = entry.only or Reach()
    return (
        model.runs
        and (model.datasets is None or dataset in model.datasets)
        and (only.policies is None or policy in only.policies)
        and (only.datasets is None or dataset in only.datasets)
    )


def _searches(config: Config) -> Iterator[str]:
    for name, entry in config.searches.items():
        place = f"generators.{name}.verifier"
        guides = [verifier for verifier, model in config.verifiers.items() if model.runs]
        if entry.verifier is None:
            if not guides or next(iter(config.verifiers)) not in guides:
                yield f"{place}: a {entry.kind} search needs a verifier that runs, and the first one does not"
        elif entry.verifier not in config.verifiers:
            yield _unknown(place, entry.verifier, "verifiers", config.verifiers)
        elif entry.verifier not in guides:
            yield f"{place}: {entry.verifier!r} has no checkpoint; a search needs a verifier that runs"
        guide = config.verifiers.get(entry.verifier or next(iter(config.verifiers), ""))
        if guide is not None and guide.outcome:
            yield f"{place}: an orm scores whole solutions only; a search needs a score after every step"
        elif isinstance(guide, RunningVerifier) and guide.too_long == "mark":
            yield f"{place}: a search needs every score; set too_long: refuse for its verifier"


def _imports(config: Config, root: Path) -> Iterator[str]:
    for name, entry in config.imports.items():
        place = f"generators.{name}"
        for policy in entry.policies:
            yield from _by(f"{place}.sources: policy", policy, "policies", config.policies)
        if entry.verifier is not None:
            yield from _by(f"{place}.verifier", entry.verifier, "verifiers", config.verifiers)
        if entry.tokenizer is not None:
            yield from _checkpoint(
                f"{place}.tokenizer", entry.tokenizer.model, entry.tokenizer.revision, root, "tokenizer.json"
            )
        if entry.dataset not in config.studied_datasets:
            yield _unknown(f"{place}.dataset", entry.dataset, "the studied datasets", config.studied_datasets)
        on_disk = (file.path for source in entry.sources if source.repo is None for file in source.files)
        for path in on_disk:
            if not local_files(str(root / path)):
                yield f"{place}.sources: there is no file {path!r} (seen from where snakemake runs)"
        if config.budgets and entry.at_least < config.budgets[-1]:
            yield (
                f"{place}.at_least: {entry.at_least} is less than the largest budget, {config.budgets[-1]}; "
                "a problem with fewer solutions than a budget says nothing about it"
            )
    writers = {policy for one in config.imports.values() for policy in one.policies}
    yield from _idle("policies", config.policies, writers, config)
    yield from _idle("verifiers", config.verifiers, {one.verifier for one in config.imports.values()}, config)


def _by(
    place: str, name: str, section: str, models: Mapping[str, Policy] | Mapping[str, AnyVerifier]
) -> Iterator[str]:
    """Imported work is by a model that does not run here."""
    if name not in models:
        yield _unknown(place, name, section, models)
    elif models[name].runs:
        yield f"{place}: {name!r} has a checkpoint; imported work is by an entry with a size instead"


def _idle(
    section: str,
    models: Mapping[str, Policy] | Mapping[str, AnyVerifier],
    used: Collection[str | None],
    config: Config,
) -> Iterator[str]:
    """Models that no generator of a study has a use for."""
    sampled = len(config.generators) > len(config.imports)
    for name, model in models.items():
        if not model.runs and name not in used:
            yield f"{section}.{name}: has a size and no checkpoint, but no generator imports its work"
        elif model.runs and not sampled:
            yield f"{section}.{name}: has a checkpoint, but every generator imports; nothing would run it"


def _selection(config: Config) -> Iterator[str]:
    if not config.selectors:
        yield "selectors: none; give at least one, for example [majority]"
    yield from _repeated("selectors", config.selectors)
    yield from _repeated("step_aggregations", config.step_aggregations)
    scored = [selector for selector in config.selectors if needs_verifier(selector)]
    if scored and not config.verifiers:
        yield f"selectors: {', '.join(scored)} need a verifier, and there is none; add one or leave them out"
    confident = [name for name in config.selectors if SELECTORS[name].needs_logprob]
    if confident and config.imports:
        yield (
            f"selectors: {', '.join(confident)} need log-probabilities, which imported solutions "
            f"(generators.{', generators.'.join(config.imports)}) have not; leave out either"
        )
    if scored and not config.step_aggregations:
        yield (
            f"step_aggregations: none; {', '.join(scored)} need at least one of "
            f"{', '.join(STEP_AGGREGATIONS.names)}"
        )
    elif scored and "last" not in config.step_aggregations:
        for name, verifier in config.verifiers.items():
            if verifier.outcome:
                yield f"step_aggregations: verifiers.{name} scores whole solutions; last must be among them"


def _headline(config: Config) -> Iterator[str]:
    if config.headline is None:
        yield "headline: missing; name the selector of the headline figures, for example {selector: majority}"
        return
    chosen = config.headline
    if chosen.selector not in config.selectors:
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


def _published(config: Config, root: Path) -> Iterator[str]:
    if config.published is None:
        return
    for path in config.published.files:
        if not (root / path).is_file():
            yield f"published.files: there is no file {path!r} (seen from where snakemake runs)"
    for section, mapped, known in (
        ("policies", config.published.policies, tuple(config.policies)),
        ("datasets", config.published.datasets, config.studied_datasets),
        ("generators", config.published.generators, tuple(config.generators)),
    ):
        for theirs, ours in mapped.items():
            if ours not in known:
                yield _unknown(f"published.{section}.{theirs}", ours, section, known)


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
            yield _unknown("difficulty.verifier", verifier, "verifiers", config.verifiers)
    yield from _families(config)
    yield from _exchange(config)


def _families(config: Config) -> Iterator[str]:
    for family, members in config.compute_optimal.families.items() if config.compute_optimal else ():
        place = f"compute_optimal.families.{family}"
        yield from _repeated(place, members)
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
                yield _unknown(place, generator, "generators", config.generators)
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
            if name not in config.policies:
                yield _unknown(f"exchange.pairs[{number}].{key}", name, "policies", config.policies)
        if pair.small == pair.large:
            yield f"exchange.pairs[{number}]: {pair.small!r} twice; name a smaller and a larger policy"


def _pool_of(place: str, name: str, config: Config) -> Iterator[str]:
    """A generator that makes one pool with all its budgets as subsets."""
    if name not in config.generators:
        yield _unknown(place, name, "generators", config.generators)
    elif not isinstance(config.generators[name], Sampling | Import | Revisions):
        yield f"{place}: {name!r} is of kind {config.generators[name].kind}; it must sample or import"


def _unknown(place: str, name: str, section: str, entries: Collection[str]) -> str:
    allowed = ", ".join(entries) or "none"
    return f"{place}: {name!r} is not an entry of {section}{suggest(name, entries)} (allowed: {allowed})"


def _repeated(place: str, values: Collection[object]) -> Iterator[str]:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            yield f"{place}: {value!r} is here twice"
        seen.add(value)
