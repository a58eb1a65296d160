"""Tables of other tools that people have: what they are told by, and the mapping that reads them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

TABLE = "table"
_PLAIN = re.compile(r"[A-Za-z_][\w.*/-]*")


@dataclass(frozen=True)
class Schema:
    """A schema of another tool.

    `columns`: those that tell it from others. `format`: what reads it; for `table`, `mapping` has the path of
    each column and `where` what chooses rows (values in capitals are for the reader to fill in).
    `note`: what else there is to know.
    """

    name: str
    columns: frozenset[str]
    format: str = TABLE
    mapping: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def config(self, values: Mapping[str, object]) -> str:
        """What to write so that rows with the columns of `values` are read."""
        if self.format != TABLE:
            return f"write `format: {self.format}`{self.note}"
        mapping = {name: path for name, path in self.mapping.items() if _head(path) in values}
        read = {_head(path) for path in (*mapping.values(), *self.where)}
        rest = [name for name in values if name not in read]
        keys = [f"columns: {flow(mapping)}"]
        keys += [f"where: {flow(self.where)}"] if self.where else []
        keys += [f"ignore: {flow(rest)}"] if rest else []
        return f"write `format: {TABLE}` with `{'`, `'.join(keys)}`{self.note}"


SCHEMAS = (
    Schema("samples of search-and-learn", frozenset({"problem", "completions"}), "search-and-learn"),
    Schema("answers of the REBASE authors", frozenset({"question", "model_answer"}), "rebase"),
    Schema("an evaluation of Qwen2.5-Math", frozenset({"question", "gt", "code"}), "qwen-math"),
    Schema("a sample log of lm-evaluation-harness", frozenset({"doc_id", "doc", "resps"}), "lm-eval"),
    Schema("records of compute-optimal-tts", frozenset({"question", "groundtruth", "output"}), "optimal-tts"),
    Schema(
        "outputs of MathArena",
        frozenset({"model_name", "answer", "gold_answer", "output_tokens"}),
        mapping={
            "problem": "problem",
            "text": "answer",
            "reference": "gold_answer",
            "tokens": "output_tokens",
        },
        where={"model_name": "NAME"},
        note="; `answer` is the whole response",
    ),
    Schema(
        "samples of an inspect_ai log",
        frozenset({"id", "epoch", "input", "target", "output"}),
        "inspect",
        note=" and give the log itself (.eval or .json)",
    ),
    Schema(
        "samples of EvalPlus",
        frozenset({"task_id", "solution"}),
        mapping={"problem_id": "task_id", "text": "solution"},
    ),
    Schema(
        "samples of HumanEval",
        frozenset({"task_id", "completion"}),
        mapping={"problem_id": "task_id", "text": "completion"},
        note=" and `continuation: true`: a completion goes on where the problem's prompt ends",
    ),
    Schema(
        "events of OpenAI evals",
        frozenset({"run_id", "event_id", "sample_id", "type", "data"}),
        mapping={"problem": "data.prompt.-1.content", "text": "data.sampled"},
        where={"type": "sampling"},
    ),
    Schema(
        "the output of an OpenAI batch",
        frozenset({"custom_id", "response"}),
        mapping={
            "problem_id": "custom_id",
            "text": "response.body.choices.*.message.content",
            "finish": "response.body.choices.*.finish_reason",
            "tokens": "response.body.usage.completion_tokens",
        },
    ),
    Schema(
        "samples of Large Language Monkeys",
        frozenset({"question", "samples", "gt_answer"}),
        mapping={"problem": "question", "text": "samples", "reference": "gt_answer"},
    ),
    Schema(
        "outputs of NeMo-Skills",
        frozenset({"generation", "expected_answer"}),
        mapping={
            "problem": "problem",
            "text": "generation",
            "reference": "expected_answer",
            "tokens": "num_generated_tokens",
        },
    ),
    Schema(
        "details of lighteval",
        frozenset({"doc", "model_response", "metric"}),
        mapping={"problem": "doc.query", "text": "model_response.text"},
    ),
    Schema(
        "generations of Open-R1",
        frozenset({"problem", "generations"}),
        mapping={"problem": "problem", "text": "generations", "reference": "answer"},
    ),
)

# What people call the columns of a table.
_ALSO = {
    "problem_id": ("id", "task_id", "question_id", "unique_id", "problem_idx", "sample_id", "doc_id"),
    "problem": ("question", "query", "prompt", "input", "instruction", "problem_text"),
    "text": ("response", "completion", "output", "generation", "model_output", "solution", "sample"),
    "answer": ("prediction", "pred", "parsed_answer", "extracted_answer", "model_answer"),
    "reference": ("gold", "target", "gt", "gold_answer", "ground_truth", "expected_answer", "groundtruth"),
    "tokens": ("completion_tokens", "output_tokens", "num_tokens", "n_tokens", "generated_tokens"),
    "score": ("reward", "pred_score", "rm_score", "orm_score", "verifier_score"),
    "step_scores": ("prm_scores", "step_rewards", "rewards"),
    "finish": ("finish_reason", "stop_reason"),
    "budget": ("n", "num_samples"),
    "run": ("seed", "epoch", "trial", "repeat"),
    "completion_tokens": ("tokens", "output_tokens", "num_tokens"),
    "scores": ("step_scores", "prm_scores", "rewards"),
    "completions": ("responses", "outputs", "generations", "samples"),
}


def recognised(values: Mapping[str, object]) -> Schema | None:
    """The schema that a row's columns are of."""
    return next((schema for schema in SCHEMAS if schema.columns <= values.keys()), None)


def advice(unknown: Sequence[str], absent: Sequence[str]) -> str:
    """What unknown columns may be, of those that are not there: `; perhaps columns: {text: response}`."""
    meant: dict[str, str] = {}
    for name in absent:
        others = (name, *_ALSO.get(name, ()))
        found = next((one for one in unknown if one.strip().lower() in others), None)
        if found is not None and found not in meant.values():
            meant[name] = found
    return f"; perhaps `columns: {flow(meant)}`" if meant else ""


def flow(values: Sequence[str] | Mapping[str, str]) -> str:
    """A list or a mapping as YAML has it on one line."""
    if isinstance(values, Mapping):
        return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in values.items()) + "}"
    return f"[{', '.join(map(_scalar, values))}]"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _head(path: str) -> str:
    return path.partition(".")[0]
