"""Import solutions that exist as candidates, with their scores where a verifier is named.

Token counts that the files lack are estimated from characters; the ledger says how many are.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from isoflop.config.imports.entries import Import, ImportFile, ImportSource
from isoflop.config.models import ModelSize
from isoflop.costs.shape import ModelShape
from isoflop.data.columns import Layout, Reading, laid_out, written
from isoflop.data.format import import_format
from isoflop.data.notes import pool_notes, reading_notes
from isoflop.data.pooling import Demands, Pool, Scored, Target, pool
from isoflop.data.rows import Row, read_rows
from isoflop.data.solutions import Solution
from isoflop.data.sources import check_sha256, hub_file, read_file, repository_file, url_file
from isoflop.errors import UserError, printable, run_main
from isoflop.files import local_files, located, read_table, write_table
from isoflop.registries import SELECTORS
from isoflop.specs import ReplayedVerifier, ReplaySpec
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.ledgers import write_ledger
from isoflop.tables import CANDIDATES, GRADED_CANDIDATES, PROBLEMS, PUBLISHED_CORRECT, SCORES

_COMMAND = StageCommand(
    "replay",
    __doc__,
    File("problems", "table of problems"),
    File("out", "table of candidates to write"),
    File("ledger", "what is known of their cost, to write as JSON"),
    File("scores", "each verifier's scores and their ledger, in turn", many="*", shown="SCORES LEDGER"),
)


def source_files(source: ImportSource, mirror: Path | None) -> Iterator[tuple[str, Path, ImportFile]]:
    """Every file of a source: what to call it, and where it lies, checked against its sha256."""
    for file in source.files:
        if file.url is not None:
            assert file.sha256 is not None
            yield file.url, url_file(file.url, file.sha256, mirror), file
            continue
        assert file.path is not None  # one of the two is there
        if source.repo is not None:
            assert source.revision is not None
            assert file.sha256 is not None
            local = repository_file(source.host, source.repo, source.revision, file.path, file.sha256, mirror)
            yield f"{source.repo}/{file.path}", local, file
            continue
        found = local_files(file.path)
        if not found:
            raise UserError(f"{file.path}: no such file")
        for path in found:
            check_sha256(path, read_file(path), file.sha256)
            yield str(path), path, file


def _solutions(
    generator: Import,
    verifiers: Sequence[ReplayedVerifier],
    mirror: Path | None,
    readings: dict[str, Reading],
) -> Iterator[tuple[str, Iterator[Solution]]]:
    format_ = import_format(generator.format)
    for source in generator.sources:
        layout = Layout(
            columns=generator.columns or {},
            where={path: written(values) for path, values in (source.where or {}).items()},
            verifiers={one.name: one.column for one in verifiers if one.column is not None},
            ignore=generator.ignore,
            step_separator=generator.step_separator,
        )
        for name, rows, file in _opened(source, generator, mirror):
            reading = readings.setdefault(name, Reading())
            yield name, _searched(format_.read(laid_out(rows, format_, layout, reading)), file)


def _opened(
    source: ImportSource, generator: Import, mirror: Path | None
) -> Iterator[tuple[str, Iterable[Row], ImportFile | None]]:
    """Name and rows of each file, or of what the format makes of several; messages call it by its name."""
    files, chosen = source_files(source, mirror), import_format(generator.format)
    if chosen.open is not None:
        for name, parts in chosen.open(source, [(name, path) for name, path, _ in files]):
            yield name, parts, None
        return
    for name, path, file in files:
        # The suffix decides how rows are read.
        rows = read_rows(str(path), read_file(path), generator.rows)
        yield name, ((f"{name}{place.removeprefix(str(path))}", values) for place, values in rows), file


def _searched(solutions: Iterator[Solution], file: ImportFile | None) -> Iterator[Solution]:
    """Solutions of the search and run that the config says their file is of."""
    told = {name: value for name in ("budget", "run") if (value := getattr(file, name, None)) is not None}
    for solution in solutions:
        for name, value in told.items():
            if getattr(solution, name) not in (None, value):
                raise UserError(
                    f"{solution.place}: its {name} is {getattr(solution, name)}, and {value} by the config"
                )
        yield replace(solution, **told) if told else solution


def _shape(size: ModelSize | None) -> dict[str, Any] | None:
    """The shape of a model whose work is imported, as metadata have it; None where nobody knows it."""
    if size is None:
        return None
    return ModelShape(embedding_parameters=0, **size.model_dump()).model_dump()


def main(arguments: Sequence[str]) -> None:
    """Import what SPEC says and write candidates, scores and ledgers; raises UserError on bad input."""
    given = _COMMAND.read(ReplaySpec, arguments)
    spec, files = given.spec, given.files
    if len(files.scores) != 2 * len(spec.verifiers):
        raise _COMMAND.fault("a table of scores and a ledger are written for each of `verifiers`")
    generator, mirror = spec.generator, Path(spec.mirror) if spec.mirror else None
    table = read_table(files.problems, PROBLEMS).select(["problem_id", "prompt", "answer"])
    problems = [Target(**row) for row in table.to_pylist()]
    readings: dict[str, Reading] = {}
    found = pool(_solutions(generator, spec.verifiers, mirror, readings), problems, _demands(spec))
    notes = [
        *pool_notes(
            found,
            generator.at_least or 1,
            searched=generator.budgets is not None,
            graded=generator.grades == "graded",
        ),
        *reading_notes(readings),
    ]
    _write(spec, problems, found, notes, files)
    kept = sum(len(members) for members in found.solutions.values())
    print(
        f"replay: {kept} solutions to {len(found.solutions)} problems, {found.repeated} repetitions "
        f"dropped, {len(found.left_out)} problems left out",
        *map(printable, notes),  # they name columns and problems of foreign files
        sep="\nreplay: ",
        file=sys.stderr,
    )


def _demands(spec: ReplaySpec) -> Demands:
    asked = {one.name: Scored(one.model.scale == "probability", one.model.outcome) for one in spec.verifiers}
    own = next((asked[one.name] for one in spec.verifiers if one.column is None), None)
    generator = spec.generator
    return Demands(
        scored=own is not None,
        probabilities=own is not None and own.probabilities,
        outcome=own is not None and own.outcome,
        named={one.name: asked[one.name] for one in spec.verifiers if one.column is not None},
        at_least=generator.at_least or 1,
        distinct=generator.repetitions == "all",
        budgets=generator.budgets or (),
        shuffled=generator.shuffled == "report",
        graded=generator.grades == "graded",
        voted=generator.selectors is None or any(not SELECTORS[name].oracle for name in generator.selectors),
    )


def _write(
    spec: ReplaySpec, problems: Sequence[Target], found: Pool, notes: Sequence[str], files: Namespace
) -> None:
    count = cache(_counter(spec.generator, Path(spec.mirror) if spec.mirror else None))
    texts = {one.problem_id: one.prompt for one in problems}
    rows = [
        (problem, number, solution)
        for problem, members in found.solutions.items()
        for number, (_, solution) in enumerate(members)
    ]
    prompts = [
        count(texts[problem]) if solution.prompt_tokens is None else solution.prompt_tokens
        for problem, _, solution in rows
    ]
    tokens = [
        solution.tokens if solution.tokens is not None else count(solution.text) for *_, solution in rows
    ]
    steps = [_texts(solution, scored=bool(spec.verifiers)) for *_, solution in rows]
    step_tokens = [_parts(parts, total) for parts, total in zip(steps, tokens, strict=True)]
    if spec.generator.continuation:
        steps = [
            [texts[problem] + first, *rest] for (problem, *_), (first, *rest) in zip(rows, steps, strict=True)
        ]
    policy = _shape(spec.policy.size)
    keys: dict[str, list[object]] = {
        "problem_id": [problem for problem, *_ in rows],
        "candidate": [number for _, number, _ in rows],
    }
    searched = spec.generator.budgets is not None
    columns: dict[str, list[object]] = {
        **keys,
        "steps": list(steps),
        "step_tokens": list(step_tokens),
        "finish": ["length" if solution.truncated else "stop" for *_, solution in rows],
        "prompt_tokens": list(prompts),
        "tokens": list(tokens),
        "logprob": [None] * len(rows),
        "source": [solution.place for *_, solution in rows],
        "budget": [solution.budget if searched else None for *_, solution in rows],
        "run": [solution.run if searched else None for *_, solution in rows],
        "thinking_tokens": [solution.thinking for *_, solution in rows],
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
    write_ledger(files.ledger, totals, policy, notes, here=False)
    read = [prompt + total for prompt, total in zip(prompts, tokens, strict=True)]
    for one, path, ledger_path in zip(spec.verifiers, files.scores[::2], files.scores[1::2], strict=True):
        scores = [
            list((solution.scores if one.column is None else solution.named_scores[one.name]) or ())
            for *_, solution in rows
        ]
        model = _shape(one.model.size)
        columns = {**keys, "step_scores": list(scores), "verifier_tokens": list(read)}
        write_table(path, columns, SCORES, {"model": model})
        took: dict[str, float] = {"candidates": len(rows), "verifier_tokens": sum(read)}
        # Nothing was said, so there was nothing to score.
        if unscored := scores.count([]):
            took["too_long"] = unscored
        write_ledger(ledger_path, took, model, here=False)


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
        path = located(named.model) / "tokenizer.json"
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
