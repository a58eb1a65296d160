"""The kind of verifier of docs/how-to/verifiers.md, from another package: named by a config, planned, run."""

import json
from pathlib import Path

from other_package import ROOT, install, install_documented, run

from isoflop.pipeline.code_digest import import_closure

GROUP = "isoflop.verifiers"
RAW = {
    "experiment": "e", "seed": 1,
    "datasets": {"words": {"source": "wordproblems", "split": "test", "size": 3}},
    "policies": {"small": {"model": str(ROOT / "resources" / "models" / "policy-0.1M")}},
    "verifiers": {"asked": {"kind": "judge", "question": "\nRight?"}},
    "generators": {"sampling": {"kind": "sampling", "samples": 4, "max_tokens": 60}},
    "budgets": [1, 4], "selectors": ["weighted"], "step_aggregations": ["last"],
    "headline": {"selector": "weighted"},
}  # fmt: skip

# Reading a config loads no torch; then everything that is known of the kind, and stage score on a checkpoint
# of it, whose scores are found again from its logits.
SCRIPT = """
import json, sys
from pathlib import Path

from isoflop.config.docs import reference_page
from isoflop.config.loading import build_config
from isoflop.errors import UserError

raw, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
raw["verifiers"]["asked"]["model"] = str(folder / "checkpoint")
(folder / "checkpoint").mkdir()
(folder / "checkpoint" / "config.json").write_text("{}")
config = build_config(raw, "test", folder)
assert config.verifiers["asked"].outcome
assert "## Judge\\n\\nP(good) against P(bad) as the next word" in reference_page()
for wrong, message in (
    ({"kind": "jugde"}, "verifiers.asked.kind: 'jugde' is not allowed; did you mean 'judge'? (allowed: "
     "math-shepherd, token-pair, rlhflow, qwen-prm, skywork-prm, llemma-rm, token-class, causal-orm, orm, "
     "judge, imported)"),
    ({"qestion": "?"}, "verifiers.asked.qestion: unknown key; did you mean 'question'?"),
    ({"prompt": "?"}, "verifiers.asked.prompt: has no {problem}"),
    ({"trained": "x", "model": None}, "verifiers.asked.trained: 'x' is not an entry of training"),
):
    try:
        build_config(raw | {"verifiers": {"asked": raw["verifiers"]["asked"] | wrong}}, "test", folder)
    except UserError as error:
        assert message in str(error), error
    else:
        raise AssertionError(wrong)

from isoflop.pipeline.code_digest import file_digest
from isoflop.pipeline.plan import Plan

plan = Plan(config, folder)
spec = plan.score("small", "asked")
assert json.loads(spec)["plugins"] == {"judge": file_digest(folder / "mine.py")}
assert json.loads(plan.select("small", "sampling"))["outcome_verifiers"] == ["asked"]
assert not {"torch", "transformers"} & sys.modules.keys()

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from isoflop.files import read_table
from isoflop.forecast.command import make_forecast
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.stages import score
from isoflop.tables import SCORES
from small_pool import Study

checkpoint = save_verifier(folder / "checkpoint", "judge", 3, marks=[" Yes", " No"])
forecast = {one.job.output: one.job for one in make_forecast(plan, folder, offline=True).jobs}
assert forecast["score/words/small/sampling/asked.parquet"].flops > 0
study = Study(folder)
study.candidates["steps"] = [[f"{row} and ", "so on"] for row in range(12)]
paths = study.write()
out = folder / "s.parquet"
files = [paths["problems"], paths["candidates"], out, folder / "s.ledger.json"]
score.main(["--runtime", "{}", spec, *map(str, files)])
model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
pair = [tokenizer.convert_tokens_to_ids(word) for word in (" Yes", " No")]
found = read_table(out, SCORES).to_pylist()
assert len({row["step_scores"][0] for row in found}) > 6
for row, steps in zip(found, study.candidates["steps"], strict=True):
    ids = tokenizer("?\\n" + "".join(steps) + "\\nRight?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = model(ids).logits[0, -1, pair].double().softmax(-1)[0]
    [scored] = row["step_scores"]
    assert abs(scored - float(expected)) < 2**-11 + 2e-5
    assert row["verifier_tokens"] == ids.shape[1]
"""


def test_a_config_scores_with_what_another_package_registers(tmp_path: Path) -> None:
    install_documented(tmp_path, "verifiers.md", GROUP)
    done = run(tmp_path, "-c", SCRIPT, json.dumps(RAW), str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_a_kind_without_what_engines_ask_for_is_refused(tmp_path: Path) -> None:
    module = """
from typing import Literal
from isoflop.config.verifiers import RunningVerifier
from isoflop.registries import VerifierTraits
from isoflop.verifiers.families import CausalModel

class Mine(RunningVerifier):
    kind: Literal["mine"]

MINE = VerifierTraits(name="mine", entry=Mine)

class Kind(CausalModel):
    def tag(self, tokenizer, entry, solutions):
        return []

def silent():
    return Kind(name="mine", entry=Mine)
"""
    install(tmp_path, module, f"[{GROUP}]\nmine = mine:MINE\n")
    look = "from isoflop.verifiers.registry import verifier_kind; verifier_kind('mine')"
    assert (
        "has only keys; make it an isoflop.verifiers.registry.VerifierKind"
        in run(tmp_path, "-c", look).stderr
    )
    assert (
        "UserError: Mine: give it the key prompt" in run(tmp_path, "-c", "import mine; mine.silent()").stderr
    )


def test_kinds_are_in_the_closure_of_what_scores_with_them() -> None:
    kinds = {f"isoflop.verifiers.kinds.{name}" for name in ("math_shepherd", "qwen_prm", "orm")}
    assert kinds <= set(import_closure("isoflop.verifiers.hf_verifier"))
    assert not kinds & set(import_closure("isoflop.stages.select"))
