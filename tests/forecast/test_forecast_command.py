"""`make plan`: every shipped config, a study of the papers' models without a network, and what it refuses."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from isoflop import cli
from isoflop.config.loading import build_config, load_config
from isoflop.errors import UserError
from isoflop.files import write_table, write_text
from isoflop.forecast.command import make_forecast
from isoflop.forecast.tables import as_csv, as_json, as_text
from isoflop.pipeline.plan import Plan
from isoflop.tables import CANDIDATES, PROBLEMS

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Of the kind that the papers have: hub models that are not here, several data sets, programs, a training.
PAPER = f"""
experiment: paper
seed: 1
datasets:
  gsm8k: &hub
    source: hub
    repo: owner/data
    split: test
    revision: {COMMIT}
    files: [{{path: test.jsonl, sha256: {"a" * 64}}}]
    fields: {{prompt: question, answer: answer}}
    grader: number
  math500: {{<<: *hub, limit: 500, grader: math}}
  mbpp: {{<<: *hub, fields: {{prompt: text, tests: [test_list]}}, grader: code}}
  train: {{<<: *hub, fields: {{prompt: question, answer: answer, solution: answer}}}}
policies:
  pythia-70m: {{trained: pythia-70m-sft}}
  pythia-12b: {{model: EleutherAI/pythia-12b, revision: {COMMIT}, engine: vllm, dtype: bfloat16}}
  llemma-34b: {{model: EleutherAI/llemma_34b, revision: {COMMIT}, engine: vllm, dtype: bfloat16, gpus: 2}}
verifiers:
  reward: {{kind: llemma-rm, model: owner/llemma-7b-prm, revision: {COMMIT}, engine: vllm, dtype: bfloat16}}
generators:
  greedy: {{kind: greedy, max_tokens: 512}}
  sampling: {{kind: sampling, samples: 256, max_tokens: 512}}
  rebase: {{kind: rebase, budgets: [16, 64], max_tokens: 512, max_step_tokens: 128}}
budgets: [1, 16, 256]
selectors: [majority, weighted]
step_aggregations: [last]
headline: {{selector: weighted}}
training:
  pythia-70m-sft:
    kind: policy
    init: {{model: EleutherAI/pythia-70m, revision: {COMMIT}}}
    data: {{dataset: train, held_out: train}}
    epochs: 1
    batch_size: 8
    learning_rate: 1e-5
    seed: 1
planning:
  gpu: A100-80
  datasets: {{gsm8k: {{problems: 1319, solution_tokens: 170}}, math500: {{solution_tokens: 290}}}}
"""


def paper(**changes: Any) -> Plan:
    raw = yaml.safe_load(PAPER.replace("1e-5", "0.00001"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        holder = raw
        for part in parents:
            holder = holder[part]
        holder[last] = value
    return Plan(build_config(raw, "paper.yaml", Path()))


SHIPPED = [(ROOT / "config.yaml",), *((path,) for path in sorted((ROOT / "configs").glob("*.yaml")))]
ON_TOP = [(ROOT / "configs" / "smollm2-gsm8k.yaml", ROOT / "configs" / "overlays" / "smollm2-sizes.yaml")]


@pytest.mark.parametrize("paths", SHIPPED + ON_TOP, ids=str)
def test_every_shipped_config_can_be_planned(
    paths: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    plan = Plan(load_config(paths, unpinned=True))
    # No results here, so nothing is measured or done; models are those of the repository.
    plan.results = str(tmp_path)
    forecast = make_forecast(plan, Path(), offline=True)
    content = json.loads(as_json(forecast))
    assert content["total"]["jobs"] == len(content["jobs"]) > 0
    runs = plan.config.training or any(policy.runs for policy in plan.config.policies.values())
    assert (content["total"]["flops"] > 0) is bool(runs)
    assert content["total"]["done"] == 0
    lines = as_text(forecast).splitlines()
    assert lines[0].startswith(plan.config.experiment)
    if paths[0].name == "config.yaml":
        assert content["faults"] == []
        assert [content["stages"][stage]["jobs"] for stage in ("sample", "search", "score")] == [8, 8, 4]


def test_a_package_that_is_not_installed_has_its_size_from_its_files_name() -> None:
    raw = yaml.safe_load((ROOT / "configs" / "smollm2-small.yaml").read_text(encoding="utf-8"))
    raw["policies"]["smollm2-135m"]["package"] = "nobody-has-this"
    forecast = make_forecast(Plan(build_config(raw, "small.yaml", ROOT)), Path(), offline=True)
    assert "policies.smollm2-135m: 135,000,000 parameters, assumed from its name (135M)" in forecast.notes


def test_a_study_of_the_papers_models_without_a_network(tmp_path: Path) -> None:
    plan = paper()
    plan.results = str(tmp_path)
    forecast = make_forecast(plan, Path(), offline=True)
    content = json.loads(as_json(forecast))
    assert content["faults"] == []
    stages = {name: one["jobs"] for name, one in content["stages"].items()}
    assert stages == {
        "problems": 4, "train": 1, "sample": 18, "search": 18, "gather_trees": 9, "score": 9, "grade": 27,
        "select": 27, "fit": 1, "report": 1,
    }  # fmt: skip
    [job] = [
        one
        for one in content["jobs"]
        if (one["stage"], one["dataset"], one["policy"], one["generator"])
        == ("sample", "gsm8k", "llemma-34b", "sampling")
    ]
    assert job["written"] == 1319 * 256 * 170
    assert job["gpus"] == 2
    # 2 N FLOPs a token, and attention.
    assert 2 * 34e9 < job["flops"] / job["written"] < 1.1 * 2 * 34e9
    text = as_text(forecast)
    for part in (
        "gsm8k: 1,319 problems, assumed (planning.datasets.gsm8k.problems)",
        "math500: 500 problems, the limit of datasets.math500",
        "mbpp: 1,000 problems, assumed (planning.problems)",
        "policies.llemma-34b: 34,000,000,000 parameters, assumed from its name (34b)",
        "training.pythia-70m-sft: 70,000,000 parameters, assumed from its name (70m)",
        "gsm8k, llemma-34b: prompt 200 and solution 170 tokens",
        "rebase: GPUs of llemma-34b and reward: they take 3, each its own: memory_shares add up to 1.8",
    ):
        assert part in text, text
    rows = list(csv.DictReader(io.StringIO(as_csv(forecast))))
    assert len(rows) == content["total"]["jobs"]
    assert sum(float(row["gpu_hours"]) for row in rows) == pytest.approx(content["total"]["gpu_hours"])


def test_chains_and_training_on_them_are_in_the_plan(tmp_path: Path) -> None:
    recipe = {"kind": "policy", "epochs": 1, "batch_size": 8, "learning_rate": 0.1, "seed": 1}
    usual = {"problems": "train", "policy": "pythia-12b", "max_tokens": 64}
    extra = {
        "generators__chains": {
            "kind": "revisions", "chains": 4, "length": 4, "max_tokens": 64,
            "only": {"policies": ["reviser"]}, "verifiers": ["orm"],
        },
        "revisions": {"wrong": usual | {"samples_per_problem": 8}},
        "chain_labels": {"judged": usual | {"policy": "reviser", "chains": 2, "length": 2}},
        "policies__reviser": {"trained": "reviser"},
        "verifiers__orm": {"kind": "causal-orm", "trained": "orm", "history": 4},
        "training__reviser": recipe | {
            "init": {"trained": "pythia-70m-sft"}, "data": {"revisions": "wrong", "held_out": "wrong"},
        },
        "training__orm": recipe | {
            "kind": "prm", "init": {"trained": "reviser"},
            "data": {"chain_labels": "judged", "held_out": "judged"},
        },
    }  # fmt: skip
    usual_policies = ["pythia-70m", "pythia-12b", "llemma-34b"]
    for name in ("greedy", "sampling", "rebase"):
        extra[f"generators__{name}__only"] = {"policies": usual_policies}
    extra["generators__sampling__verifiers"] = ["reward"]
    before, plan = paper(), paper(**extra)
    before.results = plan.results = str(tmp_path)
    forecast, usually = (make_forecast(one, Path(), offline=True) for one in (plan, before))
    content, unchanged = (json.loads(as_json(one)) for one in (forecast, usually))
    more = [
        one for one in content["jobs"] if one["output"] not in {job["output"] for job in unchanged["jobs"]}
    ]
    with_models = {one["output"]: one for one in more if one["flops"]}
    assert {one["stage"] for one in with_models.values()} == {
        "trajectories", "chain_labels", "train", "revise", "score",
    }  # fmt: skip
    revise = with_models["sample/gsm8k/reviser/chains.parquet"]
    # Chains of 4, 4, 4 and 4 answers of up to 64 tokens.
    assert (revise["requests"], revise["written"]) == (1319 * 16, 1319 * 16 * 64)
    score = with_models["score/gsm8k/reviser/chains/orm.parquet"]
    assert score["judged"] > 1319 * 4 * (4 * 200 + (1 + 2 + 3 + 4) * 64)
    jobs = {name: one["jobs"] for name, one in content["stages"].items()}
    # On three data sets: chains of three lengths.
    assert (jobs["grade"], jobs["select"]) == (27 + 3, 27 + 9)
    assert {job["generator"] for job in content["jobs"] if job["stage"] in ("sample", "score")} == {
        "greedy", "sampling", "chains",
    }  # fmt: skip


def test_models_that_do_not_fit_are_told_by_key() -> None:
    faults = make_forecast(paper(planning__gpu="L4"), Path(), offline=True).faults
    assert [fault.split(":")[0] for fault in faults] == ["policies.pythia-12b", "policies.llemma-34b"]
    assert "1 x L4 at memory_share 0.9 has 21.6 GB" in faults[0]


def test_a_size_that_nothing_tells_is_asked_for() -> None:
    model = {"model": "owner/large", "revision": COMMIT}
    with pytest.raises(
        UserError, match=r"size of policies\.large \(owner/large\) is not known.*planning\.sizes"
    ):
        make_forecast(paper(policies__large=model), Path(), offline=True)
    size = {"parameters": 10**9, "layers": 16, "attention_width": 2048}
    plan = paper(policies__large=model, planning__sizes={"large": size})
    assert any("of planning.sizes" in note for note in make_forecast(plan, Path(), offline=True).notes)


TINY = """\
experiment: tiny
seed: 1
datasets: {words: {source: wordproblems, split: test, size: 4}}
policies: {small: {model: models/small-1M}}
generators:
  greedy: {kind: greedy, max_tokens: 24}
  sampling: {kind: sampling, samples: 4, temperature: 1.0, max_tokens: 24}
budgets: [1, 2, 4]
selectors: [majority]
headline: {selector: majority}
planning: {gpu: cpu, solution_tokens: 20}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/small-1M").symlink_to(ROOT / "resources/models/policy-0.1M")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish_sampling(folder: Path) -> None:
    """Sampling's output and ledger: four candidates of 10 tokens and two steps on each of four problems."""
    base = folder / "results/tiny/sample/words/small/sampling"
    rows = 16
    columns: dict[str, list[object]] = {
        "problem_id": [str(row // 4) for row in range(rows)],
        "candidate": [row % 4 for row in range(rows)],
        "steps": [["a", "b"]] * rows,
        "step_tokens": [[5, 5]] * rows,
        "finish": ["stop"] * rows,
        "prompt_tokens": [30] * rows,
        "tokens": [10] * rows,
        **{name: [None] * rows for name in ("logprob", "source", "budget", "run")},
    }
    write_table(base.with_suffix(".parquet"), columns, CANDIDATES, {})
    ledger = {"candidates": rows, "prompt_tokens": 30 * rows, "generated_tokens": 10 * rows, "seconds": 2.0}
    write_text(base.with_name("sampling.ledger.json"), json.dumps(ledger))


def test_the_command_prints_and_writes_the_plan(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["plan", "--offline", "tiny.yaml"])
    shown = capsys.readouterr().out
    assert "core-hours" in shown
    assert "still to do" not in shown
    content = json.loads((tiny / "results/tiny/plan.json").read_text(encoding="utf-8"))
    assert content["planning"]["gpu"] == "cpu"
    assert [one["stage"] for one in content["jobs"]].count("sample") == 2
    assert not list((tiny / "results/tiny").glob(".*"))
    cli.main(["plan", "--offline", "--format", "json", "tiny.yaml"])
    assert json.loads(capsys.readouterr().out) == content
    cli.main(
        [
            "plan",
            "--offline",
            "--format",
            "csv",
            "tiny.yaml",
            "--config",
            "planning={solution_tokens: 10}",
            "seed=2",
        ]
    )
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert float(rows[1]["written"]) == 4 * 4 * 10


def test_what_is_done_is_marked_and_what_was_measured_is_used(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish_sampling(tiny)
    cli.main(["plan", "--offline", "tiny.yaml"])
    shown = capsys.readouterr().out
    assert "still to do" in shown
    assert (
        "words, small: prompt 30 and solution 10 tokens, 2.0 steps (measured by sampling's ledger)" in shown
    )
    jobs = json.loads((tiny / "results/tiny/plan.json").read_text(encoding="utf-8"))["jobs"]
    assert [one["output"] for one in jobs if one["done"]] == ["sample/words/small/sampling.parquet"]
    greedy = next(one for one in jobs if one["generator"] == "greedy")
    assert (greedy["read"], greedy["written"]) == (4 * 30, 4 * 10)


def test_a_table_of_problems_says_how_many_there_are(tiny: Path) -> None:
    columns: dict[str, list[object]] = {
        "problem_id": ["a", "b"],
        "prompt": ["How many?", "How many?"],
        "answer": ["1", "2"],
        **{name: [None] * 2 for name in ("level", "subject", "solution")},
    }
    write_table(tiny / "results/tiny/problems/words.parquet", columns, PROBLEMS, {})
    generated = yaml.safe_load(TINY)
    published = generated | {"datasets": {"words": yaml.safe_load(PAPER)["datasets"]["gsm8k"]}}
    of_config = make_forecast(Plan(build_config(generated, "tiny.yaml", tiny)), tiny, offline=True)
    assert "words: 4 problems, generated" in of_config.notes
    forecast = make_forecast(Plan(build_config(published, "tiny.yaml", tiny)), tiny, offline=True)
    assert "words: 2 problems, of its table" in forecast.notes


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tiny.yaml", "--config", "seed"], "--config: 'seed' is not KEY=VALUE"),
        (["tiny.yaml", "--config", "planning={gpu: [}"], "cannot be read as YAML"),
        (["tiny.yaml", "--config", "planning={gpu: H1000}"], "planning.gpu: 'H1000' is not allowed"),
        (["none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_bad_arguments_are_refused(tiny: Path, arguments: list[str], says: str) -> None:
    with pytest.raises(UserError) as caught:
        cli.main(["plan", *arguments])
    assert says in str(caught.value)


def test_a_broken_ledger_is_refused_by_name(tiny: Path) -> None:
    finish_sampling(tiny)
    ledger = tiny / "results/tiny/sample/words/small/sampling.ledger.json"
    for content in ("{", "[]", '{"candidates": 0}', '{"candidates": "x"}'):
        ledger.write_text(content)
        with pytest.raises(UserError, match=r"sampling\.ledger\.json"):
            cli.main(["plan", "--offline", "tiny.yaml"])


def test_a_model_that_does_not_fit_ends_with_an_error_after_the_plan(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny / "models/small-1M").unlink()
    (tiny / "tiny.yaml").write_text(
        TINY.replace("models/small-1M", f"owner/huge-70b, revision: {COMMIT}").replace("gpu: cpu", "gpu: L4")
    )
    with pytest.raises(UserError, match=r"planned for L4: policies\.small: needs 280\.0 GB"):
        cli.main(["plan", "--offline", "tiny.yaml"])
    assert "Does not fit" in capsys.readouterr().out


def test_limits_of_generators_are_in_the_plan(tmp_path: Path) -> None:
    plan = Plan(load_config([ROOT / "configs/wu2024.yaml"], unpinned=True))
    plan.results = str(tmp_path)
    jobs = json.loads(as_json(make_forecast(plan, Path(), offline=True)))["jobs"]
    of = [(job["dataset"], job["policy"], job["generator"], job["budget"]) for job in jobs]
    searched = {one for one in of if one[3] is not None}
    assert ("gsm8k", "llemma-34b", "rebase", 64) in searched
    assert ("gsm8k", "llemma-34b", "rebase", 128) not in searched
    assert {one[1] for one in searched if one[2] == "mcts"} == {"llemma-7b", "llemma-34b"}
    assert {one[1] for one in searched if one[0] == "mbpp"} == {"llama-3-8b"}
    samples = {
        job["policy"]: job for job in jobs if job["stage"] == "sample" and job["generator"] == "sampling"
    }
    assert samples["llemma-34b"]["requests"] < samples["llemma-7b"]["requests"]
