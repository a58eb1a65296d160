"""What rounding could change, found again in float64: the texts of a step together, each token read once.

In float64, too, the last bits depend on what is read beside a text, but they move a cumulative probability by
some 1e-14: of the choices that are looked at again, one in 1e13 could come out otherwise in another batch.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from isoflop.config.models import Policy
from isoflop.costs.shape import ModelShape
from isoflop.engines.decoding.logits import logits_of
from isoflop.engines.kv_cache import Segment, SegmentStore, extend
from isoflop.engines.prefix_attention import Branch

# Up to so many parameters a float32 model is exact unless the config says otherwise.
EXACT_PARAMETERS = 50_000_000
# Keys and values in float64 that are kept for the next time; what is gone is read again.
_KEPT_BYTES = 2**31
# A pass is over texts of like lengths: of at most so many times the new tokens of the shortest, and some.
_ALIKE, _MORE = 2, 8
_TEXTS = 64


def is_exact(entry: Policy, shape: ModelShape) -> bool:
    """Whether samples of a policy in engine `transformers` are to depend on no batch."""
    if entry.dtype != "float32":
        return False
    return shape.parameters <= EXACT_PARAMETERS if entry.exact == "auto" else entry.exact


def exactness_notes(entry: Policy, shape: ModelShape) -> tuple[str, ...]:
    """What readers are told where a float32 policy is not exact."""
    if entry.dtype != "float32" or is_exact(entry, shape):
        return ()
    return (
        f"{entry.checkpoint}, {shape.parameters / 1e6:,.0f}M parameters in float32: choices that rounding "
        f"could change were not made again in float64 (exact: {str(entry.exact).lower()}), so samples may "
        "depend on the batch they were drawn in; how likely they are does not",
    )


class ExactReader:
    """A float64 copy of a model, made when it is first asked, and what it has read.

    The model's attention must be that of isoflop.engines.prefix_attention.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._copy = model, None
        self._store = SegmentStore(_KEPT_BYTES)

    @property
    def _exact(self) -> Any:
        if self._copy is None:
            self._copy = copy.deepcopy(self._model).double()
        return self._copy

    def after(self, branches: Sequence[Branch]) -> Tensor:
        """The logits of what follows each text [texts, vocabulary]."""
        self._read_prompts(branches)
        texts = [(*branch.prompt, *branch.tokens) for branch in branches]
        begun: list[tuple[int, list[Segment]]] = []
        for branch, ids in zip(branches, texts, strict=True):
            ends = [end for end in (len(branch.prompt) - 1, *branch.read) if 0 < end < len(ids)]
            begun.append(self._store.longest(ids, ends))
        last: list[Tensor] = [torch.zeros(0)] * len(texts)
        for places in _alike([len(ids) - start for ids, (start, _) in zip(texts, begun, strict=True)]):
            new = [texts[place][begun[place][0] :] for place in places]
            extended = extend(self._exact, new, [begun[place][1] for place in places])
            for row, place in enumerate(places):
                last[place] = extended.hidden[row, len(new[row]) - 1]
                self._store.put(texts[place], extended.segment(row, 0, len(new[row])))
                branches[place].read.append(len(texts[place]))
        return logits_of(self._exact.get_output_embeddings(), torch.stack(last))

    def logprobs(self, branch: Branch, written: Sequence[int]) -> Tensor:
        """The log-probability of each of the tokens `written` after the prompt of `branch` [tokens]."""
        self._read_prompts([branch])
        start, kept = self._store.longest(branch.prompt, [end for end in [len(branch.prompt) - 1] if end])
        hidden = extend(self._exact, [(*branch.prompt[start:], *written[:-1])], [kept]).hidden
        logits = self._exact.get_output_embeddings()(hidden[0, -len(written) :])
        chosen = torch.tensor(written, device=logits.device)[:, None]
        return torch.log_softmax(logits, -1).gather(1, chosen).squeeze(1)

    def _read_prompts(self, branches: Sequence[Branch]) -> None:
        """Read what several texts begin with, all but its last token, which is read with what follows."""
        prompts = sorted({branch.prompt[:-1] for branch in branches if len(branch.prompt) > 1}, key=len)
        prompts = [prompt for prompt in prompts if self._store.chain(prompt) is None]
        for places in _alike([len(prompt) for prompt in prompts]):
            extended = extend(self._exact, [prompts[place] for place in places], [[] for _ in places])
            for row, place in enumerate(places):
                self._store.put(prompts[place], extended.segment(row, 0, len(prompts[place])))


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in groups of like lengths, the shortest first."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) == _TEXTS or lengths[place] > _ALIKE * lengths[group[0]] + _MORE):
            yield group
            group = []
        group.append(place)
    if group:
        yield group
