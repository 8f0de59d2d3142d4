"""What time it is: UTC, everywhere."""

from __future__ import annotations

import datetime as dt


def utc_now() -> dt.datetime:
    """The time in UTC, with its zone."""
    return dt.datetime.now(dt.UTC)


def utc_today() -> dt.date:
    """The date in UTC."""
    return utc_now().date()
