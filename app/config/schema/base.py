"""What every section of the configuration is made of: a frozen model and the small types of its values.

Checks here look at one value only, and never at the disk or another section.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Base:
    """What validation is told besides the values: where relative paths start, and which files were read."""

    folder: Path
    files: tuple[Path, ...] = ()


class Section(BaseModel):
    """A map of the configuration with a fixed set of keys; frozen, and strict about unknown keys.

    A section that is left out, or whose keys are all commented out, is the section of its defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    _sections: ClassVar[tuple[str, ...]] = ()
    _containers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        fields = cls.model_fields
        cls._sections = tuple(n for n, f in fields.items() if f.is_required() and is_section(f.annotation))
        cls._containers = tuple(n for n, f in fields.items() if _is_container(f))

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        empty = [name for name in cls._containers if name in data and data[name] is None]
        missing = [name for name in cls._sections if data.get(name) is None]
        if not empty and not missing:
            return data
        kept = {key: value for key, value in data.items() if key not in empty}
        return {**kept, **{name: {} for name in missing}}


def is_section(annotation: Any) -> bool:
    """Whether the annotation is a section itself (not a list of them, nor one that may be null)."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _is_container(found: FieldInfo) -> bool:
    annotation = found.annotation
    return type(None) not in get_args(annotation) and (
        is_section(annotation) or get_origin(annotation) in (tuple, Mapping)
    )


# --- numbers -------------------------------------------------------------------------------------------


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


_Number = BeforeValidator(_no_truth_value)
Count = Annotated[int, _Number, Field(ge=0, le=2**53)]
Positive = Annotated[int, _Number, Field(ge=1, le=2**53)]
Port = Annotated[int, _Number, Field(ge=1, le=65535)]
Rate = Annotated[float, _Number, Field(gt=0, le=100_000)]

# --- text ----------------------------------------------------------------------------------------------

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def one_line(value: str) -> str:
    """The text itself when it is not empty and holds no control character. Raises ValueError otherwise."""
    if not value.strip():
        raise ValueError("must not be empty")
    if _CONTROL.search(value):
        raise ValueError("must be one line without control characters")
    return value


def word(value: str) -> str:
    """The text itself when it can stand in an argument that names a destination. Raises ValueError otherwise.

    Names travel in one argument, so blanks, control characters and a leading ``-`` are refused.
    """
    if not value:
        raise ValueError("must not be empty")
    if value.startswith("-"):
        raise ValueError("must not begin with '-'")
    if re.search(r"\s", value) or _CONTROL.search(value):
        raise ValueError("must not contain blanks or control characters")
    return value


def host(value: str) -> str:
    """A host name or address as rsync and the probes take it. Raises ValueError otherwise."""
    word(value)
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", value):
        raise ValueError("must be an address or a host name: letters, digits, '-', '.', and ':' in IPv6")
    return value


def _name(value: str) -> str:
    word(value)
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
        raise ValueError("must consist of letters, digits, '-', '_', '.', ':'")
    return value


def _line(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError("must be a line's code: letters, digits, '_', '-', '.'")
    return value


OneLine = Annotated[str, AfterValidator(one_line)]
Word = Annotated[str, AfterValidator(word)]
Host = Annotated[str, AfterValidator(host)]
Name = Annotated[str, AfterValidator(_name)]
LineCode = Annotated[str, AfterValidator(_line)]

# --- secrets, paths, programs --------------------------------------------------------------------------

Secret = SecretStr
"""Hides itself in repr, str and logs; ``get_secret_value()`` is the only way to it. May be given as
``<key>_file``.
"""


def _absolute(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        one_line(value)
    if not isinstance(value, str | os.PathLike):
        return value
    base = info.context if isinstance(info.context, Base) else Base(Path.cwd())
    return Path(os.path.normpath(base.folder / os.path.expanduser(value)))


def _program(value: object, info: ValidationInfo) -> object:
    """A program named with a slash is a path, relative to the configuration; one without is looked for in
    PATH.
    """
    if isinstance(value, str) and "/" in value:
        return str(_absolute(value, info))
    return value


def _argv(value: object, info: ValidationInfo) -> object:
    if isinstance(value, str):
        raise ValueError(
            "must be a list of the program and its arguments, like [prog, arg]: no shell reads it"
        )
    if isinstance(value, list | tuple) and value:
        return [_program(value[0], info), *value[1:]]
    return value


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
"""Absolute and normalised, links not followed; relative ones start from the configuration's folder."""

Program = Annotated[str, BeforeValidator(_program), AfterValidator(one_line)]
Argv = Annotated[tuple[str, ...], BeforeValidator(_argv), Field(min_length=1)]
