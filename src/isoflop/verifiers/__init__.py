"""Reward models: layouts, heads, engines."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.verifiers.heads import Head, read_head
    from isoflop.verifiers.hf_verifier import TransformersVerifier
    from isoflop.verifiers.layouts import Tagged, tag_solutions

__all__ = ["Head", "Tagged", "TransformersVerifier", "read_head", "tag_solutions"]

face(__name__)
