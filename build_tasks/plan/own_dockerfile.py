"""Make the Dockerfile of an own image that has none of its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from build_tasks.errors import UsageError
from build_tasks.model.own_image import OwnImage

#: How images of Airflow start, and those with start scripts.
AIRFLOW_ENTRYPOINT = ("/usr/bin/dumb-init", "--", "/entrypoint")
START_ENTRYPOINT = (*AIRFLOW_ENTRYPOINT[:-1], "/start-entrypoint")
#: Variables that the suite sets, in this image or in those below.
_SET = frozenset(("AIRFLOW_HOME", "BUILD_ID", "COMMIT_SHA"))
#: Folders whose content is copied, those that change rarely first.
FOLDERS = ("config", "plugins", "dags")
_CONTEXTS = (
    "apt",
    "ca-bundle",
    "wheelhouse",
    "requirement-files",
    *FOLDERS,
    "build-script",
    "start-script",
)
#: Mounts with the CA bundle, which steps that use the network read.
_BUNDLE = (
    "--mount=type=bind,from=ca-bundle,target=/run/ca-bundle",
    "--mount=type=secret,id=ca-bundle,required=false{access}",
)
_HEAD = """\
FROM ${AIRFLOW_IMAGE} AS image

SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# The image below has other values with each commit, which would be part of each step's cache key.
ENV BUILD_ID="" COMMIT_SHA=""
"""
#: COPY makes a folder that only its owner can write to. A folder made on an empty stage would do,
#: but BuildKit does not take it from its cache, and each build would repeat that step.
_MAKE_FOLDERS = """\
# make folders that any user of group 0 can write to
cd "${AIRFLOW_HOME}"
install --directory --owner {owner} --group 0 --mode 0775 {folders}
"""
_APT = """\
# install Debian packages
export DEBIAN_FRONTEND=noninteractive
rm -f /etc/apt/apt.conf.d/docker-clean # it would empty the cache mount
apt_options=(-o Dir::Etc::netrc=/run/secrets/apt-auth)
[ ! -e /run/secrets/apt ] || . /run/secrets/apt
bundle=/etc/ssl/certs/ca-certificates.crt
for file in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do
    [ ! -e "${file}" ] || bundle=${file}
done
apt_get() {
    apt-get -o Acquire::Retries=7 -o Acquire::https::CaInfo="${bundle}" \\
        -o APT::Update::Error-Mode=any -o Dpkg::Options::=--force-unsafe-io "${apt_options[@]}" "$@"
}
apt_get update
apt_get install --yes --no-install-recommends {packages}
rm -r -f /tmp/apt-sources
"""
_PYTHON = """\
# install Python packages
umask 0002
for bundle in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do
    [ ! -e "${bundle}" ] || export PIP_CERT=${bundle} SSL_CERT_FILE=${bundle}
done
export PIP_CACHE_DIR=/var/cache/python/pip PIP_DEFAULT_TIMEOUT=60
export UV_CACHE_DIR=/var/cache/python/uv UV_LINK_MODE=copy UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=12
[ ! -e /run/secrets/index ] || . /run/secrets/index
mapfile -t packages <<"PACKAGES"
{packages}
PACKAGES
cd /run/requirements
# Airflow stays as it is, and so does each distribution that came from a wheel or sources. Its
# constraints decide on the others. What they do not name changes only if a requirement names it.
python - "${packages[@]}" > /tmp/constraints.txt <<"PYTHON"
import os, re, sys
from importlib.metadata import distributions
from pathlib import Path

def plain(line):
    return re.sub("[-_.]+", "-", re.match("[A-Za-z0-9._-]*", line.strip())[0]).lower()

def lines(path):
    return path.read_text().splitlines() if path.is_file() else []

constraints = lines(Path(os.environ["HOME"], "constraints.txt"))
files = [line for path in Path().rglob("*") for line in lines(path)]
named = {plain(line) for line in [*constraints, *files, *sys.argv[1:]]}
kept = {}
for one in distributions():
    name = plain(one.metadata["Name"] or "")
    if name == "apache-airflow" or one.read_text("direct_url.json") or name not in named:
        kept[name] = one.version
kept.pop("", None)
print(*(line for line in constraints if plain(line) not in kept), sep="\\n")
print(*(f"{name}=={version}" for name, version in kept.items()), sep="\\n")
PYTHON
pip=(python -m pip --no-input --disable-pip-version-check --retries 8)
python -m pip --version > /dev/null 2>&1 || pip=(uv pip)
"${pip[@]}" install --quiet --constraint /tmp/constraints.txt "${packages[@]}"
"${pip[@]}" check
"""
#: The entrypoint of an image with start scripts, before that of Airflow's image.
_START = """\
#!/usr/bin/env bash
# Read the start scripts, those of the images below first, and go on as the image of Airflow does.
# What they print is not part of the output of a command.
set -e
start_arguments=("$@") start_options=$(set +o)
for script in /start-scripts/*; do
    . "${script}" >&2
    # A script may have set others. $(set +o) is a shell in which -e is off.
    eval "${start_options}"
    set -e
    set -- "${start_arguments[@]}"
done
exec /entrypoint "$@"
"""
_TAIL = """\
# These values differ in every build, so no step follows them.
ARG BUILD_ID=""
ARG COMMIT_SHA=""

ENV BUILD_ID=${BUILD_ID} COMMIT_SHA=${COMMIT_SHA}
"""


class Packages(NamedTuple):
    """The packages of an image: the words of requirements, and names of Debian packages."""

    python: Sequence[str] = ()
    apt: Sequence[str] = ()


class Below(NamedTuple):
    """What the images below leave to an image.

    Args:
        user: their user, as USER has it; empty if that is unknown.
        command: what they run by default.
        depth: their number.
    """

    user: str
    command: Sequence[str] = ()
    depth: int = 1

    @property
    def owner(self) -> str:
        """The user without a group."""
        return self.user.partition(":")[0]


def text(image: OwnImage, packages: Packages, below: Below) -> str:
    """Return the text of the Dockerfile.

    A build context named like one of its empty stages replaces that stage: `dags`, `plugins`,
    `config`, `build-script` and `start-script` (with a file of that name), and those that
    Airflow's own Dockerfiles have.

    Raises:
        UsageError: a variable has several lines, or the suite sets it.
    """
    steps = [*_steps(image, packages, below)]
    body = "\n".join((_HEAD, *steps, _TAIL))
    stages = [f"FROM scratch AS {name}\n" for name in _CONTEXTS if f"from={name}" in body]
    note = f"# The image {image.name}: what images.toml says that it adds to {image.base}.\n"
    return "\n".join((note, "ARG AIRFLOW_IMAGE\n", *stages, body))


def _steps(image: OwnImage, packages: Packages, below: Below) -> Iterator[str]:
    if packages.apt:
        yield "USER 0\n"
        yield _debian_packages(packages.apt)
    if packages.python:
        yield f"USER {below.user}\n"
        yield _python_packages(packages.python, below.owner)
    folders = [name for name in FOLDERS if getattr(image, name)]
    if folders or image.build_script:
        yield "USER 0\n"
    if folders:
        script = _MAKE_FOLDERS.replace("{owner}", below.owner)
        yield _run(script.replace("{folders}", " ".join(folders)))
    if image.build_script:
        yield _run(
            "# run the build script\nbash -euo pipefail /run/script/build-script\n",
            "--mount=type=bind,from=build-script,target=/run/script",
        )
    if packages.apt or folders or image.build_script:
        yield f"USER {below.user}\n"
    if image.environment:
        yield f"ENV {_variables(image)}\n"
    for name in folders:
        yield f"COPY --from={name} --chown={below.owner}:0 / ${{AIRFLOW_HOME}}/{name}/\n"
    if image.start_script:
        script = f"/start-scripts/{below.depth:02}-{image.name}"
        yield f"COPY --from=start-script /start-script {script}\n"
        yield f'COPY --chmod=755 <<"EOF" /start-entrypoint\n{_START}EOF\n'
        # ENTRYPOINT removes the command of the image below.
        yield f"ENTRYPOINT {json.dumps(START_ENTRYPOINT)}"
        yield f"CMD {json.dumps(below.command)}\n"


def _debian_packages(names: Sequence[str]) -> str:
    lists = "id=apt-lists-own-${TARGETARCH},target=/var/lib/apt/lists"
    return _run(
        _APT.replace("{packages}", shlex.join(names)),
        "--mount=type=cache,id=apt-archives-${TARGETARCH},target=/var/cache/apt,sharing=locked",
        f"--mount=type=cache,{lists},sharing=locked",
        "--mount=type=tmpfs,target=/var/log",
        "--mount=type=bind,from=apt,target=/run/apt",
        "--mount=type=secret,id=apt,required=false",
        "--mount=type=secret,id=apt-auth,required=false",
        *(mount.replace("{access}", "") for mount in _BUNDLE),
    )


def _python_packages(words: Sequence[str], owner: str) -> str:
    if owner.isdecimal():
        kept = f"type=cache,id=python-own-{owner}-${{TARGETARCH}},uid={owner},gid=0"
        access = f",uid={owner}"
    else:
        # Only the image knows the number of a name, and mounts belong to numbers. The folder of a
        # cache that all may write to is made with BuildKit's umask, so that they may not.
        kept, access = "type=tmpfs", ",mode=0444"
    return _run(
        _PYTHON.replace("{packages}", "\n".join(words)),
        f"--mount={kept},target=/var/cache/python",
        "--mount=type=tmpfs,target=/tmp",
        "--mount=type=bind,from=requirement-files,target=/run/requirements",
        "--mount=type=bind,from=wheelhouse,target=/run/wheelhouse",
        f"--mount=type=secret,id=index,required=false{access}",
        f"--mount=type=secret,id=index-credentials,required=false{access}",
        *(mount.replace("{access}", access) for mount in _BUNDLE),
    )


def _run(script: str, *mounts: str) -> str:
    """Return an instruction RUN; BuildKit names it by the first line of its script."""
    options = " \\\n    ".join(mounts)
    declared = "ARG TARGETARCH\n\n" if "${TARGETARCH}" in options else ""
    return f"{declared}RUN {options}{' ' if options else ''}<<EOF\n{script}EOF\n"


def _variables(image: OwnImage) -> str:
    """Return the variables of an image, of whose values BuildKit expands nothing."""
    place = image.origins.get("environment", image.name)
    for name, value in image.environment:
        if name in _SET:
            raise UsageError(f"{place}: {name}: it is set from other settings")
        if "\n" in value:
            raise UsageError(f"{place}: {name}: has several lines, which ENV cannot have")
    table = str.maketrans({character: f"\\{character}" for character in '\\"$'})
    return " \\\n    ".join(
        f'{name}="{value.translate(table)}"' for name, value in image.environment
    )
