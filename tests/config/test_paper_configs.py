"""What the papers' configs say, where a test can hold it against what is known."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from isoflop.config.datasets import GithubSource
from isoflop.config.loading import load_config
from isoflop.config.study import Config
from isoflop.data.loading import load_repository
from isoflop.engines.prompts import PromptEncoder
from isoflop.rehearsal.tiny_verifiers import LLAMA_TEMPLATE, SPECIAL, byte_tokenizer
from isoflop.search.algorithms.beam import Beam
from isoflop.search.algorithms.lookahead import Lookahead
from isoflop.search.registry import nominal_samples

ROOT = Path(__file__).parents[2]
REAL_DATA = Path(os.environ.get("ISOFLOP_DATA") or Path(__file__).parents[3] / "shared" / "data")
PAPERS = ("wu2024", "beeching2024", "snell2024")


def paper(name: str) -> Config:
    return load_config([f"configs/{name}.yaml"], root=ROOT, unpinned=True)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", PAPERS)
def test_math500_is_the_authors_file_to_the_byte(name: str, tmp_path: Path) -> None:
    """Their file has the columns of the 500 problems in another order, and levels as numbers."""
    path = REAL_DATA / "math500" / "test.jsonl"
    if not path.is_file():
        pytest.skip(f"real data not here: {path}; set ISOFLOP_DATA")
    known = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    columns = ("problem", "solution", "answer", "subject", "level", "unique_id")
    rows = [
        {column: row[column] for column in columns} | {"level": int(row["level"].removeprefix("Level "))}
        for row in known
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    entry = paper(name).datasets["math500"]
    assert isinstance(entry, GithubSource)
    [file] = entry.files
    assert hashlib.sha256(content).hexdigest() == file.sha256
    placed = tmp_path / entry.repo / file.path
    placed.parent.mkdir(parents=True)
    placed.write_bytes(content)
    problems, _ = load_repository(entry, tmp_path)
    assert [one.problem_id for one in problems] == [row["unique_id"] for row in known]
    for one, row in zip(problems, known, strict=True):
        assert (one.prompt, one.answer, one.solution) == (row["problem"], row["answer"], row["solution"])
        assert (f"Level {one.level}", one.subject) == (row["level"], row["subject"])


def test_llama_3_begins_with_one_begin_token_and_the_same_date_every_day() -> None:
    """Its ids are those of the form with the token written out, which a chat's encoder does not add again."""
    config = paper("beeching2024")
    tokenizer = byte_tokenizer("llama3")
    begin = SPECIAL["llama3"][0]
    for name in ("llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b", "llama-3.1-70b"):
        policy = config.policies[name]
        encoder = PromptEncoder(
            tokenizer, chat=policy.chat, system=policy.system, template=policy.chat_template
        )
        [ids] = encoder.ids(["What is 1 + 1?"])
        assert ids[0] == tokenizer.bos_token_id
        assert ids.count(tokenizer.bos_token_id) == 1
        text = tokenizer.decode(ids)
        header = "<|start_header_id|>{}<|end_header_id|>\n\n"
        dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        assert policy.system is not None
        assert text == (
            f"{begin}{header.format('system')}{dates}{policy.system.strip()}<|eot_id|>"
            f"{header.format('user')}What is 1 + 1?<|eot_id|>{header.format('assistant')}"
        )
    own = PromptEncoder(tokenizer, chat=True, template=LLAMA_TEMPLATE)
    assert own.ids(["Q?"])[0].count(tokenizer.bos_token_id) == 1
    assert config.policies["qwen2.5-1.5b"].chat_template is None


def test_lookahead_is_measured_where_beam_search_and_best_of_n_have_as_many_generations() -> None:
    config = paper("snell2024")
    beams = {
        budget for entry in config.searches.values() if isinstance(entry, Beam) for budget in entry.budgets
    }
    points = {
        name: [nominal_samples(entry, budget) for budget in entry.budgets]
        for name, entry in config.searches.items()
        if isinstance(entry, Lookahead)
    }
    assert points == {
        "lookahead-3-4": [16, 64, 256],
        "lookahead-3-sqrt": [4, 16, 64, 256],
        "lookahead-1-sqrt": [8, 32, 128],
    }
    for generations in points.values():
        assert set(generations) <= beams
        assert set(generations) <= set(config.budgets)


def test_families_are_those_of_the_papers() -> None:
    families = {name: {one.family for one in paper(name).policies.values()} for name in PAPERS}
    assert families == {
        "wu2024": {"pythia", "llemma", "mistral", "llama-3"},
        "beeching2024": {"llama", "qwen"},
        "snell2024": {"qwen"},
    }
    wu = paper("wu2024")
    assert sum(one.family == "pythia" for one in wu.policies.values()) == 5
    assert {name for name, one in wu.policies.items() if one.step_tag == " ки"} == {"llemma-7b", "llemma-34b"}
