"""A small study of every kind of job, as a config is read."""

from typing import Any


def demo_study() -> dict[str, Any]:
    words = {"source": "wordproblems", "size": 6}
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "seed": 1}
    shape = {"hidden_size": 32, "layers": 1, "heads": 2, "kv_heads": 2, "intermediate_size": 64}
    return {
        "experiment": "demo",
        "seed": 7,
        "datasets": {
            "words": words | {"split": "test"},
            "train": words | {"split": "train"},
            "own": {
                "source": "file",
                "path": "own.csv",
                "fields": {"prompt": "q", "answer": "a"},
                "grader": "math",
            },
        },
        "policies": {"small": {"model": "models/small"}, "tuned": {"trained": "base"}},
        "verifiers": {"prm": {"kind": "math-shepherd", "trained": "prm", "prompt": "{problem}\n"}},
        "generators": {
            "greedy": {"kind": "greedy", "max_tokens": 16},
            "sampling": {"kind": "sampling", "samples": 4, "max_tokens": 16},
        },
        "budgets": [1, 2, 4],
        "selectors": ["majority", "weighted"],
        "step_aggregations": ["last", "min"],
        "headline": {"selector": "weighted"},
        "training": {
            "base": recipe
            | {
                "kind": "policy",
                "init": {"architecture": shape},
                "data": {"dataset": "train", "held_out": "train"},
            },
            "prm": recipe
            | {
                "kind": "prm",
                "init": {"trained": "base"},
                "data": {"labels": "rollouts", "held_out": "rollouts"},
            },
        },
        "labels": {
            "rollouts": {
                "problems": "train",
                "policies": ["small"],
                "samples_per_problem": 2,
                "completer": "tuned",
                "rollouts": 2,
                "max_tokens": 16,
            }
        },
    }


def with_revisions(raw: dict[str, Any]) -> dict[str, Any]:
    """The study with a revision model, its chains and a verifier of chains."""
    raw["datasets"]["more"] = {"source": "wordproblems", "split": "train", "size": 6, "seed": 2}
    recipe = {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "seed": 1}
    raw["revisions"] = {
        "wrong": {"problems": "more", "policy": "small", "samples_per_problem": 4, "max_tokens": 16}
    }
    raw["training"]["reviser"] = recipe | {
        "kind": "policy",
        "init": {"model": "models/small", "positions": 64},
        "data": {"revisions": "wrong", "held_out": "wrong"},
    }
    raw["policies"]["reviser"] = {"trained": "reviser"}
    raw["chain_labels"] = {
        "judged": {"problems": "more", "policy": "reviser", "chains": 2, "length": 3, "max_tokens": 16}
    }
    for name, history in (("orm", True), ("blind", False)):
        raw["training"][name] = recipe | {
            "kind": "prm",
            "init": {"model": "models/small"},
            "data": {"chain_labels": "judged", "held_out": "judged", "history": history},
        }
        raw["verifiers"][name] = {"kind": "causal-orm", "trained": name, "history": 4 * history}
    for name in ("greedy", "sampling"):
        raw["generators"][name]["only"] = {"policies": ["small", "tuned"]}
    raw["generators"]["sampling"]["verifiers"] = ["prm"]
    raw["generators"]["revisions"] = {
        "kind": "revisions", "chains": 4, "length": 4, "largest": 8, "max_tokens": 16,
        "only": {"policies": ["reviser"]}, "verifiers": ["orm", "blind"],
    }  # fmt: skip
    raw["difficulty"] = {"generator": "sampling"}
    raw["compute_optimal"] = {"families": {"ratios": ["revisions/*", "revisions/4+majority"]}}
    return raw
