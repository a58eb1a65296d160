"""Where the bytes of a data set come from: a local file, a file of the hub, or a mirror of the hub.

Every file is checked against its sha256 before any of it is parsed.
"""

import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import quote

from isoflop.data.rows import Row, read_rows
from isoflop.errors import UserError

_GITHUB = "https://raw.githubusercontent.com"
# Where GitHub has the files of which a repository holds only a pointer (Git LFS), and how a pointer begins.
_GITHUB_LARGE = "https://media.githubusercontent.com/media"
_POINTER = b"version https://git-lfs.github.com/spec/"
_PIECE = 2**20  # bytes read at once
_MOST_BYTES = 2**34  # of a file at an address: what is larger is not meant for this
_TIMEOUT = 60.0  # seconds without an answer


def read_file(path: Path) -> bytes:
    """The content of a local file; raises UserError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def check_sha256(path: Path, data: bytes, expected: str | None) -> str:
    """The sha256 of `data`, read from `path`; raises UserError if it is not `expected` (None: any)."""
    found = hashlib.sha256(data).hexdigest()
    if expected is not None and found != expected:
        raise UserError(
            f"{path}: sha256 is {found}, the config expects {expected}; "
            "get the file again, or correct the config if the change is meant"
        )
    return found


def hub_file(repo: str, revision: str, path: str, mirror: Path | None, kind: str = "dataset") -> Path:
    """The local copy of a file of a hub `kind`: `mirror`/`repo`/`path`, or a download at `revision`.

    With a mirror nothing is downloaded. Raises UserError if the file cannot be had.
    """
    if mirror is not None:
        return _mirrored(mirror, repo, revision, path)
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(repo, path, repo_type=kind, revision=revision))
    except (OSError, HfHubHTTPError, ValueError) as error:
        reason = str(error).strip().split("\n", 1)[0]
        raise UserError(
            f"{repo}: {path} at {revision} cannot be downloaded ({reason}); "
            "without a network, set `mirror` to a folder that holds it"
        ) from error


def repository_file(host: str, repo: str, revision: str, path: str, sha256: str, mirror: Path | None) -> Path:
    """The local copy of a file of a repository, on `github` or the `hub`, checked against its sha256."""
    if host == "github":
        return github_file(repo, revision, path, sha256, mirror)
    local = hub_file(repo, revision, path, mirror)
    check_sha256(local, read_file(local), sha256)
    return local


def github_file(repo: str, revision: str, path: str, sha256: str, mirror: Path | None) -> Path:
    """The local copy of a file of a GitHub repository: `mirror`/`repo`/`path`, or a download at `revision`.

    A download is kept under `ISOFLOP_CACHE` (default ~/.cache/isoflop) and goes on where it was broken off.
    Raises UserError if the file cannot be had or is not the one with that `sha256`.
    """
    if mirror is not None:
        local = _mirrored(mirror, repo, revision, path)
    else:
        local = _cache() / "github" / repo / revision / path
        if not _kept(local, sha256):
            place = f"{repo}/{revision}/{quote(path)}"
            if _download(f"{_GITHUB}/{place}", local, sha256):
                _download(f"{_GITHUB_LARGE}/{place}", local, sha256)
    check_sha256(local, read_file(local), sha256)
    return local


def url_file(url: str, sha256: str, mirror: Path | None) -> Path:
    """The local copy of a file at an address: `mirror`/`host`/`path`, or a download, kept by its sha256.

    Raises UserError if the file cannot be had or is not the one with that `sha256`.
    """
    host, _, path = url.partition("://")[2].partition("/")
    if mirror is not None:
        local = mirror / host / path
        if not local.is_file():
            raise UserError(f"{local}: not there; the mirror must hold what is at {url}")
    else:
        local = _cache() / "url" / sha256 / Path(path).name
        if not _kept(local, sha256):
            _download(url, local, sha256)
    check_sha256(local, read_file(local), sha256)
    return local


def _kept(local: Path, sha256: str) -> bool:
    """Whether an earlier download is there and whole; one that is damaged is fetched again."""
    if not local.is_file():
        return False
    whole = hashlib.sha256(read_file(local)).hexdigest() == sha256
    if not whole:
        print(f"note: {local}: sha256 is not {sha256}; it is downloaded again", file=sys.stderr)
    return whole


def _cache() -> Path:
    return Path(os.environ.get("ISOFLOP_CACHE", Path.home() / ".cache" / "isoflop"))


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere, but never from https to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith(f"{req.type}://"):
            raise urllib.error.HTTPError(newurl, code, f"leads from {req.type} to {newurl:.60}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _mirrored(mirror: Path, repo: str, revision: str, path: str) -> Path:
    local = mirror / repo / path
    if not local.is_file():
        raise UserError(f"{local}: not there; the mirror must hold {path} of {repo} at {revision}")
    return local


def _download(url: str, target: Path, sha256: str) -> bool:
    """Fetch `url` to `target`, going on from what an earlier attempt left; whether it only pointed to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{sha256[:16]}.part")
    have = part.stat().st_size if part.is_file() else 0
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        with (
            urllib.request.build_opener(_SameScheme).open(request, timeout=_TIMEOUT) as answer,
            # A server that does not go on sends the whole file (200 instead of 206).
            part.open("ab" if answer.status == HTTPStatus.PARTIAL_CONTENT else "wb") as file,
        ):
            missing = int(answer.headers.get("Content-Length", 0))
            while piece := answer.read(_PIECE):
                missing -= file.write(piece)
                if max(file.tell(), file.tell() + missing) > _MOST_BYTES:
                    raise UserError(f"{url}: is larger than {_MOST_BYTES:,} bytes; split it")
            # The library takes a connection that breaks off for the end.
            if missing > 0:
                raise ConnectionError(f"{missing} bytes are missing")
    except urllib.error.HTTPError as error:
        # Nothing after what is there: the part is the whole.
        if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise UserError(f"{url}: the server says {error.code} ({error.reason})") from error
    # Also of an address that is none, and of an answer that is no HTTP.
    except (OSError, ValueError, HTTPException) as error:
        raise UserError(
            f"{url}: cannot be downloaded ({error}); run again to go on, or without a network set `mirror` "
            "to a folder that holds it"
        ) from error
    data = part.read_bytes()
    if data.startswith(_POINTER) and sha256.encode() in data:
        part.unlink()
        return True
    try:
        check_sha256(part, data, sha256)
    except UserError:
        part.unlink()
        raise
    os.replace(part, target)
    return False


def read_hub_rows(path: Path, name: str) -> Iterator[Row]:
    """The rows of a hub data set's file; `name` is what errors call it.

    CSV and JSON are read as they are written, for the `datasets` library guesses types: "007" would be 7,
    "2024-01-05 10:30:00" a time, and 5 beside 2.5 would be 5.0. It reads Parquet.

    Raises UserError if the library cannot read the file.
    """
    if path.suffix in (".csv", ".jsonl", ".json"):
        yield from read_rows(name, read_file(path))
        return
    if path.suffix != ".parquet":
        raise UserError(
            f"{name}: cannot read '{path.suffix}' files; give one of .csv, .jsonl, .json, .parquet"
        )
    import datasets  # noqa: PLC0415

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        try:
            rows = datasets.load_dataset(
                "parquet",
                data_files=str(path),
                split="train",
                cache_dir=cache,
                keep_in_memory=True,
            ).to_list()
        except (datasets.exceptions.DatasetsError, UnicodeDecodeError) as error:
            reason = str(error.__cause__ or error).strip().split("\n", 1)[0]
            raise UserError(f"{name}: the datasets library cannot read it ({reason})") from error
    for number, values in enumerate(rows, start=1):
        yield f"{name}, row {number}", values
