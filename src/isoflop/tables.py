"""The columns of every table that one stage hands to the next.

These are the project's internal contracts: a stage that reads a table checks it against the schema
here, so a stale or foreign file is refused by name instead of failing three stages later.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from isoflop.arrays import Bools, Ints

PROBLEMS = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("level", pa.int16()),
        pa.field("subject", pa.string()),
        pa.field("solution", pa.string()),
    ]
)

# One row per candidate; rows sorted by (order of the problem in PROBLEMS, candidate).
# The concatenation of `steps` is the candidate's text, separators included.
# Schema metadata key b"isoflop": JSON of what the model was (see isoflop.costs.shape.ModelShape).
CANDIDATES = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("candidate", pa.int32(), nullable=False),
        pa.field("steps", pa.list_(pa.string()), nullable=False),
        pa.field("step_tokens", pa.list_(pa.int32()), nullable=False),
        pa.field("finish", pa.string(), nullable=False),  # stop | length | unfinished
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("tokens", pa.int32(), nullable=False),  # generated, the end token included
        pa.field("logprob", pa.float32()),  # natural log, at temperature 1
        pa.field("source", pa.string()),  # the file and row that an imported candidate comes from
        # Of a search, run at every budget, several times; null where a budget is a subset.
        # Of revisions, the chain (`run`, from 0) and the answer's place in it (`budget`, from 1).
        pa.field("budget", pa.int32()),
        pa.field("run", pa.int32()),
        # Of `tokens`, how many are thoughts (isoflop.thinking); null where nobody counted, as in searches.
        pa.field("thinking_tokens", pa.int32()),
    ]
)

# Imported candidates whose files grade them have one column more; readers of CANDIDATES pass over it.
PUBLISHED_CORRECT = pa.field("published_correct", pa.bool_())
GRADED_CANDIDATES = CANDIDATES.append(PUBLISHED_CORRECT)
# Columns that came later: a table without them is read as if nobody knew.
LATER = frozenset({"thinking_tokens"})

# What a search took for one problem at one budget in one run, in tokens (isoflop.search.driver.Usage), and
# how many samples it counts as by its paper's rule.
_USAGE = [
    pa.field(name, pa.int64(), nullable=False)
    for name in (
        "prompt", "generated", "attended", "read_again", "looked", "scored", "scored_attended",
        "scored_again", "nominal_samples",
    )
]  # fmt: skip
USAGE = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("budget", pa.int32(), nullable=False),
        pa.field("run", pa.int32(), nullable=False),
        *_USAGE,
    ]
)

# One row per problem and run of a search at one budget: its whole tree. `nodes` are in order of birth, a
# parent of -1 being the problem itself; `candidates` are the nodes that solutions end with.
TREES = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("run", pa.int32(), nullable=False),
        pa.field(
            "nodes",
            pa.list_(
                pa.struct(
                    [
                        pa.field("parent", pa.int32(), nullable=False),
                        pa.field("text", pa.string(), nullable=False),
                        pa.field("tokens", pa.int32(), nullable=False),
                        pa.field("ended", pa.bool_(), nullable=False),
                        pa.field("logprob", pa.float32(), nullable=False),
                        pa.field("score", pa.float32(), nullable=False),
                        pa.field("value", pa.float32(), nullable=False),
                        pa.field("visits", pa.int32(), nullable=False),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("candidates", pa.list_(pa.int32()), nullable=False),
        *_USAGE,
    ]
)

# One row per candidate, in the order of CANDIDATES. One score per step.
SCORES = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("candidate", pa.int32(), nullable=False),
        pa.field("step_scores", pa.list_(pa.float32()), nullable=False),
        pa.field("verifier_tokens", pa.int32(), nullable=False),
    ]
)

# One row per candidate, in the order of CANDIDATES. answer_class numbers the distinct answers of a
# problem up to equivalence, independent of sample order; -1 is "no answer", which never votes.
GRADES = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("candidate", pa.int32(), nullable=False),
        pa.field("answer", pa.string()),
        pa.field("answer_class", pa.int32(), nullable=False),
        pa.field("correct", pa.bool_(), nullable=False),
    ]
)

# One row per policy and problem of an import of counts, the problems of every policy in one order: n samples
# and c right ones, without texts. `tokens`: of a sample, mean.
COUNTS = pa.schema(
    [
        pa.field("policy", pa.string(), nullable=False),
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("level", pa.int16()),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("correct", pa.int32(), nullable=False),
        pa.field("tokens", pa.float64(), nullable=False),
    ]
)


def with_columns(schema: pa.Schema, columns: Iterable[str]) -> pa.Schema:
    """A schema with numbers of its own at the end: the costs that a study asks for, those it lacks."""
    further = [name for name in dict.fromkeys(columns) if name not in schema.names]
    return pa.schema([*schema, *(pa.field(name, pa.float64(), nullable=False) for name in further)])


def verified(column: str) -> str:
    """The column of DIFFICULTY with that cost when the verifier read the samples that tell."""
    return f"{column}_verified"


# Costs are nan where nobody knows them. Tables of credits and what is made from them have further columns of
# costs where a study asks for some (`with_columns`).
# One row per (strategy, half, budget, problem): the expected credit over all subsets of that size, of the
# whole pool (half 0) or of its candidates at even (1) or odd (2) places, where it tells difficulty too.
CREDITS = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("level", pa.int16()),
        pa.field("verifier", pa.string(), nullable=False),  # "none" where none is used
        pa.field("selector", pa.string(), nullable=False),
        pa.field("step_aggregation", pa.string(), nullable=False),  # "none" where none is used
        pa.field("half", pa.int8(), nullable=False),
        pa.field("budget", pa.int32(), nullable=False),  # 0 marks the limit k -> infinity
        pa.field("credit", pa.float64(), nullable=False),
        pa.field("standard_error", pa.float64(), nullable=False),  # of the Monte Carlo; 0 where exact
        # At budget 0: the credit if what the pool leaves open goes wrong, and if it goes right.
        pa.field("limit_low", pa.float64()),
        pa.field("limit_high", pa.float64()),
        pa.field("tokens", pa.float64(), nullable=False),
        pa.field("flops_wu2024", pa.float64(), nullable=False),
        pa.field("flops_kaplan", pa.float64(), nullable=False),
        pa.field("flops_total", pa.float64(), nullable=False),
    ]
)

# One row per verifier that credits name, budget and problem: measured seconds of the work, shared between
# candidates by their tokens; nan where nobody measured.
SECONDS = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("verifier", pa.string(), nullable=False),
        pa.field("budget", pa.int32(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)

# One row per curve of subset `all` and budget: what every interval and verdict comes from. `credits` are in
# the order of the problems, which the metadata has with their levels, next to the draws, level and seed of
# the bootstrap: results/<experiment>/fit/credits.parquet.
MEASURED = pa.schema(
    [
        *(
            pa.field(name, pa.string(), nullable=False)
            for name in ("dataset", "policy", "generator", "verifier", "selector", "step_aggregation")
        ),
        pa.field("policy_params", pa.int64(), nullable=False),
        pa.field("budget", pa.int32(), nullable=False),
        pa.field("flops_wu2024", pa.float64(), nullable=False),
        pa.field("flops_kaplan", pa.float64(), nullable=False),
        pa.field("flops_total", pa.float64(), nullable=False),
        pa.field("credits", pa.list_(pa.float64()), nullable=False),
    ]
)

# One row per half and problem: how hard it is for one policy, by one pool of its samples, whole (half 0) or
# by those at even (1) or odd (2) places alone (isoflop.allocation.difficulty). Bin 1 is the easiest;
# `predicted` is null without a verifier. Costs are of the samples that tell, for one problem: without and
# with the verifier's reading.
DIFFICULTY = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("level", pa.int16()),
        pa.field("half", pa.int8(), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("oracle", pa.float64(), nullable=False),
        pa.field("oracle_bin", pa.int16(), nullable=False),
        pa.field("predicted", pa.float64()),
        pa.field("predicted_bin", pa.int16()),
        pa.field("flops_wu2024", pa.float64(), nullable=False),
        pa.field("flops_kaplan", pa.float64(), nullable=False),
        pa.field("flops_total", pa.float64(), nullable=False),
        pa.field("flops_total_verified", pa.float64()),
    ]
)

# One row per distinct solution written for step labels. `labels` are shares of rollouts that came out
# right; `truth`, where the problem can be checked step by step, is for measuring verifiers only.
LABELS = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("policy", pa.string(), nullable=False),
        pa.field("steps", pa.list_(pa.string()), nullable=False),
        pa.field("labels", pa.list_(pa.float32()), nullable=False),
        pa.field("truth", pa.list_(pa.bool_())),
    ]
)

NO_LEVEL = -1
"""Among levels, that of a problem that has none."""


def subsets(levels: Ints) -> dict[str, Bools]:
    """The subsets of problems that curves are of, by their names in column `subset`: `all`, and each level.

    `levels`: of the problems, NO_LEVEL where one has none. Returns which problems are in it, [problems] each.
    """
    known = sorted(set(levels[levels != NO_LEVEL].tolist()))
    return {"all": np.ones(levels.shape, dtype=np.bool_)} | {str(level): levels == level for level in known}


# The public contract: results/<experiment>/tables/curves.csv; a study has further columns of the costs that
# it asks for. tokens_estimated says whether tokens and FLOPs rest on an estimate.
CURVES_COLUMNS = (
    "experiment", "dataset", "policy", "policy_params", "generator", "verifier", "selector",
    "step_aggregation", "subset", "budget", "problems", "accuracy", "ci_low", "ci_high",
    "tokens_per_problem", "flops_wu2024", "flops_kaplan", "flops_total",
    "tokens_estimated",
)  # fmt: skip

_JUDGED = ("experiment", "dataset", "policy", "generator", "verifier", "step_aggregation")
# tables/verifiers.csv: how well a verifier's scores tell right candidates from wrong ones. `unscored` ones
# were too long for it. auc_within: the mean over `mixed_problems`, those with right and wrong candidates.
# Empty: not determined, or of scores that are no chances.
VERIFIERS_COLUMNS = (
    *_JUDGED, "problems", "candidates", "unscored", "share_right", "auc", "auc_low", "auc_high",
    "mixed_problems", "auc_within", "auc_within_low", "auc_within_high", "brier", "brier_base_rate",
    "brier_gain", "brier_gain_low", "brier_gain_high", "calibration_error", "calibration_error_by_chance",
)  # fmt: skip
# tables/calibration.csv: of the same, candidates in bins of rising scores, and the share of right ones.
CALIBRATION_COLUMNS = (
    *_JUDGED, "bin", "candidates", "problems", "mean_score", "share_right", "ci_low", "ci_high",
)  # fmt: skip
