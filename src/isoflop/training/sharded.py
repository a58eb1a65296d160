"""Training spread over several GPUs, or processes of a CPU: weights, gradients and moments are shared out.

Every process holds a part of each layer's weights and gathers a layer when it computes it (PyTorch's
`fully_shard`). The recipe stays that of one GPU: the same examples make an optimizer step, each process
reads every n-th device batch of it, and the loss is divided by the labels of the whole step.
"""

import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.multiprocessing.spawn import ProcessRaisedException, spawn
from transformers import get_scheduler, set_seed

from isoflop.config.training import PrmTraining
from isoflop.errors import UserError
from isoflop.files import read_json
from isoflop.specs import TrainSpec
from isoflop.training.examples import IGNORED, collate
from isoflop.training.start import ByLength, read_examples, start_model
from isoflop.training.tag_loss import TagLoss
from isoflop.verifiers.layouts import token_id

# Those of the training on one GPU.
_BETAS, _EPSILON, _NORM = (0.9, 0.95), 1e-8, 1.0
_REPORTS, _SAVES = 100, 10
_STATE, _WEIGHTS = "state.json", "weights.pt"


class Trained(NamedTuple):
    """What processes leave: the weights' file, (step, loss) of every report, seconds of training."""

    weights: Path
    losses: list[tuple[int, float]]
    seconds: float


@dataclass(frozen=True)
class _Job:
    """What every process is given."""

    spec: str
    data: str
    start: str | None
    work: str
    processes: int
    meeting: str
    parent: int


def train_sharded(spec: str, data: str, start: str | None, work: Path, processes: int) -> Trained:
    """Train what `spec` (JSON) says with `processes` processes, one a GPU where there are GPUs.

    `work` is a folder for what a killed run goes on from, and for the result. Raises UserError where the
    training cannot be done.
    """
    work.mkdir(parents=True, exist_ok=True)
    if not (work / _WEIGHTS).is_file():
        with tempfile.TemporaryDirectory() as meeting:
            job = _Job(spec, data, start, str(work), processes, f"{meeting}/processes", os.getpid())
            try:
                spawn(_process, (job,), nprocs=processes)  # type: ignore[no-untyped-call]
            except ProcessRaisedException as error:
                said = str(error).strip().splitlines()[-1]
                raise UserError(f"training on {processes} processes: {said}") from error
    state = json.loads((work / _STATE).read_text(encoding="utf-8"))
    losses = [(int(step), float(loss)) for step, loss in state["losses"]]
    return Trained(work / _WEIGHTS, losses, float(state["seconds"]))


def _process(rank: int, job: _Job) -> None:
    """One process: what all of them do together."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(rank)
    torch.use_deterministic_algorithms(True)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{job.meeting}",
        rank=rank,
        world_size=job.processes,
    )
    try:
        _Trainer(job, rank).run()
    finally:
        dist.destroy_process_group()


class _Trainer:
    """The training in one process."""

    def __init__(self, job: _Job, rank: int) -> None:
        spec = read_json(TrainSpec, job.spec, "train specification")
        self._training, self._job, self._rank = spec.training, job, rank
        set_seed(self._training.seed)
        self._model, tokenizer = start_model(spec, job.start)
        self._examples = read_examples(spec, tokenizer, job.data)
        self._collate = collate(tokenizer.pad_token_id)
        self._loss = None
        if isinstance(self._training, PrmTraining):
            marks = (self._training.good_token, self._training.bad_token)
            good, bad = (token_id(tokenizer, mark) for mark in marks)
            self._loss = TagLoss(good, bad)
        self._shard()
        self._optimizer = torch.optim.AdamW(
            _by_decay(self._model, self._training.weight_decay),
            lr=self._training.learning_rate,
            betas=_BETAS,
            eps=_EPSILON,
        )
        own = self._training.batch_size
        self._steps_per_epoch = math.ceil(len(self._examples) / own)
        self._steps = self._steps_per_epoch * self._training.epochs
        self._schedule = get_scheduler(
            self._training.schedule,
            self._optimizer,
            math.ceil(
                self._training.warmup_ratio * math.ceil(len(self._examples) / own * self._training.epochs)
            ),
            self._steps,
        )
        self._done, self._before = 0, 0.0
        self._losses: list[tuple[int, float]] = []

    def _shard(self) -> None:
        """Share out the weights, layer by layer; what is computed in bfloat16 is summed in float32."""
        policy = MixedPrecisionPolicy()
        if self._training.bf16:
            policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        lists = [module for module in self._model.modules() if isinstance(module, nn.ModuleList)]
        for layer in max(lists, key=len, default=()):
            fully_shard(layer, mp_policy=policy)
        fully_shard(self._model, mp_policy=policy)

    def run(self) -> None:
        """All steps from the last one saved, then the whole weights."""
        self._resume()
        begun = time.monotonic() - self._before
        every, saves = max(1, self._steps // _REPORTS), max(1, self._steps // _SAVES)
        since = torch.zeros((), device=self._device)
        for step in self._batches():
            if os.getppid() != self._job.parent:
                raise SystemExit("the process that started this training is gone")
            since += self._step(step)
            self._done += 1
            if self._done % every == 0:
                self._report(since / every)
                since = torch.zeros((), device=self._device)
            if self._done % saves == 0 and self._done < self._steps:
                self._save(time.monotonic() - begun)
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        weights = get_model_state_dict(self._model, options=options)
        if self._rank == 0:
            work = Path(self._job.work)
            self._tell(work / _STATE, time.monotonic() - begun)
            torch.save(weights, work / f".{_WEIGHTS}")
            os.replace(work / f".{_WEIGHTS}", work / _WEIGHTS)
        dist.barrier()

    @property
    def _device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _batches(self) -> Iterator[list[int]]:
        """The examples of every step that is left."""
        lengths = [int(example["length"]) for example in self._examples]
        size = self._training.batch_size
        order = ByLength(lengths, self._training.device_batch_size or size, self._training.seed)
        first, begun = divmod(self._done, self._steps_per_epoch)
        for epoch in range(first, self._training.epochs):
            order.set_epoch(epoch)
            places = list(order)
            for step in range(begun if epoch == first else 0, self._steps_per_epoch):
                yield places[step * size : (step + 1) * size]

    @property
    def _micro(self) -> int:
        """Sequences in a forward pass of one process."""
        return self._training.device_batch_size or self._training.batch_size // self._job.processes

    def _step(self, chosen: Sequence[int]) -> Tensor:
        """One optimizer step; the mean loss of its labels."""
        size, count = self._micro, self._job.processes
        parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        labels = sum(sum(label != IGNORED for label in self._examples[place]["labels"]) for place in chosen)
        total = torch.zeros((), device=self._device)
        for start in range(0, len(parts), count):
            # Layers are gathered together: a process without a part goes along with one that counts nothing.
            idle = start + self._rank >= len(parts)
            part = parts[start if idle else start + self._rank]
            batch = self._collate([self._examples[place] for place in part])
            loss = self._loss_of({name: one.to(self._device) for name, one in batch.items()}, labels)
            loss = loss * (0.0 if idle else 1.0)
            total += loss.detach()
            # Gradients are averaged over the processes.
            torch.autograd.backward(loss * count)
        nn.utils.clip_grad_norm_(self._model.parameters(), _NORM)
        self._optimizer.step()
        self._schedule.step()
        self._optimizer.zero_grad()
        dist.all_reduce(total)
        return total

    def _loss_of(self, batch: dict[str, Tensor], items: int) -> Tensor:
        labels = batch.pop("labels")
        outputs = self._model(**batch, use_cache=False)
        if self._loss is not None:
            return self._loss(outputs, labels, items)
        logits = outputs.logits[:, :-1].float()
        return (
            nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
            )
            / items
        )

    def _report(self, loss: Tensor) -> None:
        self._losses.append((self._done, float(loss)))
        if self._rank == 0:
            print(f"step {self._done}/{self._steps} loss {float(loss):.4f}", file=sys.stderr, flush=True)

    def _content(self) -> dict[str, Any]:
        weights, moments = get_state_dict(self._model, self._optimizer)
        return {"weights": weights, "moments": moments}

    def _save(self, seconds: float) -> None:
        """What a killed run goes on from; only one is kept."""
        folder = Path(self._job.work) / f"step-{self._done}"
        save(self._content(), checkpoint_id=str(folder))
        if self._rank == 0:
            self._tell(folder / _STATE, seconds)
            for other in folder.parent.glob("step-*"):
                if other != folder:
                    shutil.rmtree(other)
        dist.barrier()

    def _tell(self, path: Path, seconds: float) -> None:
        content = {"step": self._done, "losses": self._losses, "seconds": seconds}
        path.write_text(json.dumps(content), encoding="utf-8")

    def _resume(self) -> None:
        found = sorted(Path(self._job.work).glob(f"step-*/{_STATE}"), key=lambda path: path.stat().st_mtime)
        if not found:
            return
        content = self._content()
        load(content, checkpoint_id=str(found[-1].parent))
        set_state_dict(
            self._model,
            self._optimizer,
            model_state_dict=content["weights"],
            optim_state_dict=content["moments"],
        )
        state = json.loads(found[-1].read_text(encoding="utf-8"))
        self._done, self._before = int(state["step"]), float(state["seconds"])
        self._losses = [(int(step), float(loss)) for step, loss in state["losses"]]
        for _ in range(self._done):
            self._schedule.step()


def _by_decay(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and norms do not."""
    groups: tuple[list[Tensor], list[Tensor]] = ([], [])
    for parameter in model.parameters():
        groups[parameter.ndim < 2].append(parameter)
    return [
        {"params": group, "weight_decay": decay}
        for group, decay in zip(groups, (weight_decay, 0.0), strict=True)
        if group
    ]
