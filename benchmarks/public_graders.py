"""Agreement with public graders on real answers to MATH: Math-Verify, and prm800k's where a clone of it is.

    python benchmarks/public_graders.py DATA [--prm800k CLONE]

DATA has `llama-8b-math500/*.jsonl` and `llama-3.2-math500/*.jsonl` (search-and-learn result files with
`completions` and `answer`) and `qwen2-math-rm/math_cot_100.jsonl`. CLONE is a checkout of openai/prm800k; its
grader needs pylatexenc. Every distinct pair of an extracted answer and a reference is compared by each
grader; printed are the counts, and every pair on which one differs from isoflop.
"""

import argparse
import importlib
import json
import logging
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from math_verify import parse, verify

from isoflop.grading.graders.math import MathGrader

SECONDS = 6.0  # of one comparison by a public grader
Verdict = bool | None


def rows(data: Path) -> Iterator[tuple[str, str]]:
    """Solutions and their references."""
    for folder in ("llama-8b-math500", "llama-3.2-math500"):
        for path in sorted((data / folder).glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                yield from {(text, row["answer"]) for text in row["completions"]}
    for line in (data / "qwen2-math-rm" / "math_cot_100.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield from ((text, row["answer"]) for text in row["response"])


def by_math_verify(answer: str, reference: str) -> bool:
    gold, target = (parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in (reference, answer))
    return bool(verify(gold, target, timeout_seconds=None))


def within_limits(grade: Callable[[str, str], bool], answer: str, reference: str) -> Verdict:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return bool(grade(answer, reference))
    except Exception:  # whatever a public grader raises, and the time limit
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _too_long(*_: object) -> None:
    raise TimeoutError


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--prm800k", type=Path)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _too_long)
    graders = {"Math-Verify": by_math_verify}
    if given.prm800k is not None:
        sys.path.insert(0, str(given.prm800k / "prm800k"))
        graders["prm800k"] = importlib.import_module("grading.grader").grade_answer
    with MathGrader() as math:
        solutions = sorted(set(rows(given.data)))
        found = [(math.extract(text), reference) for text, reference in solutions]
        pairs = sorted({(answer, reference) for answer, reference in found if answer is not None})
        own = [math.equivalent(answer, reference) for answer, reference in pairs]
    print(f"{len(solutions)} solutions, {len(pairs)} distinct pairs of answer and reference")
    for name, grade in graders.items():
        theirs = [within_limits(grade, *pair) for pair in pairs]
        print(f"{name} (isoflop, {name}):", dict(Counter(zip(own, theirs, strict=True))))
        for (answer, reference), ours, other in zip(pairs, own, theirs, strict=True):
            if ours is not other:
                print(f"  isoflop {ours}, {name} {other}: {answer[:100]!r} for {reference[:100]!r}")


if __name__ == "__main__":
    main()
