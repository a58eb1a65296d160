"""What models are trained on: token ids and labels for policies and process reward models.

Policies: supervised fine-tuning with the loss on the solution only (Wu et al. 2024, App. B).
PRMs: the Math-Shepherd convention, a tag after every step, with soft labels (Snell et al. 2024, App. D).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from isoflop.errors import UserError
from isoflop.verifiers.layouts import marked_solutions

IGNORED = -100


@dataclass(frozen=True)
class ScoredSolution:
    """A solution with a soft label per step: the share of rollouts from there that came out right."""

    problem: str
    steps: tuple[str, ...]
    labels: tuple[float, ...]


def encode_policy_examples(
    tokenizer: Any, template: str, problems: Sequence[tuple[str, str]], max_length: int, drop: bool = False
) -> list[dict[str, Any]]:
    """Token ids and labels of (problem, solution) pairs; the prompt carries no loss.

    `row` is a pair's place. Raises UserError if an example is longer than `max_length`, or leaves it out with
    `drop`: cutting one would teach the policy to stop in mid-solution.
    """
    prompts = tokenizer([template.format(problem=problem) for problem, _ in problems])["input_ids"]
    solutions = tokenizer([solution for _, solution in problems], add_special_tokens=False)["input_ids"]
    examples = []
    for index, (prompt, solution) in enumerate(zip(prompts, solutions, strict=True)):
        ids = [*prompt, *solution, tokenizer.eos_token_id]
        if not _fits(index, len(ids), max_length, drop):
            continue
        labels = [IGNORED] * len(prompt) + ids[len(prompt) :]
        examples.append({"input_ids": ids, "labels": labels, "length": len(ids), "row": index})
    return _some(examples, max_length)


def encode_prm_examples(
    tokenizer: Any,
    template: str,
    step_tag: str,
    solutions: Sequence[ScoredSolution],
    max_length: int,
    drop: bool = False,
) -> list[dict[str, Any]]:
    """Token ids of tagged solutions, with each step's soft label at its tag and `IGNORED` elsewhere.

    `start` is where the solution begins. Long ones as in `encode_policy_examples`.
    """
    prompts = [template.format(problem=solution.problem) for solution in solutions]
    tagged = marked_solutions(
        tokenizer,
        [(prompt, solution.steps) for prompt, solution in zip(prompts, solutions, strict=True)],
        step_tag,
    )
    starts = [len(ids) for ids in tokenizer(prompts)["input_ids"]] if prompts else []
    examples = []
    for index, (solution, start, (ids, places)) in enumerate(zip(solutions, starts, tagged, strict=True)):
        if not _fits(index, len(ids), max_length, drop):
            continue
        labels = [float(IGNORED)] * len(ids)
        for place, label in zip(places, solution.labels, strict=True):
            labels[place] = label
        examples.append(
            {"input_ids": ids, "labels": labels, "length": len(ids), "start": start, "row": index}
        )
    return _some(examples, max_length)


def _fits(index: int, length: int, max_length: int, drop: bool) -> bool:
    if length > max_length and not drop:
        raise UserError(
            f"training example {index} has {length} tokens; max_length is {max_length} "
            "(too_long: drop goes on without such examples)"
        )
    return length <= max_length


def _some(examples: list[dict[str, Any]], max_length: int) -> list[dict[str, Any]]:
    if not examples:
        raise UserError(f"no training example has at most {max_length} tokens; raise max_length")
    return examples


def collate(
    pad_token: int, solutions: bool = False
) -> Callable[[Sequence[Mapping[str, Any]]], dict[str, Tensor]]:
    """A collator that pads token ids, attention mask and labels on the right.

    With `solutions`, also the mask of the solutions' positions, from the `start` of PRM examples.
    """

    def collate_batch(examples: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        def padded(name: str, value: int) -> Tensor:
            rows = [torch.tensor(example[name]) for example in examples]
            return pad_sequence(rows, batch_first=True, padding_value=value)

        ids, labels = padded("input_ids", pad_token), padded("labels", IGNORED)
        places = torch.arange(ids.shape[1])
        mask = (places < torch.tensor([[len(example["input_ids"])] for example in examples])).long()
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if solutions:
            starts = torch.tensor([[example["start"]] for example in examples])
            batch["solution"] = (places >= starts) & (mask == 1)
        return batch

    return collate_batch
