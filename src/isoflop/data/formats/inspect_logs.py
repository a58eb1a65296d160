"""Logs of inspect_ai: a sample per problem and epoch, graded by its scorers, with what it took.

The solution is what the model said at last, without its thinking. Summaries do not have it: there it is the
answer that the scorer read or, where the scorer repeats the whole text and that is cut, only a part of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from isoflop.config.imports.entries import ImportSource, LogDemands
from isoflop.data.eval_logs import EvalLog, asked, read_logs, said
from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import Solution, field, mapping
from isoflop.errors import UserError

# How inspect_ai writes its grades; what is partly right is neither.
_GRADES = {"C": True, "I": False, "N": False}
_CUT_OFF = ("max_tokens", "model_length")
# A summary's texts are cut to so many characters, with a mark at the end.
_SUMMARY_LENGTH, _SUMMARY_MARK = 1024, "..."
# More words are a whole response, not an answer alone.
_MOST_WORDS = 6
_EXACT = 2**53


def open_logs(source: ImportSource, files: Sequence[tuple[str, Path]]) -> Iterator[tuple[str, list[Row]]]:
    """Name and rows of every log: each sample with what its header says, by epoch.

    Raises UserError naming the log that is not finished, is of another model, was asked otherwise than the
    others of the source or than the config says, or has several scorers of which none is chosen.
    """
    demands = source.log or LogDemands()
    before: tuple[str, Mapping[str, object]] | None = None
    for log in read_logs(files):
        _check_status(log)
        _check_model(log, source.policy, demands)
        settings = _settings(log)
        _check_settings(log, settings, demands)
        if before is not None and before[1] != settings:
            raise UserError(
                f"{log.name}: was asked otherwise ({_shown(settings)}) than {before[0]} "
                f"({_shown(before[1])}), and both are given as policy {source.policy}; make them two policies"
            )
        before = (log.name, settings)
        yield log.name, _of_log(log, demands)


@dataclass(frozen=True)
class _Reading:
    """What is the same for all samples of a log.

    `answers`: whether the scorer says what it read. `shared`: tokens of a sample where only those of the
    whole log are known, read and written.
    """

    model: str
    scorer: str
    summaries: bool
    answers: bool
    run: str
    shared: tuple[int, int] | None


def _of_log(log: EvalLog, demands: LogDemands) -> list[Row]:
    samples = sorted(log.samples, key=lambda row: _whole_number(row[1], "epoch", row[0]) or 0)
    _check_epochs(log, samples)
    kept = []
    for place, sample in samples:
        if sample.get("error") is not None:
            if demands.errors == "refuse":
                raise UserError(
                    f"{place}: ended in an error ({_error(sample['error'])}); its run can be mended with "
                    "`inspect eval-retry`, or the sample left out with `log: {errors: leave_out}`"
                )
            continue
        if sample.get("invalidation") is not None:
            raise UserError(f"{place}: was marked as invalid; run it again, or take it out of the log")
        kept.append((place, sample))
    scorer, model = _scorer(log, kept, demands), str(_of(log.header, "eval").get("model"))
    _check_counted(log, kept, model)
    reading = _Reading(
        model=model,
        scorer=scorer,
        summaries=log.summaries,
        answers=any(_answer(_scores(sample, place).get(scorer)) is not None for place, sample in kept),
        run=str(_of(log.header, "eval").get("run_id", log.name)),
        shared=_shared(log, kept),
    )
    return [(place, {"sample": sample, "reading": reading}) for place, sample in kept]


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """The solution of every sample; raises UserError naming the sample at fault."""
    for place, values in rows:
        reading, sample = values["reading"], mapping(values["sample"], place)
        assert isinstance(reading, _Reading)
        yield _solution(sample, reading, place)


def _solution(sample: Mapping[str, object], reading: _Reading, place: str) -> Solution:
    identifier = field(sample, "id", place)
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise UserError(f"{place}: its id is {identifier!r:.40}; text or a whole number is needed")
    scores = _scores(sample, place)
    if reading.scorer not in scores:
        raise UserError(f"{place}: has no score by {reading.scorer}; it has {', '.join(scores) or 'none'}")
    score = mapping(scores[reading.scorer], f"{place}, score {reading.scorer}")
    correct = _grade(score.get("value"), f"{place}, score {reading.scorer}")
    epoch = sample.get("epoch")
    solution = Solution(
        place=place,
        problem=str(identifier),
        prompt=_prompt(sample, reading, place),
        reference=_reference(sample.get("target"), place),
        steps=("",),
        scores=None,
        tokens=None,
        truncated=sample.get("limit") is not None or _stopped(sample, place) in _CUT_OFF,
        correct=correct,
        seconds=_seconds(sample, place),
        identity=str(sample.get("uuid") or f"{reading.run}/{identifier}/{epoch}"),
    )
    return _with_usage(_with_text(solution, sample, score, reading), sample, reading, place)


def _prompt(sample: Mapping[str, object], reading: _Reading, place: str) -> str | None:
    """What was asked, unless a summary has it cut."""
    text = asked(sample.get("input"), place)
    return None if reading.summaries and _is_cut(text) else text


def _is_cut(text: str) -> bool:
    """Whether a text is as summaries have one that is longer."""
    return len(text) <= _SUMMARY_LENGTH and text.endswith(_SUMMARY_MARK)


def _with_text(
    solution: Solution, sample: Mapping[str, object], score: Mapping[str, object], reading: _Reading
) -> Solution:
    """What the model said, or what of it the scorer repeats."""
    if not reading.summaries:
        return replace(solution, steps=(_completion(sample, solution.place),))
    answer = _answer(score)
    if answer is None:
        # A scorer that says what it read found nothing here; of one that never says it, nothing is known.
        return replace(solution, partial=bool(solution.correct) or not reading.answers)
    if _is_cut(answer):
        return replace(solution, steps=(answer,), partial=True)
    if "\n" in answer or len(answer.split()) > _MOST_WORDS or "\\boxed" in answer:
        return replace(solution, steps=(answer,))
    return replace(solution, steps=(f"\\boxed{{{answer}}}",))


def _with_usage(solution: Solution, sample: Mapping[str, object], reading: _Reading, place: str) -> Solution:
    """The tokens of the model that is studied; a scorer's own model is another's work."""
    usage = sample.get("model_usage")
    if not isinstance(usage, dict) or not usage:
        if reading.shared is None:
            return solution
        return replace(solution, prompt_tokens=reading.shared[0], tokens=reading.shared[1])
    # The service refused to answer where it counted nothing of this model, but something of others.
    own = mapping(usage.get(reading.model, {}), f"{place}, model_usage")
    read_in, written, thought = _counted(own, f"{place}, model_usage")
    return replace(solution, tokens=written, prompt_tokens=read_in, thinking=thought)


def _counted(usage: Mapping[str, object], place: str) -> tuple[int, int, int | None]:
    """Tokens read, written (thoughts included) and of these thought; None where that is not known.

    Services differ in whether what a cache held is part of the input, and thoughts of the output; their total
    tells. Where more is said to be thought than was written, and the total has no room for it, how much was
    thought is not known.
    """
    asked, written, total, thought = (
        _count(usage, (name,), place)
        for name in ("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens")
    )
    whole = asked + _count(usage, ("input_tokens_cache_read", "input_tokens_cache_write"), place)
    ways = [(read_in, wrote) for wrote in (written, written + thought) for read_in in (asked, whole)]
    fitting = [way for way in ways if sum(way) == total]
    sound = [way for way in fitting if thought <= way[1]]
    read_in, wrote = next(iter([*sound, *fitting]), (whole, written))
    known = ("reasoning_tokens" in usage or not usage) and thought <= wrote
    return read_in, wrote, thought if known else None


def _shared(log: EvalLog, samples: Sequence[Row]) -> tuple[int, int] | None:
    """Tokens of a sample, read and written, where the log has only those of all samples."""
    if not samples or any(sample.get("model_usage") for _, sample in samples):
        return None
    usage = _of(_of(log.header, "stats"), "model_usage").get(str(_of(log.header, "eval").get("model")))
    if not isinstance(usage, dict):
        return None
    read_in, written, _ = _counted(usage, f"{log.name}, stats")
    return round(read_in / len(samples)), round(written / len(samples))


def _check_status(log: EvalLog) -> None:
    status = log.header.get("status")
    if status != "success":
        raise UserError(
            f"{log.name}: its status is {status!r:.40}, not success; the samples that a broken run has are "
            "those that were quick, so end it with `inspect eval-retry`"
        )
    if log.header.get("invalidated"):
        raise UserError(f"{log.name}: was marked as invalid; run it again")


def _check_model(log: EvalLog, policy: str, demands: LogDemands) -> None:
    model = str(_of(log.header, "eval").get("model"))
    if demands.model is None and policy in (model, model.rpartition("/")[2]):
        return
    if demands.model != model:
        wanted = f"log.model is {demands.model!r}" if demands.model else f"the policy is called {policy!r}"
        raise UserError(
            f"{log.name}: is of the model {model!r:.80}, and {wanted}; if that is meant, write "
            f"`log: {{model: {model:.80}}}` beside the policy"
        )


def _check_counted(log: EvalLog, samples: Sequence[Row], model: str) -> None:
    """Where tokens are counted, some are the model's; else it goes by another name there."""
    usages = (sample.get("model_usage") for _, sample in samples)
    names = dict.fromkeys(name for usage in usages if isinstance(usage, dict) for name in usage)
    if names and model not in names:
        raise UserError(
            f"{log.name}: no sample counts tokens of its model {model!r:.80}, only of "
            f"{', '.join(map(repr, names))}; if that is the same model, give it that name in the log"
        )


def _settings(log: EvalLog) -> dict[str, object]:
    """How the model was asked, as far as it changes what it writes."""
    found: dict[str, object] = {}
    for part in (_of(log.header, "plan").get("config"), _of(log.header, "eval").get("model_generate_config")):
        found |= part if isinstance(part, dict) else {}
    limits = _of(_of(log.header, "eval"), "config")
    found |= {name: value for name, value in limits.items() if name.endswith("_limit")}
    return {
        name: value for name, value in sorted(found.items()) if value is not None and name not in _INNOCENT
    }


# Settings of the connection, which no answer depends on, and the seed, which only draws other samples.
_INNOCENT = ("max_retries", "timeout", "attempt_timeout", "max_connections", "cache", "batch", "seed")


def _check_settings(log: EvalLog, settings: Mapping[str, object], demands: LogDemands) -> None:
    for name, wanted in demands.settings.items():
        if settings.get(name) != wanted:
            raise UserError(
                f"{log.name}: log.settings says that {name} is {wanted!r}, and the log that it is "
                f"{settings.get(name)!r:.60} ({_shown(settings)})"
            )


def _shown(settings: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value!s:.40}" for name, value in settings.items()) or "no settings"


def _check_epochs(log: EvalLog, samples: Sequence[Row]) -> None:
    """Every sample once, and as many as the run had."""
    places: dict[tuple[object, object], str] = {}
    for place, sample in samples:
        key = (str(field(sample, "id", place)), sample.get("epoch"))
        if key in places:
            raise UserError(f"{place}: is epoch {key[1]} of sample '{key[0]}', as {places[key]} is")
        places[key] = place
    if not samples:
        raise UserError(f"{log.name}: holds no samples")
    total = _of(log.header, "results").get("total_samples")
    if isinstance(total, int) and total != len(samples):
        raise UserError(f"{log.name}: its header says {total} samples, and there are {len(samples)}")


def _scorer(log: EvalLog, samples: Sequence[Row], demands: LogDemands) -> str:
    """The scorer that counts: the one asked for, or the only one."""
    names = list(dict.fromkeys(name for place, sample in samples for name in _scores(sample, place)))
    if demands.scorer is not None:
        if demands.scorer not in names:
            raise UserError(f"{log.name}: has no score by {demands.scorer!r}; it has {', '.join(names)}")
        return demands.scorer
    if len(names) != 1:
        raise UserError(
            f"{log.name}: {'is not scored' if not names else 'has scores by ' + ', '.join(names)}"
            + (f"; say which counts: `log: {{scorer: {names[0]}}}`" if names else "; run `inspect score`")
        )
    return names[0]


def _scores(sample: Mapping[str, object], place: str) -> Mapping[str, object]:
    scores = sample.get("scores")
    return {} if scores is None else mapping(scores, f"{place}, scores")


def _answer(score: object) -> str | None:
    answer = score.get("answer") if isinstance(score, dict) else None
    return answer if isinstance(answer, str) and answer.strip() else None


def _grade(value: object, place: str) -> bool:
    """Whether a score says right or wrong; raises UserError for one that says neither."""
    if isinstance(value, str) and value in _GRADES:
        return _GRADES[value]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise UserError(f"{place}: is {value!r:.60}, neither right (C, 1) nor wrong (I, N, 0)")


def _reference(target: object, place: str) -> str | None:
    """The only target; where there are several, the data set has the one that counts."""
    if isinstance(target, list) and len(target) == 1:
        [target] = target
    if isinstance(target, list):
        return None
    if not isinstance(target, str):
        raise UserError(f"{place}: target is {type(target).__name__}; text is needed")
    return target or None


def _output(sample: Mapping[str, object], place: str) -> Mapping[str, object]:
    """What the model answered at last: the first of its choices; empty where it gave none."""
    output = sample.get("output")
    choices = [] if output is None else mapping(output, f"{place}, output").get("choices") or []
    if not isinstance(choices, list):
        raise UserError(f"{place}, output: choices is {type(choices).__name__}; a list is needed")
    return mapping(choices[0], f"{place}, output") if choices else {}


def _stopped(sample: Mapping[str, object], place: str) -> object:
    return _output(sample, place).get("stop_reason")


def _completion(sample: Mapping[str, object], place: str) -> str:
    message = _output(sample, place).get("message")
    if message is None:
        return ""
    return said(mapping(message, f"{place}, output").get("content"), f"{place}, output")


def _seconds(sample: Mapping[str, object], place: str) -> float | None:
    """How long the sample worked; the whole time, waiting included, where only that is known."""
    for name in ("working_time", "total_time"):
        value = sample.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _EXACT:
            raise UserError(f"{place}: {name} is {value!r:.40}; a number of seconds is needed")
        return float(value)
    return None


def _whole_number(values: Mapping[str, object], name: str, place: str) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _EXACT:
        raise UserError(f"{place}: {name} is {value!r:.40}; a whole number is needed")
    return value


def _count(values: Mapping[str, object], names: Sequence[str], place: str) -> int:
    return sum(_whole_number(values, name, place) or 0 for name in names)


def _of(values: Mapping[str, object], name: str) -> Mapping[str, object]:
    """A part of a header; empty where it has none."""
    part = values.get(name)
    return part if isinstance(part, dict) else {}


def _error(error: object) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return str(text).strip().split("\n", 1)[0][:160]


FORMAT = ImportFormat(name="inspect", order=7, read=read, open=open_logs)
