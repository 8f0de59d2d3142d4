"""Ages as people write them."""

from __future__ import annotations

import pytest

from batchscore.errors import UsageError
from batchscore.settings.limits import Age, Limit, Multiple
from batchscore.settings.resolve import resolve
from batchscore.settings.run import RunSettings


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("26h", 93_600), ("30d", 2_592_000), ("0h", 0), (" 1d ", 86_400)]
)
def test_an_age_is_minutes_hours_or_days(text, seconds):
    age = Age.parse(text)
    assert age.seconds == seconds
    assert not age.exceeded(seconds)
    assert age.exceeded(seconds + 1)
    assert str(age) == text.strip()


def test_off_is_any_age():
    assert not Age.parse("OFF").exceeded(1e12)


@pytest.mark.parametrize(
    "text", ["26", "26 h", "1.5h", "-1h", "h", "26H", "1h30m", "1w", "never", 26, "\N{ARABIC-INDIC DIGIT THREE}h"]
)
def test_everything_else_is_refused(text):
    with pytest.raises(UsageError) as refused:
        resolve(RunSettings, "run", {"input": "i", "output": "o", "max_input_age": text})
    message = f"max_input_age: {str(text)!r} is not an age: write minutes (90m), hours (26h), days (30d) or off"
    assert message in str(refused.value)


@pytest.mark.parametrize(("text", "times"), [("3", 3), (2.5, 2.5), ("off", None), ("OFF", None), ("0.001", 0.001)])
def test_a_multiple_is_a_number_above_zero_or_off(text, times):
    assert Multiple.parse(text).times == times


@pytest.mark.parametrize("text", ["0", "-1", "3x", "1e3", "nan", "inf", "", "50%"])
def test_what_is_no_multiple(text):
    with pytest.raises(ValueError, match="write a number above 0"):
        Multiple.parse(text)


def test_a_multiple_is_exceeded_beyond_it():
    assert not Multiple.parse("3").exceeded(3)
    assert Multiple.parse("3").exceeded(3.01)
    assert not Multiple.parse("off").exceeded(1e9)


def test_a_share_is_exceeded_beyond_it():
    assert not Limit.parse("50%").exceeded_by(0.5)
    assert Limit.parse("50%").exceeded_by(0.51)
    assert not Limit.parse("off").exceeded_by(1)
