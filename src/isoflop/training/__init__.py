"""Policies, reward models and their data."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.training.examples import ScoredSolution, encode_policy_examples, encode_prm_examples
    from isoflop.training.initial_model import new_llama
    from isoflop.training.muon import Muon
    from isoflop.training.revision_data import Trajectory, build_trajectories
    from isoflop.training.step_labels import Written, open_prefixes, soft_labels

__all__ = [
    "Muon",
    "ScoredSolution",
    "Trajectory",
    "Written",
    "build_trajectories",
    "encode_policy_examples",
    "encode_prm_examples",
    "new_llama",
    "open_prefixes",
    "soft_labels",
]

face(__name__)
