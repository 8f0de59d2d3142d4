"""The declaration of a setting: all that flags, `--help` and the manual say of it, beside its type and default."""

from __future__ import annotations


class Setting:
    """What a setting is, for people; it stands in the annotation of the field that it describes.

    `metavar` stands for the value; `meaning` is one sentence or two. `default` says in words what counts if nothing
    is given, where the field's own default does not say it. `more` is what the manual adds.
    """

    __slots__ = ("default", "environment", "meaning", "metavar", "more", "written")

    def __init__(
        self, metavar: str, meaning: str, more: str = "", *, default: str = "", environment: str | None = None,
        written: bool = False,
    ) -> None:  # fmt: skip
        self.metavar, self.meaning, self.more, self.default = metavar, meaning, more, default
        self.environment = environment
        """The variable that gives the value if neither a flag nor the file does."""
        self.written = written
        """Whether it is a path that the command writes to; every other one is read."""


class Argument(Setting):
    """A setting that stands on the command line by its place, without a flag."""

    __slots__ = ()


class Switch(Setting):
    """A setting that is on or off: its flag takes no value."""

    __slots__ = ()

    def __init__(self, meaning: str, more: str = "") -> None:
        super().__init__("", meaning, more)
