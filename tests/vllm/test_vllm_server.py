"""A real vLLM server that dies in the middle of a sampling job and comes back."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from problem_tables import write_problems
from vllm_server import VllmServer

from isoflop.config.models import Policy
from isoflop.engines.server_policy import ServerPolicy
from isoflop.engines.token_sampling import logprob_step
from isoflop.errors import UserError
from isoflop.files import read_table
from isoflop.specs import SAMPLE_VERSION, SampleSpec
from isoflop.stages import sample
from isoflop.tables import CANDIDATES

MODEL = str(Path(__file__).parents[2] / "resources" / "models" / "policy-0.9M")
_EXACT = ["problem_id", "candidate", "steps", "step_tokens", "finish", "prompt_tokens", "tokens"]


def test_another_model_than_the_servers_is_refused(vllm_server: VllmServer) -> None:
    with pytest.raises(UserError, match=r"does not serve 'other' \(it serves: served\)"):
        ServerPolicy(Policy(model=MODEL, engine="server"), vllm_server.settings(name="other"))


def test_a_job_whose_server_dies_resumes(vllm_server: VllmServer, tmp_path: Path) -> None:
    write_problems(tmp_path / "problems.parquet", "test", 48, seed=5)
    models = {MODEL: {"server": vllm_server.settings(retries=1).model_dump()}}
    runtime = json.dumps({"chunk_problems": 4, "models": models})

    def run(engine: str, name: str) -> Path:
        content = {
            "policy": {"model": MODEL, "engine": engine},
            "generator": {"kind": "greedy", "max_tokens": 224},
            "seed": 1,
            "version": SAMPLE_VERSION,
        }
        spec = SampleSpec.model_validate_json(json.dumps(content)).model_dump_json()
        out = tmp_path / name / "c.parquet"
        files = [str(tmp_path / "problems.parquet"), str(out), str(out.with_name("l.json"))]
        sample.main(["--runtime", runtime, spec, *files])
        return out

    def done() -> dict[str, int]:
        found = (tmp_path / "killed").glob(".*.chunks/*.parquet")
        return {path.name: path.stat().st_mtime_ns for path in found}

    def kill_after_two_chunks() -> None:
        while len(done()) < 2:
            time.sleep(0.01)
        vllm_server.kill()

    killer = threading.Thread(target=kill_after_two_chunks)
    killer.start()
    with pytest.raises(UserError, match=r"asked 2 times.*only what is unfinished is repeated"):
        run("server", "killed")
    killer.join()
    kept = done()
    assert 2 <= len(kept) < 12
    assert not (tmp_path / "killed" / "c.parquet").exists()

    vllm_server.start()
    resumed = read_table(run("server", "killed"), CANDIDATES)
    plain = read_table(run("transformers", "plain"), CANDIDATES)
    assert resumed.select(_EXACT).equals(plain.select(_EXACT))
    # Ours are on a grid.
    gaps = np.abs(resumed["logprob"].to_numpy() - plain["logprob"].to_numpy())
    steps = [logprob_step(count) for count in plain["tokens"].to_pylist()]
    assert (gaps <= 0.5 * np.array(steps) + 1e-3).all()
