"""Answers which keys are valid at a place of the configuration. Reads the models only, never a value but
``kind``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.config.schema.base import Section
from app.config.schema.root import Config
from app.config.tree import Item, Loc


def section_at(root: Item, loc: Loc) -> type[Section] | None:
    """The section whose keys stand at ``loc``; None for lists, maps with free keys, values and unknown
    places.
    """
    annotation: Any = Config
    item: Item | None = root
    for part in loc:
        annotation = _below(_chosen(annotation, item), part)
        item = item.child(part) if item else None
    found = _chosen(annotation, item)
    return found if isinstance(found, type) and issubclass(found, Section) else None


def is_free_map(root: Item, loc: Loc) -> bool:
    """Whether keys of one's own choice stand at ``loc``."""
    annotation: Any = Config
    item: Item | None = root
    for part in loc:
        annotation = _below(_chosen(annotation, item), part)
        item = item.child(part) if item else None
    return get_origin(_chosen(annotation, item)) is Mapping


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The section's fields by the keys people type."""
    return {found.alias or name: found for name, found in section.model_fields.items()}


def keys_of(section: type[Section]) -> list[str]:
    """The keys people may type in the section, ``_file`` keys included."""
    fields = fields_of(section)
    return [*fields, *(f"{key}_file" for key in secret_keys(section) if f"{key}_file" not in fields)]


def secret_keys(section: type[Section]) -> dict[str, bool]:
    """The section's secret keys; the value says whether it is a list of secrets."""
    found = {}
    for key, field in fields_of(section).items():
        core = _core(field.annotation)
        if core is SecretStr:
            found[key] = False
        elif get_origin(core) is tuple and _core(get_args(core)[0]) is SecretStr:
            found[key] = True
    return found


def is_secret(root: Item, loc: Loc) -> bool:
    """Whether the value at ``loc`` is a secret or part of one."""
    for size in range(1, len(loc) + 1):
        section = section_at(root, loc[: size - 1])
        field = fields_of(section).get(str(loc[size - 1])) if section else None
        if field is not None and _holds_secrets(field.annotation):
            return True
    return False


def _holds_secrets(annotation: Any) -> bool:
    """Whether the value is a secret, or a list or map of them; a section with secrets in it is not."""
    core = _core(annotation)
    return core is SecretStr or any(
        _holds_secrets(inner) for inner in get_args(core) if get_origin(core) in (tuple, Mapping)
    )


def _core(annotation: Any) -> Any:
    """The annotation without Annotated and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, UnionType):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation


def _chosen(annotation: Any, item: Item | None) -> Any:
    """One of a union: the section of the item's kind, or the list where the item is one."""
    core = _core(annotation)
    if get_origin(core) not in (Union, UnionType):
        return core
    members = [_core(member) for member in get_args(core)]
    if item is not None and isinstance(item.content, list):
        return next((m for m in members if get_origin(m) is tuple), None)
    kind = item.child("kind") if item else None
    for member in members:
        if (
            kind
            and isinstance(member, type)
            and issubclass(member, Section)
            and kind.content in kinds_of(member)
        ):
            return member
    return None


def kinds_of(section: type[Section]) -> tuple[str, ...]:
    """The words of the section's ``kind``."""
    field = section.model_fields.get("kind")
    return get_args(field.annotation) if field else ()


def _below(annotation: Any, part: object) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        field = fields_of(annotation).get(str(part))
        return field.annotation if field else None
    origin = get_origin(annotation)
    if origin is tuple:
        return get_args(annotation)[0]
    return get_args(annotation)[1] if origin is Mapping else None
