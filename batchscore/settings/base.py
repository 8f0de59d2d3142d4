"""What the settings of all commands have in common."""

from __future__ import annotations

import datetime as dt
import os
from inspect import get_annotations
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from batchscore.settings.limits import Age, Limit
from batchscore.settings.paths import EMPTY_PATH, DatedPath, require_no_pattern, require_usable
from batchscore.settings.setting import Setting
from batchscore.system.clock import utc_today


class Settings(BaseModel):
    """What all settings share: frozen, and no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)
    tables: ClassVar[tuple[str, ...]] = ()
    """Settings that are tables at the top of a TOML file, beside the command's own."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Put the class's own settings first, then those of its bases, for `--help`, the manual and reports."""
        keys = [key for kind in cls.__mro__ for key in get_annotations(kind)]
        cls.__pydantic_fields__ = {key: cls.model_fields[key] for key in keys if key in cls.model_fields}

    @classmethod
    def declarations(cls) -> dict[str, Setting]:
        """What is declared of each setting, in order; not of `date`, which a shared flag gives."""
        return {key: declaration(field) for key, field in cls.model_fields.items() if key != "date"}

    @field_validator("*", mode="before")
    @classmethod
    def _number_or_text(cls, value: object, info: ValidationInfo) -> object:
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation is not bool:
            off = '; write "off"' if field.annotation in (Limit, Age) and not value else ""
            raise ValueError(f"{str(value).lower()} is neither a number nor text{off}")
        if is_path(cls, str(info.field_name)) and not (value is None or isinstance(value, (str, os.PathLike))):
            raise ValueError(_describe_no_path(value))
        if value == "" and is_path(cls, str(info.field_name)):
            raise ValueError(EMPTY_PATH)
        return value

    @field_validator("*")
    @classmethod
    def _usable_path(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, DatedPath):
            require_usable(value.path, written=True)
        elif isinstance(value, Path):
            written = declaration(cls.model_fields[str(info.field_name)]).written
            require_usable(value, written=written)
            if not written:
                require_no_pattern(value)
        return value


class DatedSettings(Settings):
    """Settings of a command with --date: `date` is what `{date}` stands for, in paths and in constants."""

    date: dt.date = Field(default_factory=utc_today)


def declaration(field: FieldInfo) -> Setting:
    """What the annotation of `field` says of its setting; TypeError if it says nothing."""
    for item in field.metadata:
        if isinstance(item, Setting):
            return item
    raise TypeError(f"a setting has no declaration in its annotation: {field!r}")


def is_path(kind: type[Settings], key: str) -> bool:
    """Whether the setting `key` is a path."""
    field = kind.model_fields.get(key)
    return field is not None and field.annotation in (Path, Path | None, DatedPath)


def _describe_no_path(value: object) -> str:
    kind = f"{type(value).__module__.partition('.')[0]} {type(value).__name__}".removeprefix("builtins ")
    is_frame = any(hasattr(value, name) for name in ("to_parquet", "write_parquet", "column_names"))
    advice = "write it to a Parquet file and give its path" if is_frame else "give the path of a file or a folder"
    return f"a {kind} is not a path; {advice}"
