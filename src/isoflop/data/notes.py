"""What a reader of results should know of imported solutions, as sentences."""

from collections.abc import Iterator, Mapping

from isoflop.data.columns import Reading
from isoflop.data.pooling import Pool

_MOST_NAMED = 12


def pool_notes(pool: Pool, at_least: int, *, searched: bool = False, graded: bool = True) -> Iterator[str]:
    """What was kept and left out against one's expectation.

    `searched`: the pool is of a published search; `graded`: answers are graded here, not by the files.
    """
    for name, found in pool.strayed.items():
        yield (
            f"{name}: its solutions may be shuffled between problems: of {found.clear} that are clearly "
            f"about one problem, {found.own} are about their own. It was taken all the same "
            "(shuffled: report)."
        )
    if pool.left_out:
        total = len(pool.left_out) + len(pool.solutions)
        yield (
            f"{len(pool.left_out)} of {total} problems were left out: they have fewer than {at_least} "
            "solutions, or lack a budget or run."
        )
    if searched:
        yield "Costs are those of the solutions that were published: less than the search took."
    if pool.empty:
        empty = "1 solution is empty" if pool.empty == 1 else f"{pool.empty} solutions are empty"
        yield (
            f"{empty}, which counts as wrong." if graded else f"{empty}; what is right is what the files say."
        )
    thoughts = [one.thinking for members in pool.solutions.values() for _, one in members]
    if any(one is not None for one in thoughts) and (unknown := thoughts.count(None)):
        yield (
            f"How much was thought is not known of {unknown} of {len(thoughts)} solutions, so no mean of it "
            "is given."
        )


def reading_notes(readings: Mapping[str, Reading]) -> Iterator[str]:
    """Rows that a filter dropped, and columns that nobody read."""
    rows = sum(one.rows for one in readings.values())
    kept = sum(one.kept for one in readings.values())
    if kept < rows:
        yield f"{kept} of {rows} rows were kept (where)."
    unread = dict.fromkeys(name for one in readings.values() for name in one.unread)
    if unread:
        more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
        yield f"Columns that were not read: {', '.join(list(unread)[:_MOST_NAMED])}{more}."
