"""Ages as people write them."""

from __future__ import annotations

import pytest

from batchscore.config import RunSettings, resolve
from batchscore.errors import UsageError
from batchscore.limits import Age


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
