"""Short names of BuildKit's vertices."""

from __future__ import annotations

import pytest
from streams import at, lines, record, vertex

from build_tasks.history import vertex_names

MOUNTS = "--mount=type=cache,id=uv-amd64,target=/var/cache/uv --mount=type=tmpfs,target=/tmp "


@pytest.mark.parametrize(
    ("vertex_name", "short"),
    [
        (
            f"[main 7/10] RUN {MOUNTS}<<EOF (# install Airflow and its providers...)",
            "install Airflow and its providers",
        ),
        ("[main 2/9] RUN <<EOF (umask 0002...)", "umask 0002"),
        ("[main 2/9] RUN <<EOF (echo (one)...)", "echo (one)"),
        ('[2/9] RUN <<-"EOF" (true)', "true"),
        ("[2/9] RUN <<EOF", "<<EOF"),
        ("[2/9] RUN python3 <<EOF (# check\tthe plugins...)", "check the plugins"),
        ("[2/9] RUN python3 <<EOF (import sys...)", "python3 <<EOF (import sys...)"),
        ("[2/9] RUN : install uv && pip install uv", "install uv"),
        ("[2/9] RUN :", ":"),
        ("[2/9] RUN", "RUN"),
        ("[linux/arm64 build 3/4] RUN apt-get update  && true", "apt-get update && true"),
        ("[ci main 3/4] RUN --network=none make", "make"),
        ("[main 3/9] COPY sources/dags /opt/airflow/dags", "copy sources/dags"),
        ("[3/9] COPY --link --chmod=755 --from=build /opt/ /opt/", "copy /opt/ from build"),
        ('[main 8/9] COPY --link --chmod=755 <<"EOF" /entrypoint', "write /entrypoint"),
        ("[3/9] ADD https://example.org/a.tar /a.tar", "add https://example.org/a.tar"),
        ("[3/9] COPY", "COPY"),
        ("[3/9] WORKDIR /opt/airflow", "WORKDIR /opt/airflow"),
        (
            "[main 1/9] FROM docker.io/library/python:3.11-slim@sha256:0123456789abcdef",
            "FROM python:3.11-slim",
        ),
        ("[internal] load build context", "load build context"),
        ("[internal] load metadata for docker.io/acme/base:1", "load metadata for acme/base:1"),
        ("exporting to image", "exporting to image"),
        (
            "importing cache manifest from example.org/a:b",
            "importing cache manifest from example.org/a:b",
        ),
        ("", ""),
    ],
)
def test_a_vertex_has_a_short_name(vertex_name: str, short: str) -> None:
    assert vertex_names.parse(vertex_name).short == short


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "[main 4/9] RUN --mount=type=cache,id=uv <<EOF (# install uv...)",
            "[main 4/9] install uv",
        ),
        ("[2/3] COPY a b /c", "[2/3] copy a b"),
        ("exporting to image", "exporting to image"),
    ],
)
def test_a_step_has_its_place_and_short_name(name: str, text: str) -> None:
    assert vertex_names.parse(name).title == text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("[linux/arm64 stage 2/5] RUN x", ("step", "stage", "linux/arm64", 2, 5)),
        ("[linux/arm/v7 2/5] RUN x", ("step", "", "linux/arm/v7", 2, 5)),
        ("[ci linux/amd64 main  2/12] COPY x", ("step", "main", "linux/amd64", 2, 12)),
        ("[linux/amd64->arm64 main 1/2] RUN x", ("step", "main", "linux/amd64->arm64", 1, 2)),
        ("[main 1/2] FROM x", ("base", "main", "", 1, 2)),
        ("[internal] load build context", ("context", "", "", 0, 0)),
        ("[internal] load .dockerignore", ("context", "", "", 0, 0)),
        ("[context sources] load from client", ("context", "", "", 0, 0)),
        ("[internal] load metadata for x", ("internal", "", "", 0, 0)),
        ("exporting to image", ("export", "", "", 0, 0)),
        ("merging manifest list x", ("export", "", "", 0, 0)),
        ("resolving provenance for metadata file", ("internal", "", "", 0, 0)),
        ("importing cache manifest from x", ("import", "", "", 0, 0)),
    ],
)
def test_a_name_says_what_a_vertex_is(name: str, said: tuple[object, ...]) -> None:
    (step,) = record(lines(vertex(name=name, started=at(1), completed=at(2)))).steps
    assert (step.kind.value, step.stage, step.platform, step.number, step.total) == said
