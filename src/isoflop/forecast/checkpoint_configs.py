"""The config.json of checkpoints, without their weights: local folders, the hub's cache, the hub."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isoflop.errors import UserError
from isoflop.files import located

_CONNECT_SECONDS = 5


def key_width(config: Mapping[str, Any]) -> int:
    """Width of one token's keys in one layer, from a config.json. Raises UserError where it says none."""
    try:
        heads = int(config["num_attention_heads"])
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        return int(config.get("num_key_value_heads") or heads) * width
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"config.json: has no attention heads that can be counted ({error})") from error


class CheckpointConfigs:
    """Where configs of checkpoints are: folders, the local hub cache, the hub itself if it can be reached.

    The hub is asked for nothing unless it answers a first question soon.
    """

    def __init__(self, *, offline: bool = False) -> None:
        self._online = False if offline else None

    def folder(self, model: str, revision: str | None) -> Path | None:
        """A folder that holds the model's config.json; None where it cannot be found."""
        local = located(model)
        if (local / "config.json").is_file():
            return local
        if revision is None:
            return None
        from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: PLC0415
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent
        if self._online is None:
            self._online = _hub_answers()
        if not self._online:
            return None
        try:
            return Path(hf_hub_download(model, "config.json", revision=revision)).parent
        except (OSError, HfHubHTTPError, ValueError):
            return None  # gated, gone or cut off: the size is found otherwise, and said to be

    def config(self, model: str, revision: str | None) -> dict[str, Any] | None:
        """The content of config.json; None if it cannot be fetched. Raises UserError if it is not JSON."""
        folder = self.folder(model, revision)
        if folder is None:
            return None
        try:
            content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"model {model!r}: its config.json cannot be read ({error})") from error
        return content if isinstance(content, dict) else None


def _hub_answers() -> bool:
    from huggingface_hub import constants  # noqa: PLC0415

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        # The library itself would try again and again.
        with urllib.request.urlopen(constants.ENDPOINT, timeout=_CONNECT_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
