"""What the generators of a study must be to its models, data sets, budgets and selectors."""

from collections.abc import Iterator
from pathlib import Path

from isoflop.config.datasets import CountedSource
from isoflop.config.generators import Drawing, Greedy, Reach, Revisions, Sampling, TreeSearch, unscored
from isoflop.config.imports.entries import Import
from isoflop.config.imports.faults import import_faults
from isoflop.config.study import Config, Generator, made_pools
from isoflop.config.verifiers import RunningVerifier
from isoflop.messages import repeated, unknown_entry
from isoflop.registries import SELECTORS, STEP_AGGREGATIONS
from isoflop.strategy import needs_verifier

VLLM_HOTTEST = 2.0  # the highest temperature that vLLM 0.32 samples at


def study_faults(config: Config, root: Path) -> Iterator[str]:
    """One line per fault of what a study generates and picks from; files are looked for under `root`."""
    yield from _pools(config)
    yield from _reach(config)
    yield from _scoring(config)
    yield from _searches(config)
    yield from _temperatures(config)
    yield from import_faults(config, root)
    yield from _thinking(config)
    yield from _selection(config)


def _pools(config: Config) -> Iterator[str]:
    if not config.studied_datasets:
        yield "datasets: training and labels use all of them; the generators need one of their own"
    if not config.policies:
        yield "policies: none; the generators need at least one to sample from"
    pools = {name: entry for name, entry in config.generators.items() if isinstance(entry, Sampling)}
    if not pools and not config.imports and not config.searches:
        yield "generators: none of kind sampling, import or a tree search; the report is about one of these"
        return
    if not pools and all(entry.budgets for entry in config.imports.values()):
        if config.budgets:
            yield "budgets: set, but no generator samples or imports samples; a search has budgets of its own"
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
    # The first that leaves something to pick is the headline's.
    picked = (name for name, entry in config.generators.items() if not isinstance(entry, Greedy))
    headlined = next(picked, None)
    for name, entry in config.generators.items():
        if not isinstance(entry, Sampling | Revisions):
            continue
        place = f"generators.{name}.verifiers"
        for verifier in entry.verifiers or ():
            if verifier not in config.verifiers:
                yield unknown_entry(place, verifier, "verifiers", config.verifiers)
            elif not config.verifiers[verifier].runs:
                yield f"{place}: {verifier!r} has no checkpoint; it cannot score anything"
        yield from repeated(place, entry.verifiers or ())
        if unscored(entry):
            if all(needs_verifier(one) for one in config.selectors):
                yield f"{place}: none, but the selectors {', '.join(config.selectors)} need one"
            elif name == headlined and config.headline and needs_verifier(config.headline.selector):
                yield (
                    f"{place}: none, but headline.selector, {config.headline.selector}, picks among its "
                    "answers and needs one; put another generator first"
                )


def _reach(config: Config) -> Iterator[str]:
    """What policies and generators are limited to exists, and leaves something to do."""
    for name, policy in config.policies.items():
        place = f"policies.{name}.datasets"
        for dataset in policy.datasets or ():
            if dataset not in config.studied_datasets:
                yield unknown_entry(place, dataset, "the studied datasets", config.studied_datasets)
        yield from repeated(place, policy.datasets or ())
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
                    yield unknown_entry(f"{place}.{key}", one, section, known)
            yield from repeated(f"{place}.{key}", tuple(names or ()))
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


def _searches(config: Config) -> Iterator[str]:
    for name, entry in config.searches.items():
        place = f"generators.{name}.verifier"
        guides = [verifier for verifier, model in config.verifiers.items() if model.runs]
        if entry.verifier is None:
            if not guides or next(iter(config.verifiers)) not in guides:
                yield f"{place}: a {entry.kind} search needs a verifier that runs, and the first one does not"
        elif entry.verifier not in config.verifiers:
            yield unknown_entry(place, entry.verifier, "verifiers", config.verifiers)
        elif entry.verifier not in guides:
            yield f"{place}: {entry.verifier!r} has no checkpoint; a search needs a verifier that runs"
        guide = config.verifiers.get(entry.verifier or next(iter(config.verifiers), ""))
        if guide is not None and guide.outcome:
            yield f"{place}: an orm scores whole solutions only; a search needs a score after every step"
        elif isinstance(guide, RunningVerifier) and guide.too_long == "mark":
            yield f"{place}: a search needs every score; set too_long: refuse for its verifier"


def _temperatures(config: Config) -> Iterator[str]:
    """What vLLM draws at, where it is the engine."""
    drawn = [
        (f"generators.{generator}", entry.temperature, policy)
        for _, policy, generator in made_pools(config)
        if isinstance(entry := config.generators[generator], Drawing)
    ]
    for section, entries in (
        ("labels", {name: (one, (*one.policies, one.completer)) for name, one in config.labels.items()}),
        ("revisions", {name: (one, (one.policy,)) for name, one in config.revisions.items()}),
        ("chain_labels", {name: (one, (one.policy,)) for name, one in config.chain_labels.items()}),
    ):
        for name, (one, policies) in entries.items():
            drawn += [(f"{section}.{name}", one.temperature, policy) for policy in policies]
    for place, temperature, policy in dict.fromkeys(drawn):
        model = config.policies.get(policy)
        if model is not None and model.engine == "vllm" and temperature > VLLM_HOTTEST:
            yield (
                f"{place}.temperature: {temperature:g}, and vLLM, the engine of policies.{policy}, takes "
                f"{VLLM_HOTTEST:g} at most; lower it, or set engine: transformers"
            )


def _thinking(config: Config) -> Iterator[str]:
    """Models at several lengths of thought: of policies that there are, each of one model only."""
    seen: dict[str, str] = {}
    for model, policies in config.thinking.items():
        for policy in policies:
            if policy not in config.policies:
                yield unknown_entry(f"thinking.{model}", policy, "policies", config.policies)
            if policy in seen:
                yield f"thinking.{model}: {policy!r} is in thinking.{seen[policy]} too; name it once"
            seen[policy] = model


def _selection(config: Config) -> Iterator[str]:
    if not config.selectors:
        yield "selectors: none; give at least one, for example [majority]"
    yield from repeated("selectors", config.selectors)
    yield from repeated("step_aggregations", config.step_aggregations)
    scored = [selector for selector in config.selectors if needs_verifier(selector)]
    yield from _of_counts(config)
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


def _of_counts(config: Config) -> Iterator[str]:
    """Counts say how often a sample is right, and not what would be picked."""
    counted = {policy for entry in config.counts.values() for policy in entry.policies}
    for name in config.coverage.pretraining.tokens if config.coverage.pretraining else ():
        if name not in counted:
            yield unknown_entry(
                "coverage.pretraining.tokens", name, "the policies with counts", sorted(counted)
            )
    oracles = [name for name in config.selectors if SELECTORS[name].oracle]
    for name in config.counts:
        if not oracles:
            yield f"selectors: generators.{name} imports counts, which have coverage alone; add pass"
    others = [name for name in config.selectors if name not in oracles]
    if others and config.counts and len(config.counts) == len(config.generators):
        yield f"selectors: {', '.join(others)} pick among answers, and counts have none; leave pass alone"
    for name, dataset in config.datasets.items():
        users = [one for one, entry in config.generators.items() if not isinstance(entry, Import)]
        if isinstance(dataset, CountedSource) and users:
            yield f"datasets.{name}: generators.{users[0]} needs texts; source counted has only identifiers"
