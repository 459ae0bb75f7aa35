"""The JSON Schema of images.toml, made from the table of settings.

Editors read it, by the line `#:schema` at the top of the file. It describes values as TOML has
them; the loader also takes numbers, booleans and lists as text, like those of variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from build_tasks.config import builder_tables, image_tables, parsing
from build_tasks.config.parsing import Choice, Items, Matching, Table
from build_tasks.config.settings import FIELDS, TABLES
from build_tasks.model import matrix
from build_tasks.model.builder import Driver
from build_tasks.model.matrix import Platform

#: A schema or a part of one.
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_PYTHON: Schema = {"type": "string", "pattern": f"^(?:{matrix.PYTHON.pattern})$"}
_PLATFORMS = (*map(str, Platform), *(platform.architecture for platform in Platform))
#: The schemas of parsers that are functions, where the default says too little.
_OF_FUNCTIONS: Mapping[Callable[..., object], Schema] = {
    Platform.parse: {"enum": [*_PLATFORMS]},
    parsing.pythons: {"type": "array", "items": _PYTHON, "uniqueItems": True, "minItems": 1},
    matrix.parse_python: _PYTHON,
    parsing.seconds: {"type": "integer", "minimum": 1, "maximum": 999_999},
    parsing.uid: {"type": "integer", "minimum": 100, "maximum": parsing.MAXIMUM_UID},
    parsing.version: {**_TEXT, "pattern": r"^\s*[vV]?[0-9]"},
    parsing.requirement: {**_TEXT, "minLength": 1},
    parsing.dependency: {**_TEXT, "minLength": 1},
}
#: Parsers of the values as TOML has them, for functions that make something else of them.
_PARSERS: Mapping[Callable[..., object], Table[str]] = {parsing.secrets: parsing.secret_places}


def make() -> Schema:
    """Return the schema of images.toml (JSON Schema, draft 7)."""
    tables = {table: _object({}) for table in sorted(TABLES)}
    keys: dict[str, Schema] = {}
    for item in FIELDS:
        table, _, name = item.key.rpartition(".")
        place = tables[table]["properties"] if table else keys
        place[name] = {
            "description": item.help or item.description,
            **_value(_PARSERS.get(item.parse, item.parse), item.default),
            "default": item.default,
        }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "images.toml of airflow-images",
        **_object(keys | tables),
    }


def _value(parse: Callable[[Any, str], object], default: object) -> Schema:
    """Return the schema of what a parser accepts, else of values like a default."""
    if isinstance(parse, Items):
        return _list(_value(parse.item, ""), distinct=parse.distinct)
    if isinstance(parse, Choice):
        return {"enum": [*map(str, parse.values)]}
    if isinstance(parse, Matching):
        return _TEXT if parse is parsing.text else {**_TEXT, "pattern": f"^(?:{parse.pattern})$"}
    if isinstance(parse, Table):
        return _by_name(_value(parse.name, ""), _value(parse.item, ""))
    if parse in _OF_TABLES:
        name, table = _OF_TABLES[parse]
        return _by_name(_value(name, ""), table())
    return _OF_FUNCTIONS[parse] if parse in _OF_FUNCTIONS else _like(default)


def _like(default: object) -> Schema:
    """Return the schema of values of the same type as a default."""
    match default:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case list():
            return _list(_TEXT)
        case dict():
            return {"type": "object"}
    return _TEXT


def _builder() -> Schema:
    """Return the schema of a table [builders.NAME]."""
    options: Schema = {
        "type": "object",
        "description": "options of buildx's driver",
        "additionalProperties": {"type": ["string", "integer", "boolean", "object"]},
    }
    platforms = _value(Items(Platform.parse), [])
    node = {
        "name": {"description": "its name", **_value(builder_tables.parse_name, "")},
        "endpoint": {"description": "address, or the name of a docker context", **_TEXT},
        "platforms": {"description": "platforms that it builds for", **platforms},
        "options": options,
    }
    hosts = _list(_value(parsing.registry_host, ""), distinct=True)
    return _object(
        {
            "driver": {"description": "driver of buildx", "enum": [*map(str, Driver)]},
            "nodes": {"description": "its nodes", **_list(_object(node)), "minItems": 1},
            "max-used-space": {"description": "limit of each node's cache, like 20GB", **_TEXT},
            "insecure-registries": {"description": "registries without valid TLS", **hosts},
            "mirrors": {
                "description": "mirrors by registry",
                **_by_name(_value(parsing.registry_host, ""), _list(_TEXT, distinct=True)),
            },
            "options": options,
        }
    )


def _own_image() -> Schema:
    """Return the schema of a table [images.NAME]."""
    return _object(
        {
            key: {
                "description": image_tables.DESCRIPTIONS[key],
                **_value(parse, 0 if key == "budget" else ""),
            }
            for key, parse in image_tables.PARSERS.items()
        }
    )


#: The parsers of tables by name: that of their names, and the schema of each table.
_OF_TABLES: Mapping[Callable[..., object], tuple[Matching, Callable[[], Schema]]] = {
    builder_tables.parse: (builder_tables.parse_name, _builder),
    image_tables.parse: (image_tables.parse_name, _own_image),
}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": dict(properties)}


def _by_name(names: Schema, values: Schema) -> Schema:
    return {"type": "object", "propertyNames": names, "additionalProperties": values}


def _list(items: Schema, *, distinct: bool = False) -> Schema:
    return {"type": "array", "items": items, **({"uniqueItems": True} if distinct else {})}
