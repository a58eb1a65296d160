"""What expensive comparisons came out as, so that a table that grows decides only what is new.

A verdict follows from the texts, the grader's code and the libraries that it uses. What was undecided within
the limits is no verdict: it is tried again.
"""

import base64
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, TypeVar

T = TypeVar("T")

# What a verdict depends on beside isoflop's own code, which specifications have.
_LIBRARIES = ("math-verify", "latex2sympy2-extended", "sympy")


class Decided:
    """Verdicts by the texts they are of.

    `known`: those of a former table. `used`: those of this one, as JSON has them, by digests of the texts;
    the same whatever was known. `taken`: how many of these were known.
    """

    def __init__(self, known: Mapping[str, Any] | None = None) -> None:
        self._known = known or {}
        self.used: dict[str, Any] = {}
        self.taken = 0

    def verdict(self, texts: tuple[str, ...], decide: Callable[[], T | None]) -> T | None:
        """What `decide` says of these texts, or said of them before; None, undecided, is not kept."""
        key = _digest(*texts)
        found: T | None = self.used.get(key)
        if found is None and (found := self._known.get(key)) is not None:
            self.taken += 1
        if found is None:
            found = decide()
        if found is not None:
            self.used[key] = found
        return found


def basis(specification: str, *, programs: bool = False, unsandboxed: bool = False) -> str:
    """What verdicts rest on beside their texts, as a digest.

    Parameters
    ----------
    specification
        Of the table, with the digest of the code.
    programs
        Whether answers are programs, which the Python that runs them decides too.
    unsandboxed
        Whether these may run without a sandbox.
    """
    own = (platform.python_version(), str(unsandboxed)) if programs else tuple(map(_version, _LIBRARIES))
    return _digest(specification, *own)


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def _digest(*texts: str) -> str:
    found = hashlib.sha256(json.dumps(texts).encode()).digest()
    return base64.urlsafe_b64encode(found[:12]).decode()
