"""What models are trained on, the losses, the optimizer, and the training stage for real on a tiny scale."""

import copy
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from problem_tables import write_problems
from transformers import AutoModelForCausalLM, TrainerState

from isoflop.checkpoint_files.note import read_note
from isoflop.data.word_problems import generate_problems, true_steps
from isoflop.engines.checkpoints import context_length, load_tokenizer, model_shape, saved_parameters
from isoflop.errors import UserError
from isoflop.files import read_table, write_table
from isoflop.growth.measured import read_times
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.specs import TrainSpec
from isoflop.stages import step_labels, train
from isoflop.tables import LABELS, PROBLEMS
from isoflop.training import start as training_start
from isoflop.training.examples import (
    IGNORED,
    ScoredSolution,
    collate,
    encode_policy_examples,
    encode_prm_examples,
)
from isoflop.training.model_card import TrainingRecord, card, thin
from isoflop.training.muon import Muon, MuonWithAdamW, orthogonalize
from isoflop.training.word_tokenizer import build_tokenizer
from isoflop.verifiers.layouts import token_id

TOKENIZER = build_tokenizer()


def test_only_the_solution_carries_loss() -> None:
    [problem] = generate_problems("train", 1, seed=1)
    [example] = encode_policy_examples(TOKENIZER, "{problem}\n", [(problem.prompt, problem.solution)], 300)
    learnt = [token for token in example["labels"] if token != IGNORED]
    assert TOKENIZER.decode(learnt) == problem.solution + "</s>"
    assert TOKENIZER.decode(example["input_ids"][:1]) == "<s>"
    assert example["input_ids"][-len(learnt) :] == learnt
    prompt = example["input_ids"][: -len(learnt)]
    assert TOKENIZER.decode(prompt[1:]) == problem.prompt + "\n"


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="max_length is 10"):
        encode_policy_examples(TOKENIZER, "{problem}\n", [("Mia has 14 apples.", "Mia has 14 apples.")], 10)


def test_long_examples_are_left_out_only_where_that_is_asked_for() -> None:
    tokenizer = build_tokenizer()
    pairs = [("Mia has 3 apples.", "3 + 1 = 4\n" * 9), ("Mia has 3 apples.", "4\n")]
    [kept] = encode_policy_examples(tokenizer, "{problem}\n", pairs, 20, drop=True)
    assert kept["row"] == 1
    solutions = [ScoredSolution("Mia has 3 apples.", (steps,), (0.5,)) for _, steps in pairs]
    [kept] = encode_prm_examples(tokenizer, "{problem}\n", " +", solutions, 20, drop=True)
    assert kept["row"] == 1
    with pytest.raises(UserError, match="no training example has at most 3 tokens"):
        encode_policy_examples(tokenizer, "{problem}\n", pairs, 3, drop=True)


def test_soft_labels_sit_at_the_tags() -> None:
    solution = ScoredSolution("Mia has 3 apples.", ("Tom has 4.\n", "The answer is 4.\n"), (0.75, 0.25))
    [example] = encode_prm_examples(TOKENIZER, "{problem}\n", " ки", [solution], 100)
    places = [place for place, label in enumerate(example["labels"]) if label >= 0]
    assert [example["input_ids"][place] for place in places] == [token_id(TOKENIZER, " ки")] * 2
    assert [example["labels"][place] for place in places] == [0.75, 0.25]


def test_collation_pads_on_the_right_and_says_so() -> None:
    batch = collate(0)(
        [{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [8], "labels": [8]}]
    )
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 6, 7], [8, IGNORED, IGNORED]]


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_muon_agrees_with_torch(shape: tuple[int, int]) -> None:
    """Ours is float32 and batched, torch's bfloat16 and one by one: the same steps but for rounding."""
    torch.manual_seed(1)
    starts = [torch.randn(shape) for _ in range(3)]
    ours = [torch.nn.Parameter(start.clone()) for start in starts]
    theirs = [torch.nn.Parameter(start.clone()) for start in starts]
    optimizers = (
        Muon(ours, 0.01, 0.1),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(5):
        gradients = [torch.randn(shape) for _ in starts]
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for start, mine, other in zip(starts, ours, theirs, strict=True):
        moved = float((other - start).detach().norm())
        assert float((mine - other).detach().norm()) < 0.03 * moved


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(2)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(4, 12, 30)))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3


def test_the_optimizer_follows_schedules_and_restores() -> None:
    def problem() -> tuple[torch.nn.Module, MuonWithAdamW]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Embedding(7, 8), torch.nn.Linear(8, 7))
        return model, MuonWithAdamW(model, 0.02, 0.01)

    def steps(model: torch.nn.Module, optimizer: MuonWithAdamW, count: int) -> float:
        ids = torch.arange(7)
        for _ in range(count):
            loss = torch.nn.functional.cross_entropy(model(ids), ids)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return float(loss.detach())

    model, optimizer = problem()
    before = [parameter.clone() for parameter in model.parameters()]
    first = steps(model, optimizer, 1)
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    saved, weights = copy.deepcopy((optimizer.state_dict(), model.state_dict()))
    final = steps(model, optimizer, 60)
    assert final < 0.5 * first
    other, restored = problem()
    other.load_state_dict(weights)
    restored.load_state_dict(saved)
    assert steps(other, restored, 60) == pytest.approx(final, rel=1e-5)
    schedule = torch.optim.lr_scheduler.LambdaLR(restored, lambda step: 0.0)
    frozen = [parameter.clone() for parameter in other.parameters()]
    steps(other, restored, 2)
    assert all(torch.equal(old, new) for old, new in zip(frozen, other.parameters(), strict=True))
    assert schedule.get_last_lr() == [0.0, 0.0]


def test_saved_and_loaded_sizes_agree(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "tied")
    model = AutoModelForCausalLM.from_pretrained(folder)
    shape = model_shape(model)
    assert shape.parameters == saved_parameters(tmp_path / "tied")
    assert shape.embedding_parameters == 32 * len(TOKENIZER)
    assert (shape.layers, shape.attention_width) == (2, 32)


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"max_position_embeddings": 512, "sliding_window": None}, 512),
        ({"max_position_embeddings": 512, "sliding_window": 64}, 64),
        ({"max_position_embeddings": 512, "sliding_window": 64, "use_sliding_window": False}, 512),
        ({}, None),
    ],
)
def test_context_ends_where_attention_is_no_longer_full(
    config: dict[str, object], length: int | None
) -> None:
    assert context_length(SimpleNamespace(config=SimpleNamespace(**config))) == length


def test_thin_keeps_the_ends() -> None:
    points = [(step, float(step)) for step in range(100)]
    kept = thin(points, 10)
    assert len(kept) == 10
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert thin(points[:5], 10) == points[:5]


def train_spec(kind: str, **changes: object) -> str:
    recipe: dict[str, object] = {
        "kind": kind,
        "init": {
            "architecture": {
                "hidden_size": 32,
                "layers": 1,
                "heads": 2,
                "kv_heads": 1,
                "intermediate_size": 64,
            }
        },
        "data": {"dataset": "a", "held_out": "b"} if kind == "policy" else {"labels": "a", "held_out": "b"},
        "epochs": 1,
        "batch_size": 8,
        "learning_rate": 0.01,
        "seed": 1,
        **changes,
    }
    return json.dumps(
        {"name": "tiny", "training": recipe, "grader": "number", "regenerate": "make it", "version": 1}
    )


def test_policies_labels_and_a_reward_model_end_to_end(tmp_path: Path) -> None:
    write_problems(tmp_path / "train.parquet", "train", 64, seed=3, levels=(1, 2))
    write_problems(tmp_path / "dev.parquet", "dev", 16, seed=3, levels=(1, 2))
    paths = [str(tmp_path / "train.parquet"), str(tmp_path / "dev.parquet")]
    policy = tmp_path / "policy"
    train.main([train_spec("policy", optimizer="muon", epochs=3, held_out_samples=2), *paths, str(policy)])
    card = (policy / "README.md").read_text(encoding="utf-8")
    accuracies = dict(re.findall(r"accuracy at temperature 1, ([a-z0-9 ]+) \| (\S+) \|", card))
    assert list(accuracies) == ["all levels", "level 1", "level 2"]
    shares = [float(accuracies[name]) for name in accuracies]
    assert shares[0] == pytest.approx((shares[1] + shares[2]) / 2)
    assert all(round(share * 16, 6) == int(round(share * 16, 6)) for share in shares[1:])
    assert "make it" in card
    assert "Loss curve" in card
    losses = [
        float(line.split("|")[2]) for line in card.split("## Loss curve")[1].splitlines()[4:-6] if "|" in line
    ]
    assert losses[-1] < losses[0] - 0.4
    assert not list(tmp_path.glob(".*.work"))
    assert AutoModelForCausalLM.from_pretrained(policy).config.vocab_size == len(
        load_tokenizer(str(policy), None)
    )
    note = read_note(policy)
    assert note is not None
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(note.files)
    assert note.convention is None

    entry = {"model": str(policy)}
    spec = {
        "name": "l", "policies": {"p": entry}, "grader": "number", "seed": 1, "version": 1,
        "label": {"problems": "a", "policies": ["p"], "samples_per_problem": 3, "completer": "p",
                  "rollouts": 2, "max_tokens": 40},
    }  # fmt: skip
    step_labels.main([json.dumps(spec), paths[1], str(tmp_path / "labels.parquet")])
    rows = read_table(tmp_path / "labels.parquet", LABELS).to_pylist()
    assert {row["problem_id"] for row in rows} == {f"dev-{place:05d}" for place in range(16)}
    for row in rows:
        assert len(row["labels"]) == len(row["steps"])
        # Of two rollouts, or of the completer's own three solutions where they begin alike.
        shares = (0.0, 1 / 3, 1 / 2, 2 / 3, 1.0)
        assert all(min(abs(label - share) for share in shares) < 1e-6 for label in row["labels"])
        assert row["truth"] == true_steps(row["prompt"], row["steps"])


def test_a_reward_model_learns_from_soft_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps that are plainly true or plainly broken: the stage must learn to tell them apart."""
    rows: dict[str, list[object]] = {name: [] for name in LABELS.names}
    for problem in generate_problems("train", 160, seed=4, levels=(1,)):
        steps = problem.solution.splitlines(keepends=True)
        for broken in (False, True):
            written = [steps[0].replace(" = ", " + ") if broken else steps[0], steps[1]]
            rows["problem_id"].append(problem.problem_id)
            rows["prompt"].append(problem.prompt)
            rows["policy"].append("p")
            rows["steps"].append(written)
            rows["labels"].append([0.1, 0.1] if broken else [0.9, 0.9])
            rows["truth"].append([not broken] * 2)
    write_table(tmp_path / "labels.parquet", rows, LABELS, {})
    labels = str(tmp_path / "labels.parquet")
    train.main(
        [
            train_spec("prm", epochs=4, optimizer="muon", save_dtype="float16"),
            labels,
            labels,
            str(tmp_path / "prm"),
        ]
    )
    card = (tmp_path / "prm" / "README.md").read_text(encoding="utf-8")
    auc = float(card.split("step AUC, solutions of p |")[1].split("|")[0])
    assert auc > 0.95


def test_an_outcome_model_learns_whole_answers_at_more_positions(tmp_path: Path) -> None:
    """Right and wrong last lines, which the tag after the whole answer must tell apart."""
    rows: dict[str, list[object]] = {name: [] for name in LABELS.names}
    for problem in generate_problems("train", 96, seed=4, levels=(1,)):
        for right in (False, True):
            rows["problem_id"].append(problem.problem_id)
            rows["prompt"].append(f"{problem.prompt}\n\n{problem.solution}")
            rows["policy"].append("p")
            rows["steps"].append([problem.solution if right else "How many?\n"])
            rows["labels"].append([float(right)])
            rows["truth"].append(None)
    write_table(tmp_path / "labels.parquet", rows, LABELS, {})
    labels = str(tmp_path / "labels.parquet")
    settings = {
        "init": {"model": save_tiny(tmp_path / "start"), "positions": 700},
        "data": {"chain_labels": "a", "held_out": "b"},
        "max_length": 700,
    }
    train.main(
        [train_spec("prm", epochs=4, optimizer="muon", **settings), labels, labels, str(tmp_path / "orm")]
    )
    note = read_note(tmp_path / "orm")
    assert note is not None
    assert note.convention is not None
    assert (note.convention.outcome, note.convention.prompt) == (True, "{problem}\n")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "orm").config.max_position_embeddings == 700
    assert load_tokenizer(str(tmp_path / "orm"), None).model_max_length == 700
    card = (tmp_path / "orm" / "README.md").read_text(encoding="utf-8")
    assert "An outcome reward model" in card
    assert "right or wrong, with the answers before them" in card
    assert float(card.split("\n| AUC, solutions of p |")[1].split("|")[0]) > 0.95


@pytest.mark.parametrize("rotary", [None, {"rope_type": "yarn", "factor": 4.0}])
def test_only_plain_rotary_positions_can_be_more(rotary: dict[str, object] | None) -> None:
    model = SimpleNamespace(config=SimpleNamespace(rope_parameters=rotary, max_position_embeddings=512))
    with pytest.raises(UserError, match="x has no plain rotary positions; leave positions out"):
        training_start._set_positions(model, SimpleNamespace(), 700, "x")


def test_problems_without_solutions_cannot_be_learnt_from(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "problem_id": ["a"], "prompt": ["b"], "answer": ["1"], "level": [None], "subject": [None],
        "solution": [None],
    }  # fmt: skip
    write_table(tmp_path / "p.parquet", columns, PROBLEMS, {})
    with pytest.raises(UserError, match=r"p\.parquet: row 0 has no solution"):
        train.main(
            [
                train_spec("policy"),
                str(tmp_path / "p.parquet"),
                str(tmp_path / "p.parquet"),
                str(tmp_path / "o"),
            ]
        )


class StoppedError(Exception):
    """The process was killed."""


@pytest.mark.parametrize("stop_at", [9, 27])
def test_a_stopped_training_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """In the first epoch of two and in the second; beside half a checkpoint and another recipe's."""
    write_problems(tmp_path / "train.parquet", "train", 128, seed=3, levels=(1, 2))
    write_problems(tmp_path / "dev.parquet", "dev", 8, seed=3, levels=(1, 2))
    paths = [str(tmp_path / "train.parquet"), str(tmp_path / "dev.parquet")]
    spec = train_spec("policy", optimizer="muon", epochs=2)
    train.main([spec, *paths, str(tmp_path / "whole")])

    def stop(_: object, args: object, state: TrainerState, control: object, **rest: object) -> None:
        if state.global_step >= stop_at:
            raise StoppedError

    out = tmp_path / "resumed"
    with monkeypatch.context() as patched:
        patched.setattr(train._Lines, "on_step_end", stop)
        for seed in (2, 1):
            with pytest.raises(StoppedError):
                train.main([train_spec("policy", optimizer="muon", epochs=2, seed=seed), *paths, str(out)])
    [work] = tmp_path.glob(".resumed.*.work")
    [saved] = work.glob("checkpoint-*/trainer_state.json")
    state = json.loads(saved.read_text())
    state["log_history"][-1]["seconds"] += 7200.0
    saved.write_text(json.dumps(state))
    (work / "checkpoint-31").mkdir()
    train.main([spec, *paths, str(out)])
    whole, resumed = (
        AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "resumed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert 7200 <= (read_times(out).seconds or 0) < 7500
    # The files of both are the same bytes, the card's too: it holds no time.
    assert (out / "README.md").read_bytes() == (tmp_path / "whole" / "README.md").read_bytes()
    assert not list(tmp_path.glob(".*.work"))


def test_sequences_longer_than_the_context_are_refused_before_training(tmp_path: Path) -> None:
    write_problems(tmp_path / "p.parquet", "train", 8, seed=3, levels=(1, 2))
    with pytest.raises(UserError, match="max_length 513 is more than the model's 512 positions"):
        train.main(
            [train_spec("policy", max_length=513), *[str(tmp_path / "p.parquet")] * 2, str(tmp_path / "o")]
        )


def test_added_layers_change_nothing_at_first(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "start")
    spec = TrainSpec.model_validate_json(train_spec("policy", init={"model": folder, "extra_layers": 2}))
    deeper, _ = training_start.start_model(spec, None)
    start = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.arange(5, 30)[None]
    assert torch.allclose(deeper(ids).logits, start(ids).logits, atol=1e-5)
    deeper.save_pretrained(tmp_path / "deeper")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "deeper")
    assert len(again.model.layers) == len(start.model.layers) + 2
    assert torch.equal(again(ids).logits, deeper.eval()(ids).logits)


def test_layers_are_added_only_where_they_fit(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path, "gpt_neox")
    spec = TrainSpec.model_validate_json(train_spec("policy", init={"model": folder, "extra_layers": 1}))
    with pytest.raises(UserError, match="no layers of Llama's kind"):
        training_start.start_model(spec, None)


@pytest.mark.parametrize(
    ("start", "said", "licensed"),
    [
        ({"architecture": {"layers": 2}}, "trained from nothing.", True),
        ({"trained": "base"}, "trained from base.", True),
        ({"model": "owner/name", "revision": "a" * 40}, f"trained from owner/name at {'a' * 40}.", False),
        (
            {"package": "a-package", "gguf_file": "model.gguf"},
            "trained from model.gguf of the package a-package.",
            False,
        ),
    ],
    ids=["nothing", "another training", "a hub model", "a package"],
)
def test_a_card_says_what_training_started_from(start: dict[str, object], said: str, licensed: bool) -> None:
    """What others trained keeps their license, so none is claimed for it."""
    record = TrainingRecord("m", "policy", 1000, {"init": start}, "Data.", 1, 10, {"torch": "2"}, [(1, 2.0)])
    text = card(record)
    assert said in text
    assert ("license: apache-2.0" in text) is licensed
