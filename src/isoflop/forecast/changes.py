"""Which jobs a change of the config repeats, key by key."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from isoflop.config.differences import Difference, differences, plain, with_keys_of
from isoflop.config.loading import build_config
from isoflop.config.study import Config
from isoflop.errors import UserError
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.jobs import StageJob, needed_jobs
from isoflop.pipeline.left import WorkLeft
from isoflop.pipeline.plan import Plan


@dataclass(frozen=True)
class Effect:
    """What a change does to jobs: it repeats some `first`, others `follow` from those; new and gone ones."""

    first: tuple[StageJob, ...] = ()
    follow: tuple[StageJob, ...] = ()
    new: tuple[StageJob, ...] = ()
    gone: tuple[StageJob, ...] = ()

    def __str__(self) -> str:
        """`sample and 6 jobs`, with `3 new jobs` and `2 jobs less` where there are any; else `nothing`."""
        parts = []
        if self.first:
            stages = Counter(job.stage for job in self.first)
            named = ", ".join(
                stage if count == 1 else f"{stage} ({count})" for stage, count in stages.items()
            )
            parts.append(f"{named} and {_jobs(len(self.follow))}" if self.follow else named)
        if self.new:
            parts.append(_jobs(len(self.new), "new "))
        if self.gone:
            parts.append(f"{_jobs(len(self.gone))} less")
        return "; ".join(parts) or "nothing"


@dataclass(frozen=True)
class Change:
    """A key that differs and what changing it does; several keys that no config could have changed singly."""

    keys: tuple[Difference, ...]
    effect: Effect


def changes(before: Config, after: Config, root: Path = Path()) -> list[Change]:
    """Every key in which two configs of one experiment differ, with what changing it repeats.

    Keys are changed one after the other, each as soon as the config has no fault with it; what remains is one
    change. Folders and files that the configs name are looked for under `root`.
    """
    waiting, made = differences(before, after), []
    state, jobs = plain(before), _jobs_of(before, root)
    while waiting:
        for key in waiting:
            candidate = with_keys_of(state, after, [key.path])
            try:
                config = build_config(candidate, "changed config", root, unpinned=True)
            except UserError:
                continue
            then = _jobs_of(config, root)
            made.append(Change((key,), effect(jobs, then)))
            state, jobs = candidate, then
            waiting.remove(key)
            break
        else:
            made.append(Change(tuple(waiting), effect(jobs, _jobs_of(after, root))))
            waiting = []
    return made


def effect(before: Sequence[StageJob], after: Sequence[StageJob]) -> Effect:
    """What becomes of jobs, each listed after those whose outputs it reads."""
    known = {job.name: job for job in before}
    repeated: set[str] = set()
    made: set[str] = set()
    first, follow, new = [], [], []
    for job in after:
        if job.name not in known:
            new.append(job)
            made.update(job.outputs)
        elif not repeated.isdisjoint(job.inputs):
            follow.append(job)
            repeated.update(job.outputs)
        elif job.spec != known[job.name].spec or not made.isdisjoint(job.inputs):
            first.append(job)
            repeated.update(job.outputs)
    kept = {job.name for job in after}
    return Effect(
        tuple(first), tuple(follow), tuple(new), tuple(job for job in before if job.name not in kept)
    )


def told(before: Config, after: Config, root: Path = Path()) -> str:
    """A line per key that differs, then what all of them do together.

    Results of an experiment of another name are in a folder of their own: all its jobs are new, and the lines
    say what the rest of the config would do under the same name.
    """
    same = after.model_copy(update={"experiment": before.experiment})
    jobs = _jobs_of(same, root)
    lines = []
    if after.experiment != before.experiment:
        names = f"{before.experiment} -> {after.experiment}"
        lines = [f"experiment {names}: {_jobs(len(jobs), 'new ')} in a folder of its own; under one name:"]
    made = changes(before, same, root)
    if not made:
        return "\n".join([*lines, "no key differs: nothing reruns"])
    for change in made:
        lines += [*map(str, change.keys[:-1]), f"{change.keys[-1]}: {change.effect}"]
    total = effect(_jobs_of(before, root), jobs)
    again = len(total.first) + len(total.follow)
    kept = len(jobs) - again - len(total.new)
    lines.append(f"in all: {_jobs(again)} again, {len(total.new)} new, {kept} as they are")
    return "\n".join([*lines, *_requests(Plan(after, root), root)])


def _requests(plan: Plan, root: Path) -> Iterator[str]:
    """How many requests that takes where finished rows are taken up; nothing before there are any."""
    if not any((root / plan.results / stage).is_dir() for stage in ("sample", "search")):
        return
    parts = [
        f"{stage} {left.missing:,} of {left.rows:,}" for stage, left in WorkLeft(plan, root).of_all().items()
    ]
    if parts:
        yield f"requests to make, the rest is there: {', '.join(parts)}"


def as_recorded(text: str, now: Config, root: Path = Path()) -> Config:
    """The config of a finished run from its record; what no result depends on is not in it and is as `now`.

    Raises UserError where the record is no config any more.
    """
    try:
        raw: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"the record of {now.experiment}: not YAML that can be read ({error})") from error
    left_out = plain(now)
    if not isinstance(raw, dict) or not isinstance(raw.get("policies"), dict):
        raise UserError(f"the record of {now.experiment}: is no config")
    raw |= {key: left_out[key] for key in ("shards", "engine_settings", "planning") if key in left_out}
    for name, entry in left_out["policies"].items():
        if "server" in entry and name in raw["policies"]:
            raw["policies"][name]["server"] = entry["server"]
    return build_config(raw, f"the record of {now.experiment}", root, unpinned=True)


def _jobs_of(config: Config, root: Path) -> list[StageJob]:
    plan = Plan(config, root)
    return needed_jobs(plan, comparison_spec(plan) if config.studies else None)


def _jobs(count: int, which: str = "") -> str:
    return f"{count} {which}{'job' if count == 1 else 'jobs'}"
