"""Write envs/*.yaml, the software per rule for `--sdm conda`, from the one file of pins.

python envs/update.py
"""

from pathlib import Path

ANALYSIS = (
    "datasets", "jinja2", "math-verify", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "PyYAML",
    "scipy", "seaborn", "tokenizers",
)  # fmt: skip
TORCH = ("accelerate", "gguf", "httpx2", "rapidfuzz", "safetensors", "torch", "transformers")
ENVIRONMENTS = {"analysis": ANALYSIS, "torch": (*ANALYSIS, *TORCH)}


def pins(text: str) -> dict[str, str]:
    """Versions by lower-case package name, from the lines of a constraints file."""
    lines = [line.split("==") for line in text.splitlines() if "==" in line]
    return {name.strip().lower(): version.strip() for name, version in lines}


def environment(name: str, versions: dict[str, str]) -> str:
    """The conda environment `name`; packages come from pip, in the versions the tests run with."""
    lines = [
        "# Written by envs/update.py from constraints.txt; edit that file instead.",
        f"name: isoflop-{name}",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        "  - python =3.12",
        "  - pip",
        "  - pip:",
    ]
    if "torch" in ENVIRONMENTS[name]:
        lines.append("      - --extra-index-url https://download.pytorch.org/whl/cpu")
    lines += [f"      - {package}=={versions[package.lower()]}" for package in ENVIRONMENTS[name]]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    here = Path(__file__).parent
    found = pins((here.parent / "constraints.txt").read_text(encoding="utf-8"))
    for name in ENVIRONMENTS:
        (here / f"{name}.yaml").write_text(environment(name, found), encoding="utf-8")
