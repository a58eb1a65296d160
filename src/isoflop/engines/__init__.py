"""Policies: protocol, transformers, vLLM, servers, prompts, checkpoints."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.engines.registry import (
        Completion,
        GenerationRequest,
        Policy,
        ScoreRequest,
        StepScores,
        Verifier,
        load_policy,
        load_verifier,
    )
    from isoflop.engines.steps import split_steps, tokens_per_step

__all__ = [
    "Completion",
    "GenerationRequest",
    "Policy",
    "ScoreRequest",
    "StepScores",
    "Verifier",
    "load_policy",
    "load_verifier",
    "split_steps",
    "tokens_per_step",
]

face(__name__)
