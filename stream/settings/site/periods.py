"""Periods of the week in the site file."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import Field, model_validator

from stream.alarm.schedule import DAYS, Period, overlap, periods_of
from stream.settings.site.site_model import SiteModel
from stream.settings.site.values import Day, TimeOfDay


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


class PeriodModel(SiteModel):
    """A period of the week in which alarms are raised."""

    days: Annotated[list[Day], Field(min_length=1)] = Field(
        list(DAYS), description="Days on which the period begins. Default: every day."
    )
    begin: TimeOfDay = Field(alias="from", description='"HH:MM" in `time_zone`.')
    end: TimeOfDay = Field(
        alias="to", description='"HH:MM", up to "24:00". A time that is not after `from` is on the next day.'
    )

    @model_validator(mode="after")
    def _takes_time(self) -> PeriodModel:
        if self.begin == self.end:
            raise ValueError(f'from and to are both {self.begin}; for a whole day use "00:00" to "24:00"')
        if self.begin == "24:00":
            raise ValueError('from is 24:00; must be "00:00" to "23:59"')
        return self

    @property
    def periods(self) -> list[Period]:
        return periods_of(self.days, _minutes(self.begin), _minutes(self.end))


def disjoint(entries: list[PeriodModel]) -> list[PeriodModel]:
    """Raises ValueError if two entries overlap."""
    periods = [(number, period) for number, entry in enumerate(entries, start=1) for period in entry.periods]
    for (earlier, one), (later, two) in itertools.combinations(periods, 2):
        if (minute := overlap(one, two)) is not None:
            day, minute = divmod(minute, 24 * 60)
            at = f"{DAYS[day]} {minute // 60:02}:{minute % 60:02}"
            raise ValueError(f"entries {earlier} and {later} overlap on {at}; entries must not overlap")
    return entries
