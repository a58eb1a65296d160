"""What a study will take and what it will decide, before it is paid for."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.forecast.changes import Change, Effect, changes, told
    from isoflop.forecast.command import make_forecast
    from isoflop.forecast.study_work import study_work
    from isoflop.forecast.tables import Forecast, as_csv, as_json, as_text

__all__ = [
    "Change",
    "Effect",
    "Forecast",
    "as_csv",
    "as_json",
    "as_text",
    "changes",
    "make_forecast",
    "study_work",
    "told",
]

face(__name__)
