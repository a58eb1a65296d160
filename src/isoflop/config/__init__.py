"""The typed config: one module per section, its checks and docs."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.config.checks import unpinned
    from isoflop.config.differences import Difference, differences
    from isoflop.config.loading import build_config, load_config
    from isoflop.config.study import Config, config_yaml

__all__ = ["Config", "Difference", "build_config", "config_yaml", "differences", "load_config", "unpinned"]

face(__name__)
