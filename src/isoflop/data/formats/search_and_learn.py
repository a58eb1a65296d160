"""Result files of search-and-learn: a row per problem, its completions with their step scores.

Steps end in an empty line. `completion_tokens` of 0 and -1, as its tree searches write, mean unknown.
"""

from collections.abc import Iterable, Iterator

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import (
    Solution,
    aligned,
    optional_text,
    split_scored,
    step_scores,
    text_field,
    texts,
    token_count,
)

STEP_SEPARATOR = "\n\n"


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every completion of every row; raises UserError naming the row and the completion at fault."""
    for place, values in rows:
        completions = texts(values, "completions", place)
        names = [name for name in ("completions", "scores", "completion_tokens") if name in values]
        for number, entries in enumerate(aligned(values, names, place), start=1):
            named = dict(zip(names, entries, strict=True))
            where = f"{place}, completion {number}"
            steps, scores = split_scored(
                completions[number - 1], STEP_SEPARATOR, step_scores(named.get("scores"), where), where
            )
            yield Solution(
                place=where,
                problem=optional_text(values, "unique_id", place),
                prompt=text_field(values, "problem", place),
                reference=optional_text(values, "answer", place),
                steps=steps,
                scores=scores,
                tokens=token_count(named.get("completion_tokens"), where),
            )


FORMAT = ImportFormat(
    name="search-and-learn",
    order=0,
    read=read,
    reads=(("problem",), ("answer",), ("unique_id",), ("completions",), ("scores",), ("completion_tokens",)),
    knows=("pred", "pred_*", "agg_scores", "agg_scores@*", "solution", "subject", "level", "type", "runtime"),
)
