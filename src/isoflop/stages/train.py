"""Train a policy (supervised, loss on the solution only) or a process reward model (soft labels).

TRAIN and HELD_OUT are problems for a policy, labels for a PRM; START is the folder to start from when
the start is a model trained in the same experiment. OUT is a Hugging Face checkpoint folder with a
card. A killed run resumes from its last saved step.
"""

import math
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from isoflop.checkpoint_files.note import write_note
from isoflop.config.models import Policy as PolicyEntry
from isoflop.config.training import PolicyTraining, PrmTraining
from isoflop.engines.checkpoints import DTYPES, model_shape
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.loading.checks import plain_head
from isoflop.engines.registry import GenerationRequest
from isoflop.errors import run_main
from isoflop.files import read_table
from isoflop.grading.grader import is_right, make_grader
from isoflop.seeds import derive_seed
from isoflop.specs import TrainSpec
from isoflop.stages.shared.chunks import fingerprint, own_folder
from isoflop.stages.shared.command import File, StageCommand
from isoflop.stages.shared.gpus import job_devices
from isoflop.stages.shared.ledgers import trained_here, write_times
from isoflop.stages.shared.runtime import Runtime
from isoflop.tables import LABELS, PROBLEMS
from isoflop.training.examples import IGNORED, collate
from isoflop.training.likelihood_task import SurpriseTask, freeze_start
from isoflop.training.metrics import held_out_auc
from isoflop.training.model_card import TrainingRecord, card
from isoflop.training.muon import MuonWithAdamW
from isoflop.training.sharded import train_sharded
from isoflop.training.solution_loss import only_solution_loss, solution_loss, too_many_logits
from isoflop.training.start import ByLength, Examples, read_examples, start_model
from isoflop.training.tag_loss import TagLoss
from isoflop.verifiers.layouts import token_id

_COMMAND = StageCommand(
    "train",
    __doc__,
    File("train", "what to learn from: a table of problems, or of labels"),
    File("held_out", "what to measure on"),
    File("start", "folder to start from, of a model that is trained in the same experiment", many="?"),
    File("out", "folder to write"),
)


class _Lines(TrainerCallback):  # type: ignore[misc]
    """Plain log lines, one per report, and the time that training took over all its resumptions."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock where the checkpoint's stopped."""
        before = [entry["seconds"] for entry in state.log_history if "seconds" in entry]
        self._begun = time.monotonic() - (before[-1] if before else 0.0)

    def seconds(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self._begun

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Print the loss of one report."""
        if logs and "loss" in logs:
            state.log_history[-1]["seconds"] = self.seconds()
            print(
                f"step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.4f}",
                file=sys.stderr,
                flush=True,
            )


def main(arguments: Sequence[str]) -> None:
    """Train what SPEC says and save it, with its card, to OUT; how long it took, beside OUT."""
    given = _COMMAND.read(TrainSpec, arguments)
    spec, start = given.spec, given.files.start
    train_path, held_out_path, target = given.files.train, given.files.held_out, Path(given.files.out)
    training = spec.training
    # The trainer would spread over every GPU it sees.
    job_devices(training.gpus, training.gpus if training.gpus > 1 else 0, given.runtime)
    name = fingerprint(given.text, [train_path, held_out_path], [start, training.init.model])
    work = own_folder(target, name, "work")
    sharded = None
    if training.gpus > 1:
        # Before this process takes memory of a GPU.
        sharded = train_sharded(given.text, train_path, start, work, training.gpus)
    torch.use_deterministic_algorithms(True)
    set_seed(training.seed)
    model, tokenizer = start_model(spec, start)
    examples = read_examples(spec, tokenizer, train_path)
    held_out = read_examples(spec, tokenizer, held_out_path)
    loss = _loss(training, tokenizer)
    if sharded is None:
        losses, seconds = _train_here(spec, model, tokenizer, examples, loss, work)
    else:
        model.load_state_dict(torch.load(sharded.weights, weights_only=True))
        losses, seconds = sharded.losses, sharded.seconds
    model.eval()
    # What follows measures; on a GPU some of it has no deterministic form.
    torch.use_deterministic_algorithms(False)
    batch = training.device_batch_size or training.batch_size
    measures = {"loss": _held_out_loss(model, tokenizer, held_out, loss, batch)}
    if isinstance(training, PrmTraining):
        rows = read_table(held_out_path, LABELS).to_pylist()
        measures |= held_out_auc(training, model, tokenizer, held_out, rows)
    finished = target.with_name(f".{target.name}.finished")
    shutil.rmtree(finished, ignore_errors=True)
    model.to(DTYPES[training.save_dtype]).save_pretrained(finished)
    tokenizer.save_pretrained(finished)
    if isinstance(training, PolicyTraining) and training.held_out_samples:
        measures |= _accuracy_by_level(spec, training, finished, held_out, held_out_path, given.runtime)
    outcome = isinstance(training, PrmTraining) and training.data.chain_labels is not None
    record = TrainingRecord(
        name=spec.name,
        kind="orm" if outcome else training.kind,
        parameters=model_shape(model).parameters,
        recipe=training.model_dump(mode="json"),
        data=f"{training.data.describe()}.",
        examples=len(examples),
        tokens=round(sum(example["length"] for example in examples) * training.epochs),
        versions={"python": platform.python_version(), **{n: version(n) for n in ("torch", "transformers")}},
        losses=losses,
        held_out=measures,
        regenerate=spec.regenerate,
    )
    (finished / "README.md").write_text(card(record), encoding="utf-8")
    write_note(finished, training.convention)
    shutil.rmtree(target, ignore_errors=True)
    finished.rename(target)
    write_times(str(target), trained_here(seconds))
    shutil.rmtree(work, ignore_errors=True)


def _loss(training: PolicyTraining | PrmTraining, tokenizer: Any) -> TagLoss | None:
    """The loss of a reward model; None for a policy, whose loss is the model's own."""
    if not isinstance(training, PrmTraining):
        return None
    return TagLoss(token_id(tokenizer, training.good_token), token_id(tokenizer, training.bad_token))


def _train_here(
    spec: TrainSpec,
    model: Any,
    tokenizer: Any,
    examples: list[dict[str, Any]],
    loss: TagLoss | None,
    work: Path,
) -> tuple[list[tuple[int, float]], float]:
    """Train the model in this process: (step, loss) of every report, and the seconds that it took."""
    training, surprise = spec.training, None
    if isinstance(training, PrmTraining) and training.surprise_weight:
        good, bad = token_id(tokenizer, training.good_token), token_id(tokenizer, training.bad_token)
        added, tag = training.init.extra_layers, token_id(tokenizer, training.step_tag)
        freeze_start(model, added, [example["input_ids"] for example in examples[:32]])
        surprise = SurpriseTask(added, good, bad, tag, training.surprise_weight)
    lines = _Lines()
    trainer = _trainer(spec, model, tokenizer, examples, loss, surprise, work, lines)
    trainer.train(resume_from_checkpoint=_last_checkpoint(work))
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [(int(entry["step"]), float(entry["loss"])) for entry in history], lines.seconds()


def _last_checkpoint(work: Path) -> str | None:
    """The newest complete checkpoint; what a kill left half-written is removed."""
    complete: dict[int, Path] = {}
    for folder in work.glob("checkpoint-*"):
        if (folder / "trainer_state.json").is_file():
            complete[int(folder.name.removeprefix("checkpoint-"))] = folder
        else:
            shutil.rmtree(folder)
    return str(complete[max(complete)]) if complete else None


class _StageTrainer(Trainer):  # type: ignore[misc]
    """The Trainer, with `ByLength` for its order and a surprise task beside the loss.

    `in_pieces`: whether the loss can be computed without all logits at once; `tags`: that of a reward model.
    """

    surprise: SurpriseTask | None = None
    tags: TagLoss | None = None
    in_pieces: bool = False

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of the recipe, with that of the surprise task where there is one."""
        if self.in_pieces and not return_outputs and too_many_logits(model, inputs["labels"]):
            batch = dict(inputs)
            labels = batch.pop("labels")
            with self.accelerator.autocast():
                total = (self.tags.summed if self.tags else solution_loss)(model, batch, labels)
            return total / ((labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
        if self.surprise is None:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        inputs = dict(inputs)
        solution = inputs.pop("solution")
        loss, outputs = super().compute_loss(
            model, inputs | {"output_hidden_states": True}, True, num_items_in_batch
        )
        extra = self.surprise.loss(model, outputs.hidden_states, inputs["input_ids"], solution)
        # The loss proper is a share of the whole batch's; this one is a mean of its own.
        loss = loss + extra / self.args.gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        lengths = [int(example["length"]) for example in self.train_dataset]
        return ByLength(lengths, self.args.train_batch_size, self.args.data_seed)


def _trainer(
    spec: TrainSpec,
    model: Any,
    tokenizer: Any,
    examples: list[dict[str, Any]],
    loss: TagLoss | None,
    surprise: SurpriseTask | None,
    work: Path,
    lines: _Lines,
) -> Trainer:
    training = spec.training
    steps = math.ceil(len(examples) / training.batch_size * training.epochs)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    arguments = TrainingArguments(
        output_dir=str(work),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.device_batch_size or training.batch_size,
        gradient_accumulation_steps=training.batch_size
        // (training.device_batch_size or training.batch_size),
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        warmup_steps=math.ceil(training.warmup_ratio * steps),
        lr_scheduler_type=training.schedule,
        max_grad_norm=1.0,
        adam_beta2=0.95,
        bf16=training.bf16,
        # Said, or mixed precision is refused there.
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        seed=training.seed,
        data_seed=training.seed,
        logging_steps=max(1, steps // 100),
        save_strategy="steps",
        save_steps=max(1, steps // 10),
        save_total_limit=1,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
    )
    # Several GPUs would each take a batch of this size, and the recipe would no longer be what its card says.
    arguments._n_gpu = 1
    optimizer = None
    if training.optimizer == "muon":
        optimizer = MuonWithAdamW(model, training.learning_rate, training.weight_decay)
    trainer = _StageTrainer(
        model=model,
        args=arguments,
        data_collator=collate(tokenizer.pad_token_id, solutions=surprise is not None),
        train_dataset=Examples(examples),
        compute_loss_func=loss,
        callbacks=[lines],
        optimizers=(optimizer, None),
    )
    trainer.surprise, trainer.tags = surprise, loss
    whole = only_solution_loss(model) if loss is None else surprise is None
    trainer.in_pieces = whole and plain_head(model)
    # It would print what `_Lines` prints once more.
    trainer.remove_callback(PrinterCallback)
    return trainer


def _held_out_loss(
    model: Any, tokenizer: Any, examples: list[dict[str, Any]], loss: TagLoss | None, batch_size: int
) -> float:
    """Mean loss per labelled token of held-out examples."""
    collator = collate(tokenizer.pad_token_id)
    ordered = sorted(examples, key=lambda example: int(example["length"]))
    total, count = 0.0, 0
    in_pieces, summed = plain_head(model), solution_loss if loss is None else loss.summed
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            batch = {
                name: part.to(model.device)
                for name, part in collator(ordered[start : start + batch_size]).items()
            }
            labels = batch.pop("labels")
            wanted = labels if loss is not None else labels[:, 1:]
            items = int((wanted >= 0).sum())
            if in_pieces and too_many_logits(model, labels):
                total += float(summed(model, batch, labels))
            elif loss is not None:
                total += float(loss(model(**batch), labels, 1))
            else:
                logits = model(**batch).logits[:, :-1].float()
                total += float(
                    torch.nn.functional.cross_entropy(
                        logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
                    )
                )
            count += items
    return total / count


def _accuracy_by_level(
    spec: TrainSpec,
    training: PolicyTraining,
    model: Path,
    examples: list[dict[str, Any]],
    path: str,
    runtime: Runtime,
) -> dict[str, float]:
    """Share of right solutions at temperature 1 on held-out problems: of all, and of each level."""
    rows = read_table(path, PROBLEMS).select(["problem_id", "prompt", "answer", "level"]).to_pylist()
    rows = [rows[example["row"]] for example in examples for _ in range(training.held_out_samples)]
    prompts = [
        example["labels"].count(IGNORED) for example in examples for _ in range(training.held_out_samples)
    ]
    requests = [
        GenerationRequest(
            prompt=training.prompt.format(problem=row["prompt"]),
            seed=derive_seed("held-out", training.seed, row["problem_id"], place % training.held_out_samples),
            max_tokens=training.max_length - prompt_tokens,
        )
        for place, (row, prompt_tokens) in enumerate(zip(rows, prompts, strict=True))
    ]
    policy = TransformersPolicy(PolicyEntry(model=str(model)))
    right: dict[str, list[bool]] = {"all levels": []}
    unsafe = runtime.allow_unsandboxed
    with make_grader(spec.grader, choices=spec.choices, allow_unsandboxed=unsafe) as grader:
        for row, completion in zip(rows, policy.generate(requests), strict=True):
            cut = completion.finish == "length"
            verdict = is_right(grader, completion.text, row["answer"], truncated=cut)
            right["all levels"].append(verdict)
            if row["level"] is not None:
                right.setdefault(f"level {row['level']}", []).append(verdict)
    return {
        f"accuracy at temperature 1, {name}": sum(verdicts) / len(verdicts)
        for name, verdicts in sorted(right.items())
    }


if __name__ == "__main__":
    run_main(main)
