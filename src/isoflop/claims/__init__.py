"""What the two papers claim and what a headline tells, tested on a study."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.claims.gains import Gain, all_gains
    from isoflop.claims.setting import Setting
    from isoflop.claims.snell2024 import snell_claims
    from isoflop.claims.wu2024 import wu_claims

__all__ = ["Gain", "Setting", "all_gains", "snell_claims", "wu_claims"]

face(__name__)
