"""What is set and what can be built."""

from __future__ import annotations

import json

from build_tasks import plan, settings
from build_tasks.commands.shown import plain, table, text
from build_tasks.matrix import Build, ImageKind, Names, Platform
from build_tasks.options import Options


def show_settings(options: Options) -> None:
    """Print each setting, its value and where it came from."""
    rows = settings.rows(options.settings())
    if options.flag("json"):
        print(json.dumps({key: {"value": plain(v), "from": o} for key, v, o in rows}, indent=2))
    else:
        table(("setting", "value", "from"), [(key, text(v), origin) for key, v, origin in rows])


def show_matrix(options: Options) -> None:
    """Print every build that can be asked for, with its session, image and cache reference."""
    chosen = options.settings()
    names = Names(chosen.registry or plan.UPSTREAM_REGISTRY, chosen.repository, chosen.branch)
    rows = [
        {
            "identity": one.identity,
            "session": f"build_{one.identity}",
            "kind": one.kind.value,
            "python": one.python,
            "platform": one.platform.value,
            "airflow": chosen.airflow_for(one.python),
            "image": names.image(one),
            "cache": names.cache(one),
            "merge": f"merge_{one.kind}-{one.python}",
        }
        for one in (
            Build(kind, python, platform)
            for kind in ImageKind
            for python in chosen.pythons
            for platform in chosen.platforms or tuple(Platform)
        )
    ]
    if options.flag("json"):
        print(json.dumps({"include": rows}, indent=2))
    else:
        columns = ("identity", "airflow", "image")
        table(columns, [[row[column] for column in columns] for row in rows])
