"""Which comparisons a config asks for."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from isoflop.config.generators import Greedy, Reach, Sampling, TreeSearch
from isoflop.config.imports.entries import Import
from isoflop.forecast.comparisons import (
    AGAINST_GREEDY,
    AGAINST_SAMPLES,
    BEAM_LOOKAHEAD,
    EXCHANGED,
    NEXT_GREEDY,
    NEXT_SIZE,
    SECOND_HALF,
    SELECTORS,
    Comparison,
    Picked,
)
from isoflop.pipeline.plan import Plan
from isoflop.registries import practical_selectors
from isoflop.strategy import needs_verifier


def study_comparisons(plan: Plan) -> list[Comparison]:
    """Every comparison that the config can make, by data set, question and policy."""
    if not plan.config.studies:
        return []
    comparisons: list[Comparison] = []
    for dataset in plan.config.studied_datasets:
        data = _OnDataset(plan, dataset)
        for question in (
            data.against_greedy, data.against_samples, data.beam_lookahead, data.selectors, data.sizes,
            data.second_half, data.exchanged,
        ):  # fmt: skip
            comparisons += question()
    return comparisons


class _OnDataset:
    def __init__(self, plan: Plan, dataset: str) -> None:
        self._plan, self._config, self._dataset = plan, plan.config, dataset
        self._made = [(pool.policy, pool.generator) for pool in plan.pools.all() if pool.dataset == dataset]
        assert plan.config.headline is not None  # checked for every config that studies
        self._selector = plan.config.headline.selector
        self._aggregation = plan.config.headline.step_aggregation
        self._policies = list(dict.fromkeys(policy for policy, _ in self._made))

    def against_greedy(self) -> Iterator[Comparison]:
        """Every strategy at its largest budget against the same policy's greedy answer."""
        practical = practical_selectors()
        for policy in self._policies:
            greedy, headline = self._greedy(policy), self._headline(policy)
            if greedy is None:
                continue
            for name in self._names(policy):
                for selector in self._config.selectors:
                    best = self._largest(policy, name, selector)
                    if best is not None and best.selector in practical:
                        yield self._pair(AGAINST_GREEDY, best, greedy, main=best == headline)

    def against_samples(self) -> Iterator[Comparison]:
        """Searches, and chains of revisions, against as many samples, or chains of 1."""
        for policy in self._policies:
            first = True
            for name in self._names(policy):
                against = self._parallel(policy, name)
                if against is None:
                    continue
                pair = self._shared(policy, name, policy, against)
                if pair is not None:
                    yield self._pair(AGAINST_SAMPLES, *pair, main=first)
                    first = False

    def beam_lookahead(self) -> Iterator[Comparison]:
        """The first search of either kind."""
        kinds = {entry.kind: name for name, entry in reversed(list(self._config.searches.items()))}
        if {"beam", "lookahead"} <= set(kinds):
            for policy in self._policies:
                pair = self._shared(policy, kinds["beam"], policy, kinds["lookahead"])
                if pair is not None:
                    yield self._pair(BEAM_LOOKAHEAD, *pair)

    def selectors(self) -> Iterator[Comparison]:
        """Two selectors on the same candidates."""
        if {"majority", "weighted"} <= set(self._config.selectors):
            for policy in self._policies:
                for name in self._names(policy):
                    weighted, majority = (
                        self._largest(policy, name, selector) for selector in ("weighted", "majority")
                    )
                    if weighted is not None and majority is not None:
                        yield self._pair(SELECTORS, weighted, majority)

    def sizes(self) -> Iterator[Comparison]:
        """The headline's strategy against that, and the greedy answer, of the next policy of its family."""
        families: dict[str, list[str]] = {}
        for policy in self._policies:
            if self._headline(policy) is not None:
                families.setdefault(self._config.policies[policy].family, []).append(policy)
        for members in families.values():
            for small, large in pairwise(members):
                pair = self._shared(small, self._samples(small), large, self._samples(large))
                if pair is not None:
                    yield self._pair(NEXT_SIZE, *pair)
                picked, greedy = self._headline(small), self._greedy(large)
                if picked is not None and greedy is not None:
                    yield self._pair(NEXT_GREEDY, picked, greedy)

    def second_half(self) -> Iterator[Comparison]:
        """What the second half of the samples gains."""
        for policy in self._policies:
            full = self._headline(policy)
            if full is not None and full.budget // 2 in self._budgets(policy, full.generator):
                half = self._picked(policy, full.generator, self._selector, full.budget // 2)
                assert half is not None  # as the whole is there
                yield self._pair(SECOND_HALF, full, half)

    def exchanged(self) -> Iterator[Comparison]:
        """The pairs of `exchange`, the small policy with its samples or chains."""
        for pair in self._config.exchange.pairs if self._config.exchange else ():
            greedy = self._greedy(pair.large)
            names = self._names(pair.small)
            small = self._largest(pair.small, names[-1], self._selector) if names else None
            if small is not None and greedy is not None:
                yield self._pair(EXCHANGED, small, greedy)

    def _pair(self, question: str, left: Picked, right: Picked, *, main: bool = False) -> Comparison:
        return Comparison(question=question, dataset=self._dataset, left=left, right=right, main=main)

    def _greedy(self, policy: str) -> Picked | None:
        for other, name in self._made:
            if other == policy and isinstance(self._config.generators[name], Greedy):
                return Picked(policy=policy, generator=name, kind="greedy")
        return None

    def _names(self, policy: str) -> list[str]:
        """The generators that leave something to pick, chains by their lengths (`revisions/4`)."""
        names: list[str] = []
        for other, name in self._made:
            if other != policy or isinstance(self._config.generators[name], Greedy):
                continue
            chains = self._config.chains.get(name)
            names += [name] if chains is None else [f"{name}/{length}" for length in chains.compared]
        return names

    def _samples(self, policy: str) -> str | None:
        """The first generator of samples."""
        return next(
            (
                name
                for name in self._names(policy)
                if isinstance(entry := self._config.generators.get(name), Sampling | Import)
                and not (isinstance(entry, Import) and entry.budgets)
            ),
            None,
        )

    def _parallel(self, policy: str, name: str) -> str | None:
        """What a search or chain is compared with at equal budget; None for what is parallel itself."""
        base, _, length = name.partition("/")
        if base in self._config.chains:
            return f"{base}/1" if length != "1" and f"{base}/1" in self._names(policy) else None
        return self._samples(policy) if base in self._config.searches else None

    def _headline(self, policy: str) -> Picked | None:
        """The headline's strategy at its largest budget."""
        name = self._samples(policy)
        return None if name is None else self._largest(policy, name, self._selector)

    def _budgets(self, policy: str, name: str) -> Sequence[int]:
        base, _, length = name.partition("/")
        if base in self._config.chains:
            return self._config.chains[base].budgets(int(length))
        return self._plan.pools.budgets(policy, name)

    def _largest(self, policy: str, name: str, selector: str) -> Picked | None:
        budgets = self._budgets(policy, name)
        return self._picked(policy, name, selector, budgets[-1]) if budgets else None

    def _shared(
        self, left: str, name: str | None, right: str, other: str | None
    ) -> tuple[Picked, Picked] | None:
        """The headline's selector on two generators at the largest budget that both have."""
        if name is None or other is None or not {(left, name), (right, other)} <= self._have():
            return None
        shared = set(self._budgets(left, name)) & set(self._budgets(right, other))
        if not shared:
            return None
        pair = [
            self._picked(policy, generator, self._selector, max(shared))
            for policy, generator in ((left, name), (right, other))
        ]
        first, second = pair
        return None if first is None or second is None else (first, second)

    def _have(self) -> set[tuple[str, str]]:
        return {(policy, name) for policy in self._policies for name in self._names(policy)}

    def _picked(self, policy: str, name: str, selector: str, budget: int) -> Picked | None:
        """None where the selector needs a verifier that there is not."""
        base, _, length = name.partition("/")
        entry = self._config.generators[base]
        scoring = self._plan.pools.verifiers(base)
        verified = needs_verifier(selector)
        if verified and not scoring:
            return None
        common = {"policy": policy, "generator": name, "selector": selector, "budget": budget}
        if verified:
            outcome = self._config.verifiers[scoring[0]].outcome
            common |= {"verifier": scoring[0], "step_aggregation": "last" if outcome else self._aggregation}
        if isinstance(entry, TreeSearch):
            return Picked.model_validate(common | {"kind": "search", "runs": entry.runs})
        if isinstance(entry, Import) and entry.budgets is not None:
            return Picked.model_validate(common | {"kind": "search", "runs": 1})
        if base in self._config.chains:
            chains = self._config.chains[base]
            pool = chains.parallel(int(length)) * int(length)
            kind = "samples" if length == "1" else "chains"
            return Picked.model_validate(common | {"kind": kind, "pool": pool})
        if isinstance(entry, Sampling):
            (pool,) = (entry.only or Reach()).cap(policy, (entry.samples,)) or (budget,)
        else:
            pool = max(budget, entry.least(policy, (budget,))) if isinstance(entry, Import) else budget
        return Picked.model_validate(common | {"kind": "samples", "pool": pool})
