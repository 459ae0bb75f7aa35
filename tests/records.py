"""A run of the whole matrix as its records: the Dockerfiles' own steps, with times as they are."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind

PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
BEGAN = datetime(2026, 11, 24, 2, 17, 4, tzinfo=UTC)
RUN = "20261124-021704-7f3a"
#: How many builds run at once, and how much longer one takes for another architecture.
SLOTS, EMULATED = 4, 3.1
_MOUNTS = (
    "--mount=type=bind,source=constraints/constraints-${AIRFLOW_PYTHON_VERSION}.txt,"
    "target=/run/constraints.txt --mount=type=cache,id=uv-${TARGETARCH},target=/var/cache/uv,"
    "uid=50000,gid=0 --mount=type=secret,id=ca-bundle,required=false,uid=50000"
)
_APT = (
    "RUN --mount=type=cache,id=apt-archives-${TARGETARCH},target=/var/cache/apt,sharing=locked "
    "--mount=type=secret,id=ca-bundle,required=false <<EOF (# install Debian packages...)"
)
_PIP = (
    "RUN --mount=type=cache,id=pip-${TARGETARCH},target=/var/cache/pip,sharing=locked <<EOF "
    "(# install uv...)"
)
_FOUND = "RUN <<EOF (# find the Python of the base image...)"
_USER = "RUN <<EOF (# create the user airflow...)"
_BASELINE = f"RUN {_MOUNTS} <<EOF (# install the baseline of Python packages...)"

#: Stage, instruction, seconds, and bytes that come over the network.
Told = tuple[str, str, float, int]
CI: tuple[Told, ...] = (
    ("main", _FOUND, 0.4, 0),
    ("main", _APT, 48.0, 161_000_000),
    ("main", _USER, 0.5, 0),
    ("main", _PIP, 6.5, 21_000_000),
    ("main", _BASELINE, 74.0, 214_000_000),
    ("main", f"RUN {_MOUNTS} <<EOF (# install Airflow and its providers...)", 9.0, 12_000_000),
    ("main", 'COPY --link --chmod=755 <<"EOF" /entrypoint', 0.1, 0),
    ("main", "WORKDIR /opt/airflow", 0.1, 0),
    ("main", "COPY --chown=50000:0 sources/ /opt/airflow/", 0.3, 0),
)
PROD: tuple[Told, ...] = (
    ("build", _FOUND, 0.4, 0),
    ("build", _APT, 39.0, 139_000_000),
    ("build", _USER, 0.5, 0),
    ("build", _PIP, 6.2, 21_000_000),
    ("build", f"RUN {_MOUNTS} <<EOF (# install Airflow and its providers...)", 68.0, 198_000_000),
    ("build", f"RUN {_MOUNTS} <<EOF (# install additional Python packages...)", 0.4, 0),
    ("main", _USER, 0.6, 0),
    ("main", _APT, 14.0, 31_000_000),
    ("main", "COPY --link --from=environment /opt/ /opt/", 5.5, 0),
    ("main", 'COPY --link --chmod=755 <<"EOF" /entrypoint', 0.1, 0),
    ("main", 'COPY --link --chmod=755 <<"EOF" /clean-logs', 0.1, 0),
    ("main", 'COPY --link --chmod=755 <<"EOF" /airflow-scheduler-autorestart', 0.1, 0),
    ("main", "WORKDIR /opt/airflow", 0.1, 0),
)
FAILED_LOG = (
    "Using Python 3.14.1 environment at: /opt/venv",
    "Resolved 214 packages in 1.93s",
    "   Building python-ldap==3.4.4",
    "  × Failed to build `python-ldap==3.4.4`",  # noqa: RUF001 - uv's own sign
    "  ├─▶ The build backend returned an error",
    "  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)",
    "      [stderr]",
    "      Modules/LDAPObject.c: In function 'py_ldap_set_option':",
    "      Modules/LDAPObject.c:1412:9: error: too few arguments to function 'PyLong_AsLong'",
    "      error: command '/usr/bin/gcc' failed with exit code 1",
)


@dataclass
class _Clock:
    """Makes the vertices of one build, each where the one before has ended."""

    dice: random.Random
    slow: float
    now: float = 0.0

    def vertex(self, name: str, kind: StepKind, seconds: float, **more: Any) -> Step:
        took = seconds * self.slow * self.dice.uniform(0.85, 1.3)
        begin, self.now = self.now, self.now + took
        step = Step(digest(name, more), name, kind, started=True)
        return replace(step, intervals=((round(begin, 3), round(self.now, 3)),), **more)


def digest(*parts: object) -> str:
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def run() -> list[BuildRecord]:
    """Return the records of a run: most from the cache, some built anew, one failed."""
    free = [0.0] * SLOTS
    made = []
    for kind, python, machine in _matrix():
        slot = free.index(min(free))
        one = build(kind, python, machine)
        made.append(replace(one, began=(BEGAN + timedelta(seconds=free[slot])).isoformat()))
        free[slot] += one.seconds + 0.4
    return made


def _matrix() -> Iterator[tuple[str, str, str]]:
    for python in PYTHONS:
        for kind in ("ci", "prod"):
            for machine in ("amd64", "arm64"):
                yield kind, python, machine


def build(kind: str, python: str, machine: str) -> BuildRecord:
    """Return the record of one build; which steps its cache has depends on its Python."""
    name = f"{kind}-{python}-{machine}"
    dice = random.Random(name)  # noqa: S311 - the same every time
    told = CI if kind == "ci" else PROD
    # 3.11 has another constraints file, 3.13 another base image; everything else is as before.
    valid = {"3.11": 4, "3.13": 0, "3.14": 4 if name == "ci-3.14-arm64" else 99}.get(python, 99)
    fails = name == "ci-3.14-arm64"
    image = f"ghcr.io/apache/airflow/main/{kind}/python{python}"
    reference = f"{image}:cache-linux-{machine}"
    clock = _Clock(dice, EMULATED if machine == "arm64" else 1.0)
    steps = [*_before(clock, reference, python, lost=name == "prod-3.12-arm64")]
    for place, (stage, text, seconds, size) in enumerate(told):
        number = [one[0] for one in told[: place + 1]].count(stage) + 1
        total = [one[0] for one in told].count(stage) + 1
        more: dict[str, Any] = {"stage": stage, "number": number, "total": total}
        title = f"[{stage} {number}/{total}] {text}"
        hit = place < valid and not (stage == "main" and place > 7 and text.startswith("COPY --ch"))
        if any(step.error for step in steps if step.kind is StepKind.STEP):
            steps.append(Step(digest(title), title, StepKind.STEP, **more))
        elif hit:
            steps.append(clock.vertex(title, StepKind.STEP, 0.0, cached=True, **more))
        else:
            wrong = fails and place == 4
            steps.append(
                clock.vertex(
                    *(title, StepKind.STEP, seconds),
                    bytes=size,
                    error="exit code: 1" if wrong else "",
                    log=FAILED_LOG if wrong else (f"{text[:40]}: done",),
                    **more,
                )
            )
    ran = sum(step.ran for step in steps)
    if not fails:
        steps += _after(clock, image, reference, ran)
    return BuildRecord(
        identity=name,
        run=RUN,
        seconds=round(clock.now + 0.2, 3),
        outcome="failed" if fails else "built",
        failure="step" if fails else "",
        message=f"{name}: step [main 6/10] install it failed with exit code 1" if fails else "",
        kind=kind,
        python=python,
        platforms=(f"linux/{machine}",),
        image=image,
        tags=() if fails else (f"{image}:latest",),
        digest="" if fails else digest(name, "image"),
        output="push",
        builder="cached",
        command=f"docker buildx build --builder cached --platform linux/{machine} .",
        attempts=2 if name == "prod-3.10-arm64" else 1,
        base=(f"python:{python}-slim-bookworm", digest(python)),
        steps=tuple(steps),
        imports=tuple(
            CacheUse(reference, step.error, step.seconds)
            for step in steps
            if step.kind is StepKind.IMPORT
        ),
        export=CacheUse(reference, seconds=1.2),
    )


def _before(clock: _Clock, reference: str, python: str, *, lost: bool) -> Iterator[Step]:
    yield clock.vertex("[internal] load build definition from Dockerfile", StepKind.CONTEXT, 0.05)
    base = f"docker.io/library/python:{python}-slim-bookworm"
    yield clock.vertex(f"[internal] load metadata for {base}", StepKind.INTERNAL, 0.4)
    yield clock.vertex("[internal] load build context", StepKind.CONTEXT, 0.3, bytes=4_310_000)
    error = "401 Unauthorized" if lost else ""
    yield clock.vertex(
        f"importing cache manifest from {reference}", StepKind.IMPORT, 0.8, error=error
    )
    yield clock.vertex(
        f"[main 1/10] FROM {base}", StepKind.BASE, 1.8, stage="main", bytes=46_000_000
    )


def _after(clock: _Clock, image: str, reference: str, ran: int) -> Iterator[Step]:
    for name, seconds in (
        ("exporting to image", 1.1 + ran * 1.4),
        ("exporting cache to registry", 0.7 + ran * 1.9),
    ):
        yield clock.vertex(name, StepKind.EXPORT, seconds / clock.slow, bytes=int(seconds * 9e6))
