"""What a changed key repeats, in a study small enough to count by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop import cli
from isoflop.config.loading import build_config
from isoflop.config.study import Config, config_yaml
from isoflop.errors import UserError
from isoflop.forecast.changes import as_recorded, changes, told

# Jobs: problems, 2 sample, 1 score, 2 grade, 2 select, fit, verifier_quality, report, plan_comparison, times.
RAW: dict[str, Any] = {
    "experiment": "demo",
    "seed": 7,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 6}},
    "policies": {"small": {"model": "models/small"}},
    "verifiers": {"prm": {"kind": "math-shepherd", "model": "models/prm"}},
    "generators": {
        "greedy": {"kind": "greedy", "max_tokens": 16},
        "sampling": {"kind": "sampling", "samples": 4, "temperature": 1.0, "max_tokens": 16},
    },
    "budgets": [1, 2, 4],
    "selectors": ["majority", "weighted"],
    "step_aggregations": ["last"],
    "headline": {"selector": "weighted"},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("small", "large", "prm"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raw() -> dict[str, Any]:
    copy: dict[str, Any] = yaml.safe_load(yaml.safe_dump(RAW, sort_keys=False))
    return copy


def config(edit: Callable[[dict[str, Any]], object] = lambda _: None) -> Config:
    content = raw()
    edit(content)
    return build_config(content, "demo.yaml", Path())


Edit = Callable[[dict[str, Any]], object]

KNOWN: dict[str, tuple[Edit, list[str]]] = {
    "nothing": (lambda one: None, ["no key differs: nothing reruns"]),
    "a default written out": (
        lambda one: one.update(bootstrap={"draws": 1000}),
        ["no key differs: nothing reruns"],
    ),
    "temperature": (
        lambda one: one["generators"]["sampling"].update(temperature=0.7),
        [
            "generators.sampling.temperature 1.0 -> 0.7: sample and 8 jobs",
            "in all: 9 jobs again, 0 new, 4 as they are",
        ],
    ),
    "one more selector": (
        lambda one: one["selectors"].append("pass"),
        [
            "selectors [majority, weighted] -> [majority, weighted, pass]: select and 4 jobs",
            "in all: 5 jobs again, 0 new, 8 as they are",
        ],
    ),
    "title": (
        lambda one: one.update(title="New"),
        ["title null -> New: report", "in all: 1 job again, 0 new, 12 as they are"],
    ),
    "planning": (
        lambda one: one.update(planning={"steps": 3}),
        ["planning.steps 8.0 -> 3.0: plan_comparison", "in all: 1 job again, 0 new, 12 as they are"],
    ),
    "bootstrap draws": (
        lambda one: one.update(bootstrap={"draws": 200}),
        [
            "bootstrap.draws 1000 -> 200: fit, verifier_quality and 3 jobs",
            "in all: 5 jobs again, 0 new, 8 as they are",
        ],
    ),
    "seed": (
        lambda one: one.update(seed=8),
        ["seed 7 -> 8: sample (2) and 10 jobs", "in all: 12 jobs again, 0 new, 1 as they are"],
    ),
    "engine settings": (
        lambda one: one.update(engine_settings={"batch_size": 3}, shards=2),
        [
            "shards 1 -> 2: nothing",
            "engine_settings.batch_size 512 -> 3: nothing",
            "in all: 0 jobs again, 0 new, 13 as they are",
        ],
    ),
    "one more policy": (
        lambda one: one["policies"].update(large={"model": "models/large"}),
        [
            "policies.large added: fit, verifier_quality and 3 jobs; 7 new jobs",
            "in all: 5 jobs again, 7 new, 8 as they are",
        ],
    ),
    "a verifier's model": (
        lambda one: one["verifiers"]["prm"].update(model="models/large"),
        [
            "verifiers.prm.model models/prm -> models/large: score and 6 jobs",
            "in all: 7 jobs again, 0 new, 6 as they are",
        ],
    ),
    "a search": (
        lambda one: one["generators"].update(
            tree={"kind": "rebase", "budgets": [2, 4], "max_tokens": 24, "max_step_tokens": 8}
        ),
        [
            "generators.tree added: fit and 3 jobs; 5 new jobs",
            "in all: 4 jobs again, 5 new, 9 as they are",
        ],
    ),
    # More samples must come before the budget that needs them.
    "keys that need one another": (
        lambda one: one.update(
            budgets=[1, 2, 4, 8],
            generators={**one["generators"], "sampling": one["generators"]["sampling"] | {"samples": 8}},
        ),
        [
            "generators.sampling.samples 4 -> 8: sample and 8 jobs",
            "budgets [1, 2, 4] -> [1, 2, 4, 8]: select and 4 jobs",
            "in all: 9 jobs again, 0 new, 4 as they are",
        ],
    ),
    "another name": (
        lambda one: one.update(experiment="other", title="New"),
        [
            "experiment demo -> other: 13 new jobs in a folder of its own; under one name:",
            "title null -> New: report",
            "in all: 1 job again, 0 new, 12 as they are",
        ],
    ),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.usefixtures("root")
def test_a_changed_key_names_its_jobs(name: str) -> None:
    edit, lines = KNOWN[name]
    assert told(config(), config(edit)).splitlines() == lines


@pytest.mark.usefixtures("root")
def test_what_is_added_is_removed_again_by_the_way_back() -> None:
    edit, _ = KNOWN["a search"]
    (found,) = changes(config(edit), config())
    assert str(found.keys[0]) == "generators.tree removed"
    assert str(found.effect) == "fit and 3 jobs; 5 jobs less"


@pytest.mark.usefixtures("root")
def test_keys_that_fit_only_together_are_one_change() -> None:
    def edit(one: dict[str, Any]) -> None:
        one["step_aggregations"] = ["min"]
        one["headline"]["step_aggregation"] = "min"

    assert told(config(), config(edit)).splitlines() == [
        "step_aggregations [last] -> [min]",
        "headline.step_aggregation last -> min: select, verifier_quality and 4 jobs",
        "in all: 6 jobs again, 0 new, 7 as they are",
    ]


@pytest.mark.usefixtures("root")
def test_the_order_of_policies_is_a_difference() -> None:
    def two(one: dict[str, Any]) -> None:
        one["policies"]["large"] = {"model": "models/large"}

    def turned(one: dict[str, Any]) -> None:
        one["policies"] = {"large": {"model": "models/large"}, **one["policies"]}

    (found,) = changes(config(two), config(turned))
    assert str(found.keys[0]) == "policies small, large -> large, small"
    assert "fit" in str(found.effect)


@pytest.mark.usefixtures("root")
def test_a_record_lacks_only_what_no_result_depends_on() -> None:
    now = config(lambda one: one.update(shards=2, planning={"steps": 3}, title="New"))
    record = config_yaml(config())
    assert told(as_recorded(record, now), now).splitlines()[0] == "title null -> New: report"


def test_the_command_compares_two_configs_or_one_with_its_run(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "a.yaml").write_text(yaml.safe_dump(raw(), sort_keys=False))
    (root / "b.yaml").write_text(yaml.safe_dump(raw() | {"title": "<b>"}, sort_keys=False))
    cli.main(["diff", "a.yaml", "b.yaml"])
    assert capsys.readouterr().out.splitlines()[0] == "title null -> <b>: report"
    with pytest.raises(UserError, match=r"results/demo/report\.html does not exist"):
        cli.main(["diff", "a.yaml"])
    (root / "results/demo").mkdir(parents=True)
    text = config_yaml(config(lambda one: one.update(title="<b>"))).replace("<", "&lt;").replace(">", "&gt;")
    (root / "results/demo/report.html").write_text(f"<p>x</p>\n<pre>{text}</pre>\n")
    cli.main(["diff", "a.yaml"])
    assert capsys.readouterr().out.splitlines()[0] == "title <b> -> null: report"


def test_the_report_prints_its_config_where_diff_looks_for_it() -> None:
    template = Path(__file__).parents[2] / "src/isoflop/report/templates/report.html.j2"
    assert template.read_text(encoding="utf-8").count("<pre>{{ spec.config_yaml }}</pre>") == 1
