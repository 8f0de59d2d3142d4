"""Limits as people write them: `100`, `0.1%`, `26h`, `off`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from batchscore.settings.parsed import Parsed

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{0,30})?|\.[0-9]{1,30}")
"""Digits only: an exponent may spell a number that is too long to compute with."""

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")

_SECONDS = {"m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Limit(Parsed):
    """A limit on a count: at most `count` things, or at most `fraction` of them all, or none (`off`).

    Written `100`, `0.1%` or `off`.
    """

    text: str
    count: int | None = None
    fraction: Fraction | None = None

    @classmethod
    def parse(cls, value: object) -> Limit:
        """The limit that `value` (text or a whole number) spells; ValueError if it spells none."""
        if isinstance(value, Limit):
            return value
        text = str(value).strip()
        hint = f"{text!r} is not a limit: write a count (100), a share (0.1%) or off"
        if isinstance(value, bool):
            raise ValueError(hint)  # noqa: TRY004 - pydantic collects ValueError
        if text.lower() == "off":
            return cls("off")
        try:
            if text.endswith("%"):
                percent = Fraction(text[:-1]) if _PERCENT.fullmatch(text[:-1]) else -1
                if 0 <= percent <= 100:  # noqa: PLR2004 - all of them
                    return cls(text, fraction=Fraction(percent) / 100)
            elif int(text) >= 0:
                return cls(text, count=int(text))
        except ValueError:
            pass
        raise ValueError(hint)

    def exceeded(self, count: int, total: int) -> bool:
        """Whether `count` of `total` is more than the limit allows."""
        if self.count is not None:
            return count > self.count
        return self.fraction is not None and count > self.fraction * total

    def exceeded_by(self, share: float) -> bool:
        """Whether `share` (0 to 1) is more than the limit allows; a limit that is a count allows any."""
        return self.fraction is not None and share > self.fraction

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Multiple(Parsed):
    """How many times something a figure may be, or any number of times (`off`). Written `3`, `2.5` or `off`."""

    text: str
    times: float | None = None

    @classmethod
    def parse(cls, value: object) -> Multiple:
        """The multiple that `value` (text or a number) spells; ValueError if it spells none."""
        if isinstance(value, Multiple):
            return value
        text = str(value).strip()
        if text.lower() == "off":
            return cls("off")
        if _NUMBER.fullmatch(text) is None or not float(text):
            raise ValueError(f"{text!r} is not a multiple: write a number above 0 (3, 2.5) or off")
        return cls(text, times=float(text))

    def exceeded(self, times: float) -> bool:
        """Whether `times` is more than allowed."""
        return self.times is not None and times > self.times

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Age(Parsed):
    """How old something may be, in seconds, or any age (`off`). Written `90m`, `26h`, `30d` or `off`."""

    text: str
    seconds: int | None = None

    @classmethod
    def parse(cls, value: object) -> Age:
        """The age that `value` spells; ValueError if it spells none."""
        if isinstance(value, Age):
            return value
        text = str(value).strip()
        if text.lower() == "off":
            return cls("off")
        spelled = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
        if spelled is None:
            raise ValueError(f"{text!r} is not an age: write minutes (90m), hours (26h), days (30d) or off")
        return cls(text, seconds=int(spelled[1]) * _SECONDS[spelled[2]])

    def exceeded(self, seconds: float) -> bool:
        """Whether `seconds` is older than allowed."""
        return self.seconds is not None and seconds > self.seconds

    def __str__(self) -> str:
        return self.text
