"""What results rest on: the code's commit, versions, and what every job computed."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from itertools import chain, product
from pathlib import Path

from isoflop.files import read_ledger
from isoflop.report.html import Provenance, StageCost
from isoflop.report.spec import ReportSpec

_PACKAGES = (
    "isoflop", "torch", "transformers", "tokenizers", "datasets", "math-verify", "numpy", "scipy", "pandas",
    "pyarrow", "pydantic", "matplotlib", "seaborn", "jinja2", "snakemake",
)  # fmt: skip
# Tokens of a ledger that are charged: a problem's prompt once.
_CHARGED = ("prompt_tokens_reused", "generated_tokens", "verifier_tokens")


def own_ledgers(results: Path, spec: ReportSpec) -> list[Path]:
    """The ledgers of this experiment's jobs, not those that an earlier config left in the folder."""
    shown = product(spec.datasets, spec.policies, spec.generators)
    pools = {*shown, *spec.pools}
    verifiers = {*spec.verifiers, *chain.from_iterable(spec.revisions.values())}
    policies = dict.fromkeys([*spec.policies, *(policy for _, policy, _ in spec.pools)])
    return [
        path
        for stage in ("sample", "score")
        for dataset in spec.datasets
        for policy in policies
        for path in sorted((results / stage / dataset / policy).rglob("*.ledger.json"))
        if (dataset, policy, path.relative_to(results).parts[3].removesuffix(".ledger.json")) in pools
        and (stage == "sample" or path.name.removesuffix(".ledger.json") in verifiers)
    ]


def read_provenance(results: Path, spec: ReportSpec) -> Provenance:
    """What the results under `results` rest on, by the ledgers of their jobs."""
    costs, notes = [], []
    for path in own_ledgers(results, spec):
        ledger = read_ledger(path)
        stage, *rest = path.relative_to(results).parts
        job = "/".join(rest).removesuffix(".ledger.json")
        counted = [ledger.get(name) for name in _CHARGED]
        tokens = [value for value in counted if isinstance(value, int)]
        model = ledger.get("model")
        sizes = model if isinstance(model, dict) else {}
        size = sizes.get("active_parameters", sizes.get("parameters"))
        costs.append(
            StageCost(
                stage=stage,
                job=job,
                tokens=sum(tokens) if tokens else None,
                parameters=size if isinstance(size, int) else None,
                too_long=int(ledger.get("too_long", 0)),
                candidates=ledger.get("candidates"),
            )
        )
        notes += [f"{job}: {text}" for text in ledger.get("notes", ())]
    return Provenance(commit=_commit(), versions=_versions(), notes=notes, costs=costs)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of the code that runs, read now so that a new commit alone makes nothing run again."""
    here = str(Path(__file__).resolve().parent)
    commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    outputs = []
    for command in commands:
        try:
            done = subprocess.run(
                ["git", "--no-optional-locks", "-C", here, *command],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
        except (OSError, subprocess.SubprocessError):
            return "unknown"
        outputs.append(done.stdout.strip())
    commit, changes = outputs
    return f"{commit}, with uncommitted changes" if changes else commit
