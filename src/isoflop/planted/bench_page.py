"""The bench's tables as Markdown, and where they stand in the page about verdicts."""

import re
from collections.abc import Mapping, Sequence


def summary(rows: Sequence[Mapping[str, str]]) -> str:
    """The bench's table as Markdown: per sentence its worst world and the range of coverage over worlds.

    `rows`: of `verdicts-bench.csv`. Coverage is of worlds with at least 200 intervals.
    """
    lines = [
        "| Sentence | Worlds | Studies | False, worst world | Worst world | Coverage of 95% intervals |",
        "|---|---|---|---|---|---|",
    ]
    for sentence in dict.fromkeys(row["sentence"] for row in rows):
        own = [row for row in rows if row["sentence"] == sentence]
        worst = max(own, key=lambda row: float(row["false"]))
        share = (
            f"{_percent(worst['false'])} ({_percent(worst['false_low'])} to {_percent(worst['false_high'])})"
        )
        where = f"{worst['world']}, {worst['problems']} problems" if float(worst["false"]) > 0 else ""
        known = [float(row["coverage"]) for row in own if row["coverage"] and int(row["intervals"]) >= 200]
        covered = f"{100 * min(known):.0f} to {100 * max(known):.0f}%" if known else ""
        studies = sum(int(row["studies"]) for row in own)
        lines.append(f"| {sentence} | {len(own)} | {studies} | {share} | {where} | {covered} |")
    return "\n".join(lines)


def power(rows: Sequence[Mapping[str, str]], sentences: Sequence[str]) -> str:
    """How often a sentence is decided rightly where REBASE is so many points better and MCTS worse."""
    lines = ["| Points | Problems | " + " | ".join(sentences) + " |", "|" + "---|" * (2 + len(sentences))]
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        match = _BETTER.fullmatch(row["world"])
        if match:
            cell = found.setdefault((match[1], row["problems"]), {})
            cell[row["sentence"]] = _percent(row["right"])
    for (points, problems), cells in found.items():
        lines.append(
            f"| {points} | {problems} | " + " | ".join(cells.get(one, "") for one in sentences) + " |"
        )
    return "\n".join(lines)


# The sentences whose power is told.
POWER = ("Wu 3", "Wu 4", "Wu 7", "rebase over samples", "compute saved")


def with_tables(page: str, rows: Sequence[Mapping[str, str]]) -> str:
    """The page with its two tables made of `rows`, between the comments that mark them."""
    for name, table in (("bench", summary(rows)), ("power", power(rows, POWER))):
        start, end = (re.escape(mark) for mark in (f"<!-- {name}:", f"<!-- end of {name} -->"))
        page = re.sub(
            rf"({start}[^\n]*-->\n).*?({end})",
            lambda found, table=table: f"{found[1]}{table}\n{found[2]}",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
    return page


_BETTER = re.compile(r"REBASE (\d) better, MCTS \d worse")


def _percent(share: str) -> str:
    return f"{100 * float(share):.0f}%"
