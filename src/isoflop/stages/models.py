"""The models that a stage loads, as the specification names them and the machine's settings allow."""

import os

from isoflop.config_models import Policy as PolicyEntry
from isoflop.config_models import Running
from isoflop.engines import Policy, Verifier, load_policy, load_verifier


def open_policy(entry: PolicyEntry) -> Policy:
    """Load a policy. Raises UserError if it cannot be loaded."""
    return load_policy(entry.engine, entry=entry, batch_size=int(os.environ.get("ISOFLOP_BATCH_SIZE", "512")))


def open_verifier(entry: Running, *, settle: bool = False) -> Verifier:
    """Load a verifier; with `settle`, one whose scores do not depend on the batch, as a search needs.

    Raises UserError if it cannot be loaded.
    """
    batch_tokens = int(os.environ.get("ISOFLOP_BATCH_TOKENS", "8192"))
    return load_verifier(entry.engine, entry=entry, batch_tokens=batch_tokens, settle=settle)
