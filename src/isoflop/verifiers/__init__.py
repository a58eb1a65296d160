"""Reward models: layouts, heads, engines."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.verifiers.heads import Head, read_head
    from isoflop.verifiers.hf_verifier import TransformersVerifier
    from isoflop.verifiers.layouts import Tagged
    from isoflop.verifiers.registry import VerifierKind, tag_solutions, verifier_kind

__all__ = [
    "Head",
    "Tagged",
    "TransformersVerifier",
    "VerifierKind",
    "read_head",
    "tag_solutions",
    "verifier_kind",
]

face(__name__)
