"""Where every file of an experiment is: one pattern each, with the wildcards that the rules have."""

from collections.abc import Iterable
from typing import Any

from isoflop.config.datasets import CountedSource, WordproblemsSource
from isoflop.config.study import Config
from isoflop.files import times_of
from isoflop.pipeline.pools import Pool, Pools
from isoflop.pipeline.shards import shard_names, shard_pattern, useful_shards

RESULTS = "results/{experiment}"

PROBLEMS = "results/{experiment}/problems/{dataset}.parquet"
TRAINED = "results/{experiment}/train/{model}"
LABELS = "results/{experiment}/label/{label}.parquet"
TRAJECTORIES = "results/{experiment}/trajectories/{trajectories}.parquet"
CHAIN_LABELS = "results/{experiment}/chain_labels/{chain_labels}.parquet"
CHAIN_LABELS_ALONE = "results/{experiment}/chain_labels/{chain_labels}.alone.parquet"

# What runs models writes these, their ledgers and how long it took, in parts where there are shards.
CANDIDATES = "results/{experiment}/sample/{dataset}/{policy}/{generator}.parquet"
TREES = "results/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.parquet"
SCORES = "results/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.parquet"

COUNTS = "results/{experiment}/counts/{generator}.parquet"
USAGE = "results/{experiment}/sample/{dataset}/{policy}/{generator}.usage.parquet"
GRADES = "results/{experiment}/grade/{dataset}/{policy}/{generator}.parquet"
CREDITS = "results/{experiment}/select/{dataset}/{policy}/{generator}.parquet"
CHAIN_CREDITS = "results/{experiment}/select/{dataset}/{policy}/{generator}/{length}.parquet"
SECONDS = "results/{experiment}/seconds/{dataset}/{policy}/{generator}.parquet"
CHAIN_SECONDS = "results/{experiment}/seconds/{dataset}/{policy}/{generator}/{length}.parquet"
DIFFICULTY = "results/{experiment}/difficulty/{dataset}/{policy}.parquet"

TABLE = "results/{experiment}/tables/{table}"
FIGURE = "results/{experiment}/figures/{figure}"
TIMES = "results/{experiment}/times/{table}"
REPORT = "results/{experiment}/report.html"

_OF_A_PART = (".parquet", ".ledger.json", ".times.json")


def ledger_of(table: str) -> str:
    """The pattern of the ledger beside a table's."""
    return table.removesuffix(".parquet") + ".ledger.json"


def times_beside(paths: Iterable[str]) -> list[str]:
    """The measured times beside ledgers and tables of usage among the files, each once."""
    kept = (".ledger.json", ".usage.parquet")
    return list(dict.fromkeys(times_of(path) for path in paths if path.endswith(kept)))


def part_of(path: str) -> str:
    """The pattern of a shard's part of a table, ledger or measured times: with `{shard}` after the stem."""
    ending = next(one for one in _OF_A_PART if path.endswith(one))
    return path.removesuffix(ending) + "{shard}" + ending


class Paths:
    """The files of one experiment."""

    def __init__(self, config: Config, pools: Pools) -> None:
        self._config, self._pools = config, pools
        self.results = RESULTS.format(experiment=config.experiment)

    def at(self, pattern: str, **names: Any) -> str:
        """A pattern with its wildcards filled in; that of the experiment is known."""
        return pattern.format_map({"experiment": self._config.experiment} | names)

    def of(self, pool: Pool, *patterns: str) -> list[str]:
        """Patterns with a pool's names filled in."""
        return [self.at(pattern, **pool._asdict()) for pattern in patterns]

    def trained(self, name: str) -> str:
        """The folder that a training writes."""
        return self.at(TRAINED, model=name)

    def shards(self, dataset: str) -> int:
        """How many jobs share a data set's problems: no more than these have chunks, as far as is known.

        Read from the config alone, so that every process of a run finds the same number.
        """
        config = self._config
        entry, planned = config.datasets[dataset], config.planning.datasets.get(dataset)
        known = [None if planned is None else planned.problems]
        if isinstance(entry, WordproblemsSource):
            known = [entry.size]
        elif not isinstance(entry, CountedSource):
            known.append(entry.limit)
        most = min((count for count in known if count is not None), default=None)
        return useful_shards(config.shards, config.engine_settings.chunk_problems, most)

    def parts(self, table: str, **names: Any) -> list[str]:
        """Every shard's part of a data set's table and its ledger, in the order of the shards."""
        return [
            self.at(part_of(path), **names | {"shard": shard})
            for shard in shard_names(
                self.shards(names["dataset"]), self._config.engine_settings.chunk_problems
            )
            for path in (table, ledger_of(table))
        ]

    def shard_pattern(self) -> str:
        """A pattern for what follows the stem of a table in the name of its parts; nothing for one shard."""
        if self._config.shards == 1:
            return "(?:)"
        counts = map(self.shards, self._config.datasets)
        return shard_pattern(counts, self._config.engine_settings.chunk_problems)

    def trees(self, pool: Pool) -> list[str]:
        """Trees and ledger of a search at every budget, in the order of gather_trees' specification."""
        return [
            self.at(path, **pool._asdict(), budget=budget)
            for budget in self._pools.budgets(pool.policy, pool.generator)
            for path in (TREES, ledger_of(TREES))
        ]

    def scores(self, pool: Pool) -> list[str]:
        """Score table and ledger of every verifier, in the order of the select stage's specification."""
        return [
            self.at(path, **pool._asdict(), verifier=verifier)
            for verifier in self._pools.verifiers(pool.generator)
            for path in (SCORES, ledger_of(SCORES))
        ]

    def usage(self, pool: Pool) -> str:
        """What the select stage reads costs from: the sampling's ledger, or a search's table of usage."""
        searched = pool.generator in self._config.searches
        return self.at(USAGE if searched else ledger_of(CANDIDATES), **pool._asdict())

    def gathered(self, pool: Pool) -> list[str]:
        """Candidates, scores and ledgers of a search, and its usage."""
        return [*self.replayed(pool), self.usage(pool)]

    def replayed(self, pool: Pool) -> list[str]:
        """Candidates and ledger of an import, and with a verifier its scores and their ledger."""
        return [*self.of(pool, CANDIDATES, ledger_of(CANDIDATES)), *self.scores(pool)]

    def counted(self, generator: str) -> list[str]:
        """The table of an import of counts, and the credits of every policy in it."""
        pools = self._pools.counted(generator)
        return [self.at(COUNTS, generator=generator), *(self.of(pool, CREDITS)[0] for pool in pools)]

    def credits(self) -> list[str]:
        """The select stage's tables, in the order of the fit's specification."""
        return [path for pool in self._pools.picked() for path in self.of(pool, CREDITS)]

    def evidence(self) -> list[str]:
        """What the report quotes beside the curves: problems, candidates, grades, scores and ledgers."""
        pools = self._pools.all()
        datasets = dict.fromkeys(pool.dataset for pool in pools)
        problems = [self.at(PROBLEMS, dataset=name) for name in datasets]
        tables = [path for pool in pools for path in self.of(pool, CANDIDATES, ledger_of(CANDIDATES), GRADES)]
        trees = [path for pool in self._pools.searches() for path in self.trees(pool)]
        scores = [path for pool in pools for path in self.scores(pool)]
        return [*problems, *tables, *scores, *trees]
