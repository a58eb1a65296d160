"""What a training starts from: the model, the examples, and their order."""

import copy
import sys
from collections.abc import Iterator
from typing import Any

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from isoflop.engines.checkpoints import context_length, load_model, load_tokenizer
from isoflop.errors import UserError
from isoflop.files import located, read_table
from isoflop.seeds import derive_seed
from isoflop.specs import TrainSpec
from isoflop.tables import LABELS, PROBLEMS
from isoflop.training.examples import ScoredSolution, encode_policy_examples, encode_prm_examples
from isoflop.training.initial_model import new_llama
from isoflop.training.likelihood_task import llama_layers


class ByLength(torch.utils.data.Sampler[int]):
    """Examples of like length side by side, shuffled anew for each epoch and alike after a resumption."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass is."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        seed = derive_seed("epoch", self._seed, self._epoch) % 2**63
        generator = torch.Generator().manual_seed(seed)
        return iter(get_length_grouped_indices(self._lengths, self._batch_size, generator=generator))


class Examples(torch.utils.data.Dataset[dict[str, Any]]):
    """Encoded examples; the trainer reads their lengths to batch alike ones together."""

    def __init__(self, examples: list[dict[str, Any]]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._examples[index]


def start_model(spec: TrainSpec, trained: str | None) -> tuple[Any, Any]:
    """The model and tokenizer that training starts from; `trained` is a model of the same experiment.

    Raises UserError where examples may be longer than the model reads.
    """
    model, tokenizer = _loaded(spec, trained)
    context, longest = context_length(model), spec.training.max_length
    if context is not None and longest > context:
        raise UserError(f"max_length {longest} is more than the model's {context} positions")
    return model, tokenizer


def _loaded(spec: TrainSpec, trained: str | None) -> tuple[Any, Any]:
    init = spec.training.init
    shape = init.architecture
    if shape is not None:
        return new_llama(shape)
    name = trained or (str(init.model) if init.revision else str(located(str(init.model))))
    tokenizer = load_tokenizer(name, init.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = load_model(name, init.revision, "float32", shared_prefix=False)
    if init.positions is not None:
        _set_positions(model, tokenizer, init.positions, name)
    _add_layers(model, init.extra_layers, name)
    return model.train(), tokenizer


def _set_positions(model: Any, tokenizer: Any, positions: int, name: str) -> None:
    """Let the model read up to `positions` tokens. Rotary positions are computed, not learnt one by one."""
    rotary = getattr(model.config, "rope_parameters", None) or {}
    if rotary.get("rope_type") != "default":
        raise UserError(f"init.positions: {name} has no plain rotary positions; leave positions out")
    model.config.max_position_embeddings = tokenizer.model_max_length = positions


def _add_layers(model: Any, count: int, name: str) -> None:
    """Put `count` copies of the last layer on top, which at first pass on what they get."""
    if not count:
        return
    layers = llama_layers(model, name)
    for _ in range(count):
        layer = copy.deepcopy(layers[-1])
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
        layer.self_attn.layer_idx = len(layers)
        layers.append(layer)
    model.config.num_hidden_layers += count


def read_examples(spec: TrainSpec, tokenizer: Any, path: str) -> list[dict[str, Any]]:
    """The encoded examples of a table; raises UserError where it has none to learn from."""
    training = spec.training
    if training.kind == "policy":
        table = read_table(path, PROBLEMS).select(["prompt", "solution"]).to_pydict()
        if None in table["solution"]:
            raise UserError(f"{path}: row {table['solution'].index(None)} has no solution to train on")
        pairs = list(zip(table["prompt"], table["solution"], strict=True))
        return _told(
            path,
            len(pairs),
            encode_policy_examples(
                tokenizer, training.prompt, pairs, training.max_length, training.too_long == "drop"
            ),
        )
    solutions = [
        ScoredSolution(row["prompt"], tuple(row["steps"]), tuple(row["labels"]))
        for row in read_table(path, LABELS).to_pylist()
    ]
    examples = encode_prm_examples(
        tokenizer,
        training.prompt,
        training.step_tag,
        solutions,
        training.max_length,
        training.too_long == "drop",
    )
    return _told(path, len(solutions), examples)


def _told(path: str, rows: int, examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The examples, after a line for the log where some rows were too long."""
    if len(examples) < rows:
        print(f"{path}: {rows - len(examples)} of {rows} rows are too long and left out", file=sys.stderr)
    return examples
