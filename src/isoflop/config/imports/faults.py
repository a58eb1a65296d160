"""What imports must be to a study's models, data sets, budgets and selectors, and to the files there are."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from isoflop.config.check_models import checkpoint_faults
from isoflop.config.datasets import CountedSource
from isoflop.config.imports.entries import Import
from isoflop.config.models import Policy
from isoflop.config.study import Config, Verifier
from isoflop.files import local_files
from isoflop.messages import repeated, unknown_entry
from isoflop.registries import SELECTORS


def import_faults(config: Config, root: Path) -> Iterator[str]:
    """One line per fault of what a study imports; files are looked for under `root`."""
    for name, entry in config.imports.items():
        place = f"generators.{name}"
        for policy in entry.policies:
            yield from _by(f"{place}.sources: policy", policy, "policies", config.policies)
        for verifier in entry.scored_by:
            key = "verifier" if entry.verifiers is None else "verifiers"
            yield from _by(f"{place}.{key}", verifier, "verifiers", config.verifiers)
        if entry.tokenizer is not None:
            yield from checkpoint_faults(
                f"{place}.tokenizer", entry.tokenizer.model, entry.tokenizer.revision, root, "tokenizer.json"
            )
        if entry.dataset not in config.studied_datasets:
            yield unknown_entry(
                f"{place}.dataset", entry.dataset, "the studied datasets", config.studied_datasets
            )
        elif isinstance(config.datasets[entry.dataset], CountedSource) and not entry.counted:
            yield f"{place}.dataset: {entry.dataset!r} has no texts; format counts alone goes with that"
        for selector in entry.selectors or ():
            if selector not in config.selectors:
                yield unknown_entry(f"{place}.selectors", selector, "selectors", config.selectors)
        yield from repeated(f"{place}.selectors", entry.selectors or ())
        on_disk = (file.path for source in entry.sources if source.repo is None for file in source.files)
        for path in on_disk:
            if path is not None and not local_files(str(root / path)):
                yield f"{place}.sources: there is no file {path!r} (seen from where snakemake runs)"
        yield from _budgets(config, place, entry)
        yield from _weights(config, place, entry)
    writers = {policy for one in config.imports.values() for policy in one.policies}
    scorers = {verifier for one in config.imports.values() for verifier in one.scored_by}
    yield from _idle("policies", config.policies, writers, config)
    yield from _idle("verifiers", config.verifiers, scorers, config)


def _budgets(config: Config, place: str, entry: Import) -> Iterator[str]:
    """Every policy has budgets, and problems enough solutions for them."""
    for policy in entry.at_most or ():
        if policy not in entry.policies:
            yield unknown_entry(f"{place}.at_most", policy, "the sources' policies", entry.policies)
    for policy in entry.policies if config.budgets or entry.budgets else ():
        own = entry.budgets_of(policy, config.budgets)
        if not own:
            yield f"{place}.at_most.{policy}: less than every budget; leave it out, or the policy"
        elif entry.at_least is not None and entry.at_least < own[-1] and not entry.counted:
            yield (
                f"{place}.at_least: {entry.at_least} is less than the largest budget, {own[-1]}; "
                "a problem with fewer solutions than a budget says nothing about it"
            )


def _weights(config: Config, place: str, entry: Import) -> Iterator[str]:
    """Scores without bounds pick the best; they are no weights of votes."""
    votes = [one for one in config.selectors if SELECTORS[one].needs_verifier and SELECTORS[one].votes]
    for verifier in entry.scored_by:
        found = config.verifiers.get(verifier)
        if votes and found is not None and found.scale == "unbounded":
            yield (
                f"{place}: verifiers.{verifier} has scale unbounded, and such scores are no weights of "
                f"votes; leave out the selectors {', '.join(votes)}"
            )


def _by(
    place: str, name: str, section: str, models: Mapping[str, Policy] | Mapping[str, Verifier]
) -> Iterator[str]:
    """Imported work is by a model that does not run here."""
    if name not in models:
        yield unknown_entry(place, name, section, models)
    elif models[name].runs:
        yield f"{place}: {name!r} has a checkpoint; imported work is by an entry with a size, or a hosted one"


def _idle(
    section: str,
    models: Mapping[str, Policy] | Mapping[str, Verifier],
    used: Collection[str | None],
    config: Config,
) -> Iterator[str]:
    """Models that no generator of a study has a use for."""
    sampled = len(config.generators) > len(config.imports)
    for name, model in models.items():
        if not model.runs and name not in used:
            yield f"{section}.{name}: has no checkpoint, and no generator imports its work"
        elif model.runs and not sampled:
            yield f"{section}.{name}: has a checkpoint, but every generator imports; nothing would run it"
