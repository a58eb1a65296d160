"""Import solutions that exist as candidates, with their scores where a verifier is named.

Token counts that the files lack are estimated from characters; the ledger says how many are.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from isoflop.config.generators import Import, ImportSource
from isoflop.config.models import ModelSize
from isoflop.costs.shape import ModelShape
from isoflop.data.format import import_format
from isoflop.data.pooling import Demands, Pool, Target, pool
from isoflop.data.problems import Row, read_rows
from isoflop.data.solutions import Solution
from isoflop.data.sources import check_sha256, hub_file, read_file, repository_file
from isoflop.errors import UserError, run_main
from isoflop.files import local_files, read_table, write_table, write_text
from isoflop.registries import SELECTORS
from isoflop.specs import ReplaySpec
from isoflop.stages.shared.chunks import ledger
from isoflop.stages.shared.command import File, StageCommand
from isoflop.tables import CANDIDATES, GRADED_CANDIDATES, PROBLEMS, PUBLISHED_CORRECT, SCORES

_COMMAND = StageCommand(
    "replay",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of candidates to write"),
    File("ledger", "what is known of their cost, to write as JSON"),
    File("scores", "with a verifier: table of scores to write", many="?"),
    File("scores_ledger", "and their ledger", many="?"),
)


def source_files(source: ImportSource, mirror: Path | None) -> Iterator[tuple[str, Path]]:
    """Every file of a source: what to call it, and where it lies, checked against its sha256."""
    for file in source.files:
        if source.repo is not None:
            assert source.revision is not None
            assert file.sha256 is not None
            yield (
                f"{source.repo}/{file.path}",
                repository_file(source.host, source.repo, source.revision, file.path, file.sha256, mirror),
            )
            continue
        found = local_files(file.path)
        if not found:
            raise UserError(f"{file.path}: no such file")
        for path in found:
            check_sha256(path, read_file(path), file.sha256)
            yield str(path), path


def _solutions(generator: Import, mirror: Path | None) -> Iterator[tuple[str, Iterator[Solution]]]:
    chosen = import_format(generator.format)
    for source in generator.sources:
        files = source_files(source, mirror)
        opened = _by_ending(files) if chosen.open is None else chosen.open(source, list(files))
        for name, rows in opened:
            yield name, chosen.read(rows)


def _by_ending(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, Iterator[Row]]]:
    """Name and rows of each file. Its suffix decides how rows are read; messages call it by its name."""
    for name, path in files:
        rows = read_rows(str(path), read_file(path))
        yield name, ((f"{name}{place.removeprefix(str(path))}", values) for place, values in rows)


def _shape(size: ModelSize | None) -> dict[str, Any] | None:
    """The shape of a model whose work is imported, as metadata have it; None where nobody knows it."""
    if size is None:
        return None
    return ModelShape(embedding_parameters=0, **size.model_dump()).model_dump()


def main(arguments: Sequence[str]) -> None:
    """Import what SPEC says and write candidates, scores and ledgers; raises UserError on bad input."""
    given = _COMMAND.read(ReplaySpec, arguments)
    spec, files = given.spec, given.files
    scored = [path for path in (files.scores, files.scores_ledger) if path is not None]
    if len(scored) != (0 if spec.verifier is None else 2):
        raise _COMMAND.fault("verifier: scores and their ledger are written with one, and only then")
    generator, verifier = spec.generator, spec.verifier
    table = read_table(files.problems, PROBLEMS).select(["problem_id", "prompt", "answer"])
    problems = [Target(**row) for row in table.to_pylist()]
    demands = Demands(
        scored=verifier is not None,
        probabilities=verifier is not None and verifier.scale == "probability",
        at_least=generator.at_least,
        distinct=generator.repetitions == "all",
        graded=generator.grades == "graded",
        voted=generator.selectors is None or any(not SELECTORS[name].oracle for name in generator.selectors),
    )
    found = pool(_solutions(generator, Path(spec.mirror) if spec.mirror else None), problems, demands)
    _write(spec, problems, found, files)
    kept = sum(len(members) for members in found.solutions.values())
    print(
        f"replay: {kept} solutions to {len(found.solutions)} problems, {found.repeated} repetitions "
        f"dropped, {len(found.left_out)} problems left out",
        file=sys.stderr,
    )


def _write(spec: ReplaySpec, problems: Sequence[Target], found: Pool, files: Namespace) -> None:
    count = cache(_counter(spec.generator, Path(spec.mirror) if spec.mirror else None))
    asked = {one.problem_id: one.prompt for one in problems}
    rows = [
        (problem, number, solution)
        for problem, members in found.solutions.items()
        for number, (_, solution) in enumerate(members)
    ]
    prompts = [
        count(asked[problem]) if solution.prompt_tokens is None else solution.prompt_tokens
        for problem, _, solution in rows
    ]
    tokens = [
        solution.tokens if solution.tokens is not None else count(solution.text) for *_, solution in rows
    ]
    steps = [_texts(solution, scored=spec.verifier is not None) for *_, solution in rows]
    policy = _shape(spec.policy.size)
    keys: dict[str, list[object]] = {
        "problem_id": [problem for problem, *_ in rows],
        "candidate": [number for _, number, _ in rows],
    }
    columns: dict[str, list[object]] = {
        **keys,
        "steps": list(steps),
        "step_tokens": [_parts(parts, total) for parts, total in zip(steps, tokens, strict=True)],
        "finish": ["length" if solution.truncated else "stop" for *_, solution in rows],
        "prompt_tokens": list(prompts),
        "tokens": list(tokens),
        "logprob": [None] * len(rows),
        "source": [solution.place for *_, solution in rows],
        "budget": [None] * len(rows),
        "run": [None] * len(rows),
    }
    schema = CANDIDATES
    if any(solution.correct is not None for *_, solution in rows):
        schema = GRADED_CANDIDATES
        columns[PUBLISHED_CORRECT.name] = [solution.correct for *_, solution in rows]
    write_table(files.out, columns, schema, {"model": policy, "left_out": found.left_out})
    totals: dict[str, float] = {
        "candidates": len(rows),
        "generated_tokens": sum(tokens),
        "prompt_tokens": sum(prompts),
        "counts_not_in_files": sum(solution.tokens is None for *_, solution in rows),
        "repetitions_dropped": found.repeated,
        "problems_left_out": len(found.left_out),
    }
    totals |= _known(rows)
    write_text(files.ledger, ledger(totals, policy))
    if spec.verifier is None:
        return
    read = [prompt + total for prompt, total in zip(prompts, tokens, strict=True)]
    scores = [list(solution.scores or ()) for *_, solution in rows]
    model = _shape(spec.verifier.size)
    write_table(
        files.scores,
        {**keys, "step_scores": list(scores), "verifier_tokens": list(read)},
        SCORES,
        {"model": model},
    )
    write_text(files.scores_ledger, ledger({"candidates": len(rows), "verifier_tokens": sum(read)}, model))


def _texts(solution: Solution, *, scored: bool) -> list[str]:
    """The steps of a candidate. What a file has only a part of is left out: a grader would read it."""
    if solution.partial:
        return [""]
    return list(solution.steps) if scored else [solution.text]


def _known(rows: Sequence[tuple[str, int, Solution]]) -> dict[str, float]:
    """Seconds, and tokens of thinking, where the files have them of every solution."""
    found: dict[str, float] = {}
    for name, values in (
        ("seconds", [solution.seconds for *_, solution in rows]),
        ("thinking_tokens", [solution.thinking for *_, solution in rows]),
    ):
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            found[name] = sum(known)
    return found


def _counter(generator: Import, mirror: Path | None) -> Callable[[str], int]:
    """What counts the tokens that the files do not; raises UserError if the tokenizer cannot be loaded."""
    rate, named = generator.characters_per_token, generator.tokenizer
    if named is None:
        return _uncounted if rate is None else lambda text: max(1, round(len(text) / rate))
    if named.revision is None:
        path = Path(named.model) / "tokenizer.json"
    else:
        path = hub_file(named.model, named.revision, "tokenizer.json", mirror, "model")
    from tokenizers import Tokenizer  # noqa: PLC0415

    data = read_file(path)
    try:
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises nothing more precise
        raise UserError(f"{path}: cannot be read as a tokenizer ({error})") from error
    # Of a text alone: what a model puts around it is not known.
    return lambda text: max(1, len(tokenizer.encode(text, add_special_tokens=False).ids))


def _uncounted(text: str) -> int:
    raise UserError(
        f"the files do not count the tokens of '{text.strip():.60}'; say how they are counted with "
        "`tokenizer`, or estimate them with `characters_per_token`"
    )


def _parts(steps: Sequence[str], total: int) -> list[int]:
    """`total` tokens shared between steps by their characters, exactly."""
    # An empty solution has its tokens all the same: of thinking.
    characters = sum(map(len, steps)) or 1
    if not any(steps):
        return [total, *([0] * (len(steps) - 1))]
    ends, seen = [0], 0
    for step in steps:
        seen += len(step)
        ends.append(round(total * seen / characters))
    return [end - begin for begin, end in pairwise(ends)]


if __name__ == "__main__":
    run_main(main)
