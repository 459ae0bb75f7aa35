"""The JSON Schema of images.toml, as editors use it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from build_tasks.config import builder_tables, image_tables, loading, schema
from build_tasks.config.settings import FIELDS
from build_tasks.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = schema.make()
BY_KEY = {field.key: field for field in FIELDS}
VALIDATOR = Draft7Validator(SCHEMA)

#: Values as TOML has them: of each type, right and wrong for some settings.
VALUES: list[Any] = [
    *(True, False, 0, 1, 900, -1, 1.5),
    *("", "a", "a b", "3.11", "3.3.2", "main", "ghcr.io:5000", "Apache", "all", "registry", "2.7"),
    *(
        "subprocess",
        "slim",
        "first-index",
        "allow",
        "https://h/simple/",
        "auto",
        "/opt/airflow",
        "gzip",
        "mount",
        "python:{python}-slim",
        "x:{py}",
        "pandas>=2,<3",
        "type=gha",
        "constraints",
    ),
    *([], ["a"], ["a", "a"], [1], ["3.11"], ["3.11", "3.11"], ["2.7"], ["pandas>=2,<3"], ["G++"]),
    *(["linux/amd64"], ["arm64"], ["vax"], ["postgres"], ["oracle"], ["sources/**"], ["type=gha"]),
    *({}, {"3.9": "3.0.6"}, {"2.7": "3.0.6"}, {"3.9": 3}, {"a": "b"}, {"A b": {}}),
]
BUILDERS: list[Any] = [
    *({}, {"driver": "docker"}, {"driver": "podman"}, {"max-used-space": "20GB"}, {"size": "20GB"}),
    *({"mirrors": {"docker.io": ["m.example.com"]}}, {"mirrors": ["m"]}, {"nodes": []}),
    {"insecure-registries": ["r:5000"], "options": {"network": "host", "env.A": "b"}},
    {"nodes": [{"endpoint": "ssh://u@h", "platforms": ["linux/arm64"], "name": "arm"}]},
    {"driver": "remote", "nodes": [{"endpoint": "tcp://h:1"}]},
    *({"nodes": [{"platform": []}]}, {"nodes": [{"platforms": ["vax"]}]}, {"nodes": {}}),
]
IMAGES: list[Any] = [
    *(
        {},
        {"from": "ci"},
        {"from": "Ci"},
        {"dags": "dags"},
        {"dags": ""},
        {"dags": 1},
        {"dag": "x"},
    ),
    *({"dockerfile": "D", "target": "t"}, {"dockerfile": "D", "target": "a b"}),
    *({"dockerfile": "D", "arguments": {"A": "1"}}, {"dockerfile": "D", "arguments": {"A-B": "1"}}),
    *({"python": ["pandas"]}, {"python": [1]}, {"apt": ["graphviz"]}, {"apt": ["G++"]}),
    *({"environment": {"A": "1"}}, {"environment": {"A": 1}}, {"environment": ["A"]}),
    *({"build-script": "b.sh", "start-script": "s.sh"}, {"build_script": "b.sh"}),
    *({"checks": "c.py", "budget": 900}, {"budget": -1}, {"budget": True}),
]


def accepts(content: object) -> bool:
    return bool(VALIDATOR.is_valid(content))


def loads(key: str, value: object) -> bool:
    """Return whether the loader accepts the value."""
    try:
        BY_KEY[key].parse(value, "place")
    except UsageError:
        return False
    return True


def nested(key: str, value: object) -> dict[str, object]:
    table, _, name = key.rpartition(".")
    return {table: {name: value}} if table else {name: value}


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_the_file_in_docs_is_what_the_table_makes() -> None:
    """Renew it with: invoke settings --schema > docs/images.schema.json."""
    text = (ROOT / "docs" / "images.schema.json").read_text(encoding="utf-8")
    assert text == f"{json.dumps(SCHEMA, indent=2)}\n"


def test_it_accepts_the_projects_own_file_which_names_it() -> None:
    text = (ROOT / "images.toml").read_text(encoding="utf-8")
    assert not [*VALIDATOR.iter_errors(tomllib.loads(text))]
    assert text.startswith("#:schema docs/images.schema.json\n")


@pytest.mark.parametrize("key", BY_KEY)
def test_it_describes_each_setting_and_accepts_its_default(key: str) -> None:
    field = BY_KEY[key]
    table, _, name = key.rpartition(".")
    properties = SCHEMA["properties"]
    part = (properties[table]["properties"] if table else properties)[name]
    assert part["description"]
    assert part["default"] == field.default
    assert accepts(nested(key, field.default))


@pytest.mark.parametrize("key", sorted(BY_KEY.keys() - {"builders"}))
def test_what_it_accepts_loads_and_it_tells_types_apart(key: str) -> None:
    """It may accept more of a text than the parser (a version), never another type or number."""
    accepted = [value for value in VALUES if accepts(nested(key, value))]
    assert 0 < len(accepted) < len(VALUES)
    default = BY_KEY[key].default
    assert {type(value) for value in accepted} == {type(default)}
    assert all(loads(key, value) for value in accepted if isinstance(value, int))
    refused = [value for value in VALUES if type(value) is type(default) and value not in accepted]
    assert not [value for value in refused if loads(key, value)]


def test_it_refuses_values_that_no_setting_of_their_type_has() -> None:
    for key, value in (("uv.timeout", 0), ("uv.version", "latest"), ("airflow.version", "")):
        assert not accepts(nested(key, value))
    assert not accepts(nested("dependencies.python", [""]))


@pytest.mark.parametrize("value", BUILDERS, ids=str)
def test_it_agrees_with_the_loader_on_builders(value: dict[str, Any]) -> None:
    assert accepts({"builders": {"mine": value}}) == loads("builders", {"mine": value})


@pytest.mark.parametrize("value", IMAGES, ids=str)
def test_it_agrees_with_the_loader_on_own_images(value: dict[str, Any]) -> None:
    assert accepts({"images": {"own": value}}) == loads("images", {"own": value})


def test_it_describes_the_keys_of_own_images() -> None:
    table = SCHEMA["properties"]["images"]["additionalProperties"]["properties"]
    assert sorted(table) == sorted(image_tables.PARSERS)
    assert all(part["description"] for part in table.values())
    assert not accepts({"images": {"A b": {}}})


def test_it_has_the_keys_of_builders() -> None:
    builder = SCHEMA["properties"]["builders"]["additionalProperties"]["properties"]
    assert sorted(builder) == sorted(builder_tables._KEYS)
    assert sorted(builder["nodes"]["items"]["properties"]) == sorted(builder_tables._NODE_KEYS)
    assert not accepts({"builders": {"A b": {}}})


@pytest.mark.parametrize(
    "text",
    [
        *("colour = 1", "[cache]\nmod = 1", "[colour]\nred = 1", "cache = 1", "branch = 1"),
        *('[cache]\nmode = "s3"', "pythons = []", "pythons = [3.11]", 'platform = ["vax"]'),
        *('extras = ["ftp"]', "[prod]\nslim = 1", '[airflow]\nextras = "ftp"', 'engine = "podman"'),
    ],
)
def test_it_refuses_mistakes(text: str, tmp_path: Path) -> None:
    assert not accepts(tomllib.loads(text))
    file = tmp_path / "images.toml"
    file.write_text(text, encoding="utf-8")
    if text != '[airflow]\nextras = "ftp"':  # the loader takes lists as text, too
        with pytest.raises(UsageError):
            loading.load(environment={}, file=file)
