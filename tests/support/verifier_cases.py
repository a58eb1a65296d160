"""Every convention of verifiers against a reference: its text written out here, its score straight from the
logits or the saved head, one solution at a time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import load_file
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from isoflop.config.study import Running
from isoflop.config.verifiers import RunningVerifier
from isoflop.data.word_problems import generate_problems
from isoflop.engines.registry import ScoreRequest
from isoflop.rehearsal.tiny_verifiers import save_verifier
from isoflop.verifiers.kinds.qwen_prm import QWEN_SYSTEM

PROBLEMS = generate_problems("dev", 6, seed=4)
SOLUTIONS = [(problem.prompt, problem.solution.splitlines(keepends=True)) for problem in PROBLEMS]
# Steps with breaks inside, blank ends, text that looks like a mark, and no line's end.
SOLUTIONS += [
    ("Mia has 3 apples.", ["Step 1:\nMia has + 3.\n\n", "So - there are 4.\n\n", "The answer is 4."]),
    ("What is 1 + 1?", ["1 + 1 = 2"]),
]

Steps = Sequence[str]
Reference = Callable[[str, str, Steps], list[float]]
"""Scores from a folder, a problem and the steps of a solution."""


def entry(kind: str, folder: str, **settings: Any) -> RunningVerifier:
    one: RunningVerifier = TypeAdapter(Running).validate_python({"kind": kind, "model": folder, **settings})
    return one


def _ids(tokenizer: Any, text: str, special: bool) -> torch.Tensor:
    return torch.tensor([tokenizer(text, add_special_tokens=special)["input_ids"]])


def _hidden(folder: str, ids: torch.Tensor) -> torch.Tensor:
    model = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(ids).last_hidden_state[0]


def _logits(folder: str, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder).eval()(ids).logits[0].double()
    return logits


def _last_id(tokenizer: Any, text: str) -> int:
    return int(tokenizer.encode(text)[-1])


def math_shepherd(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = f"{problem} " + "\n".join(step.rstrip("\n") + " ки" for step in steps)
    ids = _ids(tokenizer, text, special=True)
    tag, good, bad = (_last_id(tokenizer, token) for token in ("ки", "+", "-"))
    pair = _logits(folder, ids)[:, [good, bad]].softmax(-1)[:, 0]
    return pair[ids[0] == tag].tolist()


def causal_orm(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = _ids(tokenizer, f"{problem}\n" + "".join(steps).rstrip("\n") + " ки", special=True)
    good, bad = (_last_id(tokenizer, token) for token in ("+", "-"))
    return [float(_logits(folder, ids)[-1, [good, bad]].softmax(-1)[0])]


def llemma(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = _ids(
        tokenizer, f"{problem}\n" + "\n".join(step.rstrip("\n") + " ки" for step in steps), special=True
    )
    return torch.sigmoid(_logits(folder, ids)[ids[0] == _last_id(tokenizer, "ки")].mean(-1)).tolist()


def rlhflow(folder: str, problem: str, steps: Steps) -> list[float]:
    """One pass per step, the answer predicted at the third place from the end."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    good, bad = _last_id(tokenizer, "+"), _last_id(tokenizer, "-")
    chat, scores = [], []
    for place, step in enumerate(steps):
        said = step.strip() if place else f"{problem} {step.strip()}"
        chat += [{"role": "user", "content": said}, {"role": "assistant", "content": "+"}]
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)["input_ids"]
        scores.append(float(_logits(folder, ids)[-3, [good, bad]].softmax(-1)[0]))
    return scores


def qwen_prm(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = (
        f"<|im_start|>system\n{QWEN_SYSTEM}<|im_end|>\n<|im_start|>user\n{problem}<|im_end|>\n"
        f"<|im_start|>assistant\n{'<extra_0>'.join(step.strip() for step in steps)}<extra_0><|im_end|>\n"
    )
    ids = _ids(tokenizer, text, special=False)
    head = load_file(Path(folder) / "model.safetensors")
    inner = torch.relu(_hidden(folder, ids) @ head["score.0.weight"].T + head["score.0.bias"])
    classes = (inner @ head["score.2.weight"].T + head["score.2.bias"]).softmax(-1)
    return classes[ids[0] == tokenizer.convert_tokens_to_ids("<extra_0>"), 1].tolist()


def skywork(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer.encode(tokenizer.bos_token + problem + "\n")
    places = []
    for step in steps:
        ids += [*tokenizer.encode(re.sub(r"\s*\n\s*", " ", step.strip())), tokenizer.encode("\n")[-1]]
        places.append(len(ids) - 1)
    head = load_file(Path(folder) / "model.safetensors")
    values = (
        _hidden(folder, torch.tensor([ids])) @ head["v_head.summary.weight"].T + head["v_head.summary.bias"]
    )
    return torch.sigmoid(values[places, 0]).tolist()


def token_pair(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    body = "".join(step.rstrip("\n") + "<extra_0>\n" for step in steps)
    text = f"<|im_start|>user\n{problem}\n<|im_end|>\n<|im_start|>assistant\n{body}<|im_end|>\n"
    ids = _ids(tokenizer, text, special=False)
    good, bad = (tokenizer.convert_tokens_to_ids(token) for token in "01")
    at_tags = _logits(folder, ids)[ids[0] == tokenizer.convert_tokens_to_ids("<extra_0>")]
    return at_tags[:, [good, bad]].softmax(-1)[:, 0].tolist()


def token_class(folder: str, problem: str, steps: Steps) -> list[float]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = _ids(
        tokenizer, f"{problem}\n" + "".join(s.rstrip("\n") + "<extra_0>\n" for s in steps), special=True
    )
    with torch.inference_mode():
        logits = AutoModelForTokenClassification.from_pretrained(folder).eval()(ids).logits[0]
    return logits[ids[0] == tokenizer.convert_tokens_to_ids("<extra_0>")].softmax(-1)[:, 2].tolist()


def _orm_logits(folder: str, problem: str, steps: Steps, chat: bool) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": f"{problem}\n"}, {"role": "assistant", "content": "".join(steps)}]
    text = tokenizer.apply_chat_template(messages, tokenize=False) if chat else f"{problem}\n{''.join(steps)}"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits: torch.Tensor = model(_ids(tokenizer, text, special=not chat)).logits[0]
    return logits


def orm(folder: str, problem: str, steps: Steps) -> list[float]:
    return torch.sigmoid(_orm_logits(folder, problem, steps, chat=False)).tolist()


def orm_classes(folder: str, problem: str, steps: Steps) -> list[float]:
    return [float(_orm_logits(folder, problem, [*steps], chat=True).softmax(-1)[0])]


@dataclass(frozen=True)
class Case:
    """A verifier: its kind, its keys, and how its scores are found by the book."""

    kind: str
    reference: Reference
    settings: dict[str, Any]
    labels: int | None = None

    def save(self, folder: Path) -> str:
        """A random checkpoint of the kind, with so many labels."""
        return save_verifier(folder, self.kind, **({"num_labels": self.labels} if self.labels else {}))


PAIR = {"chat": True, "step_tag": "<extra_0>", "good_token": "0", "bad_token": "1"}
CASES = [
    Case("math-shepherd", math_shepherd, {}),
    Case("llemma-rm", llemma, {}),
    Case("rlhflow", rlhflow, {}),
    Case("qwen-prm", qwen_prm, {}),
    Case("skywork-prm", skywork, {}),
    Case(
        "token-pair", token_pair, {"chat": True, "step_tag": "<extra_0>", "good_token": "0", "bad_token": "1"}
    ),
    Case("token-class", token_class, {"step_tag": "<extra_0>", "good_class": 2}),
    Case("orm", orm, {}),
    Case("orm", orm_classes, {"chat": True, "good_class": 0}, labels=2),
    Case("causal-orm", causal_orm, {}),
]
NAMES = [f"{case.kind} of {case.labels}" if case.labels else case.kind for case in CASES]


def requests(one: RunningVerifier) -> list[ScoreRequest]:
    return [ScoreRequest(one.prompt.format(problem=problem), tuple(steps)) for problem, steps in SOLUTIONS]
