"""What a table of candidates says of what a policy wrote."""

from collections.abc import Sequence

import pyarrow as pa

from isoflop.engines.registry import Completion
from isoflop.engines.steps import split_steps, tokens_per_step


def completion_columns(completions: Sequence[Completion], separator: str) -> dict[str, list[object]]:
    """One row per completion: the columns of `isoflop.tables.CANDIDATES` but those that say which it is."""
    steps = [split_steps(completion.text, separator) for completion in completions]
    return {
        "steps": [*steps],
        "step_tokens": [
            tokens_per_step(completion.pieces, parts, separator)
            for completion, parts in zip(completions, steps, strict=True)
        ],
        "finish": [completion.finish for completion in completions],
        "prompt_tokens": [completion.prompt_tokens for completion in completions],
        "tokens": [len(completion.pieces) for completion in completions],
        "logprob": [completion.logprob for completion in completions],
        "source": [None] * len(completions),
        "thinking_tokens": [completion.thinking for completion in completions],
    }


def thinking_total(candidates: pa.Table) -> dict[str, int]:
    """A ledger's entry for the thoughts of all candidates; none where they are not counted for each."""
    counts = candidates["thinking_tokens"]
    return {} if counts.null_count else {"thinking_tokens": sum(counts.to_pylist())}
