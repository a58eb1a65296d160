"""A thousand foreign tables: each is read as it is meant or refused with a word; none ends in a traceback."""

import pytest
from foreign_tables import PROBLEMS, Case, Truth, cases, differs

from isoflop.data.columns import Layout, Reading, laid_out
from isoflop.data.format import import_format
from isoflop.data.pooling import Demands, pool
from isoflop.data.rows import read_rows
from isoflop.errors import UserError

COUNT = 1000


def read(case: Case, name: str, content: bytes) -> Truth:
    """As the replay stage reads a file."""
    format_ = import_format(case.format)
    rows = laid_out(read_rows(name, content), format_, Layout(columns=case.columns), Reading())
    demands = Demands(scored=case.scored, probabilities=True, at_least=1)
    found = pool([(name, format_.read(rows))], PROBLEMS, demands)
    return [
        (problem, one.text, one.tokens, one.scores)
        for problem, members in found.solutions.items()
        for _, one in members
    ]


def _names_a_place(said: str, case: Case) -> bool:
    """Whether a message has the row, or the column, or what all rows lack."""
    names = {name for row in case.rows for name in row}
    return "a." in said.partition(":")[0] or any(name in said for name in names) or "at_least" in said


@pytest.mark.parametrize("seed", range(4))
def test_no_foreign_table_is_read_wrongly_without_a_word(seed: int) -> None:
    wrong, read_rightly, refused = [], 0, 0
    for case, name, content in cases(COUNT // 4, seed):
        try:
            found = read(case, name, content)
        except UserError as error:
            refused += 1
            wrong += [] if _names_a_place(str(error), case) else [f"says not what is wrong: {error}"]
            continue
        except Exception as error:  # a traceback is a fault of its own
            wrong.append(f"{case.format} {name}: {type(error).__name__}: {error}; {case.history}")
            continue
        read_rightly += 1
        if said := differs(found, case):
            wrong.append(f"{case.format} {name}: {said}; {case.history}; columns {case.columns}")
    assert not wrong, f"{len(wrong)} of {COUNT // 4}:\n" + "\n".join(wrong)
    # Neither is everything refused nor everything taken.
    assert read_rightly > COUNT // 20
    assert refused > COUNT // 20


def test_the_tables_before_any_change_are_read_whole() -> None:
    unchanged = [case for case in cases(COUNT, 7) if not case[0].history]
    assert len(unchanged) > COUNT // 20
    for case, name, content in unchanged:
        assert differs(read(case, name, content), case) == ""
