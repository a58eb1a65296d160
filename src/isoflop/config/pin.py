"""Ask the Hugging Face hub for what a config leaves `unpinned`, and write it there.

A `revision: unpinned` becomes the commit that the repository's main branch is at now, a `sha256: unpinned`
the sum of the file at that commit. Nothing else of the file changes. `HF_ENDPOINT` names another hub,
`HF_TOKEN` a user whose access a gated repository needs.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from isoflop.config.base import UNPINNED
from isoflop.config.loading import load_config, read_yaml
from isoflop.errors import UserError
from isoflop.files import write_text


@dataclass(frozen=True)
class Gap:
    """A value to find: its place in the text, the key path, and what is asked for."""

    start: int
    end: int
    place: str
    kind: str  # of the repository: model or dataset
    repo: str
    revision: str
    path: str | None = None  # of the file whose sum is asked for; None for the commit


Commit = Callable[[str, str, str], str]
"""(kind, repository, revision) -> commit."""
Sum = Callable[[str, str, str, str], str]
"""(kind, repository, commit, path) -> sha256."""


def gaps(text: str) -> list[Gap]:
    """Everything that is unpinned in the text of a config, in its order.

    Raises UserError for what the hub cannot be asked for.
    """
    return sorted(_gaps(yaml.compose(text), ""), key=lambda gap: gap.start)


def filled(text: str, commit: Commit, sha256: Sum) -> tuple[str, list[tuple[str, str]]]:
    """The text with its gaps filled, and (key path, value) of each."""
    found, parts, at = [], [], 0
    for gap in gaps(text):
        exact = commit(gap.kind, gap.repo, "main" if gap.revision == UNPINNED else gap.revision)
        value = exact if gap.path is None else sha256(gap.kind, gap.repo, exact, gap.path)
        parts += [text[at : gap.start], value]
        at = gap.end
        found.append((gap.place, value))
    return "".join([*parts, text[at:]]), found


def _gaps(node: Any, place: str) -> Iterator[Gap]:
    if isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _gaps(value, f"{place}[{number}]")
    if not isinstance(node, yaml.MappingNode):
        return
    entries = {key.value: value for key, value in node.value}
    revision = entries.get("revision")
    if revision is not None and revision.value == UNPINNED:
        kind, repo = _repository(entries, place)
        yield Gap(*_span(revision), _inner(place, "revision"), kind, repo, UNPINNED)
    files = entries.get("files")
    if isinstance(files, yaml.SequenceNode):
        yield from _files(entries, files, place)
    for key, value in entries.items():
        if key != "files":
            yield from _gaps(value, _inner(place, key))


def _files(entries: Mapping[str, Any], files: yaml.SequenceNode, place: str) -> Iterator[Gap]:
    for number, file in enumerate(files.value):
        if not isinstance(file, yaml.MappingNode):
            continue  # a list of paths
        inside = {key.value: value for key, value in file.value}
        value = inside.get("sha256")
        if value is not None and value.value == UNPINNED:
            kind, repo = _repository(entries, place)
            where = _inner(place, f"files[{number}].sha256")
            revision = entries["revision"].value if "revision" in entries else UNPINNED
            yield Gap(*_span(value), where, kind, repo, revision, inside["path"].value)


def _repository(entries: Mapping[str, Any], place: str) -> tuple[str, str]:
    """The kind and name of the hub's repository that an entry is of."""
    if "model" in entries:
        return "model", str(entries["model"].value)
    hosts = [str(entries[key].value) for key in ("source", "host") if key in entries]
    if "repo" not in entries or hosts != ["hub"]:
        raise UserError(f"{place}: only the hub can be asked; give the commit and the sha256 yourself")
    return "dataset", str(entries["repo"].value)


def _span(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def _inner(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def hub_commit(kind: str, repo: str, revision: str) -> str:
    """The commit that a revision is at. Raises UserError if the hub does not say."""
    from huggingface_hub import HfApi  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        return str(HfApi().repo_info(repo, repo_type=kind, revision=revision).sha)
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise UserError(f"{repo}: the hub does not say its commit ({_reason(error)})") from error


def hub_sha256(kind: str, repo: str, commit: str, path: str) -> str:
    """The sum of a file, as the hub keeps it or of what it sends. Raises UserError if it has no such file."""
    from huggingface_hub import HfApi, hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        info = HfApi().repo_info(repo, repo_type=kind, revision=commit, files_metadata=True)
        files = {file.rfilename: file for file in getattr(info, "siblings", None) or []}
        if path not in files:
            raise UserError(f"{repo}: has no file {path!r} at {commit}")
        lfs = files[path].lfs
        if lfs is not None:
            return str(lfs.sha256)
        local = hf_hub_download(repo, path, repo_type=kind, revision=commit)
        return hashlib.sha256(Path(local).read_bytes()).hexdigest()
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise UserError(f"{repo}: {path} at {commit} cannot be fetched ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


def pin(path: Path) -> None:
    """Pin a config. Raises UserError, and changes nothing, where something cannot be found out."""
    read_yaml(path)  # a clear error for what is no config
    text, found = filled(path.read_text(encoding="utf-8"), hub_commit, hub_sha256)
    for place, value in found:
        print(f"{place}: {value}", file=sys.stderr)
    if found:
        write_text(path, text)
    load_config([path])
    print(f"{path}: {len(found)} filled in; everything is pinned", file=sys.stderr)
