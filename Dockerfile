# The PROD image: Airflow as in the official image, without what is only needed for building.
#
# There are two stages. `build` has compilers and makes the virtual environment; `main` starts from the
# same base image and copies that environment and its bytecode. What changes rarely comes first. Each argument
# is declared right before its first use, so that a new value repeats no step above. Other Debian packages in
# `main` repeat no step of `build`.
#
# Steps that use the network read an optional CA bundle from the secret `ca-bundle`, or from the build
# context of that name if it is too large for a secret. Those that install Python packages also read
# variables of uv and pip from the secret `index`, and a netrc file from `index-credentials`. A secret is
# part neither of the image nor of a step's cache key.
#
# BuildKit names a RUN by the first line of its heredoc, so that line is a comment that says what the step does.

ARG BASE_IMAGE=python:3.11-slim-bookworm

# A build context with the name of one of these stages replaces it: with other constraints, with wheels
# or sources of Airflow, with packages to use like those of an index, with sources of Debian packages, with a
# large CA bundle, or with files of requirements.
FROM scratch AS constraints
ARG AIRFLOW_CONSTRAINTS=constraints
ARG AIRFLOW_PYTHON_VERSION=3.11
COPY constraints/${AIRFLOW_CONSTRAINTS}-${AIRFLOW_PYTHON_VERSION}.txt /constraints.txt

FROM scratch AS wheels

FROM scratch AS wheelhouse

FROM scratch AS sources

FROM scratch AS apt

FROM scratch AS ca-bundle

FROM scratch AS requirement-files

FROM ${BASE_IMAGE} AS base

# hadolint ignore=DL3002 # the final stage names its user
USER 0

SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

ARG AIRFLOW_PYTHON_VERSION=3.11

# Python is where the base image has it: on its PATH, or in a folder that some leave out of it. Without this
# check, a later step would fail with another Python, and its message would not say why.
# hadolint ignore=SC3010,SC3014,SC3060 # the shell is bash
RUN <<EOF
# find the Python of the base image
others=""
for folder in ${PATH//:/ } /opt/python/bin /usr/python/bin /usr/local/bin /usr/bin; do
    for name in "python${AIRFLOW_PYTHON_VERSION}" python3; do
        python=$(readlink -e "${folder}/${name}") || continue
        found=$("${python}" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || continue
        if [ "${found}" != "${AIRFLOW_PYTHON_VERSION}" ]; then
            reason="${python} is Python ${found}"
        elif ! "${python}" -c 'import ensurepip, venv' 2> /dev/null && ! "${python}" -m pip > /dev/null 2>&1; then
            reason="${python} has neither pip nor ensurepip (Debian's python3-venv)"
        else
            ln -s "${python}" /usr/local/bin/base-python
            exit 0
        fi
        [[ ${others} == *"; ${reason}"* ]] || others="${others}; ${reason}"
    done
done
echo "the base image has no Python ${AIRFLOW_PYTHON_VERSION}${others}: name another one with --base-image" >&2
exit 1
EOF

ENV LANG=C.UTF-8 LC_ALL=C.UTF-8

FROM base AS build

SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

ARG AIRFLOW_PYTHON_VERSION=3.11
ARG TARGETARCH
ARG ADDITIONAL_DEV_APT_DEPS=""

# Downloads are in cache mounts: they stay on the builder and are not in the image. The ignored rules:
# Debian's release pins the versions, a cache mount has the package lists, a list of words must be split, and
# the shell is bash.
# hadolint ignore=DL3008,DL3009,SC2086,SC3054
RUN --mount=type=cache,id=apt-archives-${TARGETARCH},target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=apt-lists-${AIRFLOW_PYTHON_VERSION}-${TARGETARCH},target=/var/lib/apt/lists,sharing=locked \
    --mount=type=bind,from=apt,target=/run/apt \
    --mount=type=secret,id=apt,required=false \
    --mount=type=secret,id=apt-auth,required=false \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false <<EOF
# install Debian packages for building
export DEBIAN_FRONTEND=noninteractive
rm -f /etc/apt/apt.conf.d/docker-clean # it would empty the cache mount
apt_options=(-o Dir::Etc::netrc=/run/secrets/apt-auth)
[ ! -e /run/secrets/apt ] || . /run/secrets/apt
apt_get() { # dpkg need not flush each file: after a crash, the whole layer is built again
    apt-get -o Acquire::Retries=7 -o Acquire::https::CaInfo="${bundle}" -o APT::Update::Error-Mode=any \
        -o Dpkg::Options::=--force-unsafe-io "${apt_options[@]}" "$@"
}
bundle=/etc/ssl/certs/ca-certificates.crt
for file in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${file}" ] || bundle=${file}; done
apt_get update
apt_get install --yes --no-install-recommends \
    build-essential \
    ca-certificates \
    default-libmysqlclient-dev \
    freetds-dev \
    git \
    libffi-dev \
    libkrb5-dev \
    libldap2-dev \
    libpq-dev \
    libsasl2-dev \
    libssl-dev \
    libxml2-dev \
    libxmlsec1-dev \
    passwd \
    pkg-config \
    unixodbc-dev \
    ${ADDITIONAL_DEV_APT_DEPS}
rm -r -f /tmp/apt-sources
EOF

# Whatever AIRFLOW_UID says, this stage has the same user, and the final one gives the environment to the other:
# so another id repeats nothing here.
RUN <<EOF
# create the user airflow
useradd --uid 50000 --gid 0 --create-home --shell /bin/bash airflow
install --directory --owner 50000 --group 0 --mode 0775 /opt/venv
EOF

ENV HOME=/home/airflow \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:/usr/local/uv/bin:${PATH}

ARG AIRFLOW_UV_VERSION=0.9.18

# uv comes from the same index as all packages. The base image may lack pip, so a temporary environment provides it.
# hadolint ignore=DL3042,SC3030,SC3054 # the cache is a mount, and the shell is bash
RUN --mount=type=cache,id=pip-${TARGETARCH},target=/var/cache/pip,sharing=locked \
    --mount=type=bind,from=wheelhouse,target=/run/wheelhouse \
    --mount=type=secret,id=index,required=false \
    --mount=type=secret,id=index-credentials,required=false \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false <<EOF
# install uv
for bundle in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${bundle}" ] || export PIP_CERT=${bundle}; done
export PIP_DEFAULT_TIMEOUT=60
[ ! -e /run/secrets/index ] || . /run/secrets/index
pip=(/tmp/pip/bin/python -m pip)
python=$(readlink /usr/local/bin/base-python) # an environment looks for its modules beside the link
"${python}" -m venv /tmp/pip > /dev/null || pip=("${python}" -m pip)
install() {
    PIP_CACHE_DIR=/var/cache/pip "${pip[@]}" install --retries 8 \
        --quiet --no-input --disable-pip-version-check --target /usr/local/uv "uv==${AIRFLOW_UV_VERSION}"
}
# pip itself does not retry a download that breaks off
install || install || install || {
    echo "uv ${AIRFLOW_UV_VERSION} cannot be had from ${PIP_INDEX_URL:-PyPI}: is it there, with these credentials?" >&2
    exit 1
}
rm -r -f /tmp/pip
EOF

USER 50000

# The Python packages are in two layers. This one has a set of versions that seldom changes, and its
# cache key depends only on that set and on the steps above; see docs/caching.md. The image copies the
# finished environment, so none of its layers has old versions.
ARG AIRFLOW_BASELINE=baseline
# options of uv, like `--no-binary lxml`
ARG AIRFLOW_UV_OPTIONS=""

# hadolint ignore=SC2086 # a list of words is to be split
RUN --mount=type=bind,source=constraints/${AIRFLOW_BASELINE}-${AIRFLOW_PYTHON_VERSION}.txt,target=/run/baseline.txt \
    --mount=type=cache,id=uv-${TARGETARCH},target=/var/cache/uv,uid=50000,gid=0 \
    --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,from=wheelhouse,target=/run/wheelhouse \
    --mount=type=secret,id=index,required=false,uid=50000 \
    --mount=type=secret,id=index-credentials,required=false,uid=50000 \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false,uid=50000 <<EOF
# install the baseline of Python packages
umask 0002
for bundle in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${bundle}" ] || export SSL_CERT_FILE=${bundle}; done
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=12 UV_PYTHON_DOWNLOADS=never
[ ! -e /run/secrets/index ] || . /run/secrets/index
uv venv --allow-existing --quiet --python "$(readlink /usr/local/bin/base-python)" "${VIRTUAL_ENV}"
uv pip sync ${AIRFLOW_UV_OPTIONS} /run/baseline.txt
EOF

ARG AIRFLOW_PIP_VERSION=25.3
ARG AIRFLOW_VERSION=3.3.2
ARG AIRFLOW_EXTRAS=""
# release, wheels or sources; and whether providers are also built from the sources
ARG AIRFLOW_INSTALLATION_METHOD=release
ARG AIRFLOW_PROVIDERS_FROM_SOURCES=""
ARG AIRFLOW_UV_PRERELEASE=if-necessary-or-explicit

# This step makes an environment with exactly the versions of the constraints, as if it had been empty. pip
# is for users who extend the image. The stage `bytecode` compiles the bytecode.
# hadolint ignore=SC2086,SC3001,SC3054 # a list of words is to be split, and the shell is bash
RUN --mount=type=bind,from=constraints,target=/run/constraints \
    --mount=type=bind,from=wheels,target=/run/wheels \
    --mount=type=bind,from=sources,target=/run/sources,rw \
    --mount=type=cache,id=uv-${TARGETARCH},target=/var/cache/uv,uid=50000,gid=0 \
    --mount=type=bind,from=wheelhouse,target=/run/wheelhouse \
    --mount=type=secret,id=index,required=false,uid=50000 \
    --mount=type=secret,id=index-credentials,required=false,uid=50000 \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false,uid=50000 <<EOF
# install Airflow and its providers
umask 0002
for bundle in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${bundle}" ] || export SSL_CERT_FILE=${bundle}; done
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=12 UV_PYTHON_DOWNLOADS=never
[ ! -e /run/secrets/index ] || . /run/secrets/index
export PYTHONDONTWRITEBYTECODE=1 GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

requirements=()
airflow="apache-airflow[${AIRFLOW_EXTRAS}]==${AIRFLOW_VERSION}"
local_names=() # distributions that do not come from the index: constraints must not apply to them
add() { # add a local distribution: its name, its path
    local_names+=("$1")
    if [ "$1" = apache-airflow ]; then
        airflow="apache-airflow[${AIRFLOW_EXTRAS}] @ file://$2"
    else
        requirements+=("$1 @ file://$2")
    fi
}
case "${AIRFLOW_INSTALLATION_METHOD}" in
wheels)
    for wheel in /run/wheels/*.whl; do
        name=${wheel##*/}
        name=${name%%-*}
        name=${name,,}
        add "${name//[_.]/-}" "${wheel}"
    done
    ;;
sources)
    # A build writes into the sources, and this user cannot write into the mount.
    cp --recursive --no-preserve=mode,ownership /run/sources /tmp/sources
    [ ! -e /tmp/sources/pyproject.toml ] || add apache-airflow /tmp/sources
    for part in airflow-core task-sdk; do
        [ ! -e "/tmp/sources/${part}/pyproject.toml" ] || add "apache-${part/#task/airflow-task}" "/tmp/sources/${part}"
    done
    if [ -n "${AIRFLOW_PROVIDERS_FROM_SOURCES}" ]; then
        for extra in ${AIRFLOW_EXTRAS//,/ }; do
            folder=/tmp/sources/providers/${extra//-//}
            [ ! -e "${folder}/pyproject.toml" ] || add "apache-airflow-providers-${extra}" "${folder}"
        done
    fi
    ;;
esac
cp /run/constraints/constraints.txt /tmp/constraints.txt
for name in "${local_names[@]}"; do
    sed --in-place "/^${name}==/d" /tmp/constraints.txt
done
# uv prefers installed versions. Packages with another version than the constraints are removed first,
# so that the result is that of an empty environment; --exact removes what nothing needs.
gone=$(comm -23 <(uv pip freeze --quiet | sort) <(sort /tmp/constraints.txt) | cut --delimiter '=' --fields 1)
[ -z "${gone}" ] || uv pip uninstall ${gone}
install() {
    uv pip install ${AIRFLOW_UV_OPTIONS} --prerelease "${AIRFLOW_UV_PRERELEASE}" --exact \
        --no-sources --constraint /tmp/constraints.txt "$@" \
        "pip==${AIRFLOW_PIP_VERSION}" "${airflow}" "${requirements[@]}"
}
install
# Two packages may have the same file, which is removed with either: reinstall packages with a missing file.
damaged=$(python - <<"PYTHON"
import csv
from importlib.metadata import distributions

for one in distributions():
    lines = csv.reader((one.read_text("RECORD") or "").splitlines())
    if not all(one.locate_file(line[0]).exists() for line in lines):
        print("--reinstall-package", one.metadata["Name"])
PYTHON
)
[ -z "${damaged}" ] || install ${damaged}
mv /tmp/constraints.txt "${HOME}"
rm -r -f /tmp/sources
found=$(python -c 'from importlib.metadata import version; print(version("apache-airflow"))')
if [ "${found}" != "${AIRFLOW_VERSION}" ]; then
    echo "this is Airflow ${found}, not ${AIRFLOW_VERSION}" >&2
    exit 1
fi
# uv only warns about unknown extras.
python - "${AIRFLOW_EXTRAS}" <<"PYTHON"
import difflib, re, sys
from importlib.metadata import metadata

plain = lambda name: re.sub("[-_.]+", "-", name).lower()
known = sorted(map(plain, metadata("apache-airflow").get_all("Provides-Extra") or []))
for extra in filter(None, map(plain, sys.argv[1].split(","))):
    if extra not in known:
        near = " or ".join(difflib.get_close_matches(extra, known)) or "another one"
        sys.exit(f"this Airflow has no extra {extra}: did you mean {near}?")
PYTHON
uv pip check
EOF

ARG ADDITIONAL_PYTHON_DEPS=""

# This is a separate step, so that a change of these packages does not install Airflow again. They are words
# as xargs reads them: requirements, or `-r FILE` with a file of the stage `requirement-files`. Airflow stays as
# it is, and so does each distribution that came from a wheel or sources, whatever the constraints say.
# hadolint ignore=DL3003,SC3001,SC3054 # the shell is bash
RUN --mount=type=bind,from=constraints,target=/run/constraints \
    --mount=type=bind,from=requirement-files,target=/run/requirements \
    --mount=type=cache,id=uv-${TARGETARCH},target=/var/cache/uv,uid=50000,gid=0 \
    --mount=type=bind,from=wheelhouse,target=/run/wheelhouse \
    --mount=type=secret,id=index,required=false,uid=50000 \
    --mount=type=secret,id=index-credentials,required=false,uid=50000 \
    --mount=type=tmpfs,target=/tmp \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false,uid=50000 <<EOF
# install additional Python packages
[ -n "${ADDITIONAL_PYTHON_DEPS}" ] || exit 0
umask 0002
for bundle in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${bundle}" ] || export SSL_CERT_FILE=${bundle}; done
export UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy UV_HTTP_TIMEOUT=300 UV_HTTP_RETRIES=12 UV_PYTHON_DOWNLOADS=never
[ ! -e /run/secrets/index ] || . /run/secrets/index
python - > /tmp/constraints.txt <<"PYTHON"
import re
from importlib.metadata import distributions

plain = lambda name: re.sub("[-_.]+", "-", name).lower()
kept = {plain(one.metadata["Name"]): one.version for one in distributions()
        if one.metadata["Name"] == "apache-airflow" or one.read_text("direct_url.json")}
for line in open("/run/constraints/constraints.txt"):
    if plain(re.match(r"[\w.-]*", line)[0]) not in kept:
        print(line, end="")
for name, version in kept.items():
    print(f"\n{name}=={version}")
PYTHON
mapfile -t packages < <(xargs --no-run-if-empty printf '%s\n' <<< "${ADDITIONAL_PYTHON_DEPS}")
cd /run/requirements
uv pip install ${AIRFLOW_UV_OPTIONS} --prerelease "${AIRFLOW_UV_PRERELEASE}" \
    --constraint /tmp/constraints.txt "${packages[@]}"
uv pip check
EOF

FROM build AS environment

USER 0

ARG AIRFLOW_UID=50000

# The base image may have its Python in /opt. The final stage stands on the same image, and needs no copy. The
# owner is set here, because with --chown, COPY would give /opt itself to the user, too.
RUN <<EOF
# remove what the base image has in opt
find /opt -mindepth 1 -maxdepth 1 ! -name venv -exec rm -r -f {} +
[ "${AIRFLOW_UID}" = 50000 ] || chown --recursive --no-dereference "${AIRFLOW_UID}:0" /opt/venv
EOF

USER 50000

FROM build AS bytecode

USER 0

ARG AIRFLOW_UID=50000
ARG TARGETARCH
ARG AIRFLOW_PYTHON_VERSION=3.11
ARG AIRFLOW_BYTECODE=airflow

# The bytecode of each package is in one of eight layers, so another version of one package moves one of them:
# the others have the same files as before. Bytecode with an unchecked hash depends on the module's code and path
# alone; Python does not compare it with the module. A cache mount keeps that of unchanged modules.
# hadolint ignore=SC3009 # the shell is bash
RUN --mount=type=cache,id=bytecode-${AIRFLOW_PYTHON_VERSION}-${TARGETARCH},target=/var/cache/bytecode,uid=50000,gid=0 <<EOF
# compile the environment
umask 0002
mkdir /tmp/bytecode /tmp/bytecode/{0..7}
[ "${AIRFLOW_BYTECODE}" = all ] || [ "${AIRFLOW_BYTECODE}" = airflow ] || exit 0
cat > /tmp/compile.py <<"PYTHON"
import hashlib
import py_compile
import re
import shutil
import sys
import sysconfig
import zlib
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import distributions
from importlib.util import cache_from_source
from pathlib import Path

CACHE, RESULT = Path("/var/cache/bytecode"), Path("/tmp/bytecode")
PROVIDERS = [f"apache-airflow-providers-{name}" for name in ("celery", "fab")]


def translate(module, layer):
    known = hashlib.sha256(f"{sys.version}\0{module}\0".encode() + module.read_bytes()).hexdigest()
    kept = CACHE / known[:2] / known
    if not kept.exists():
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        try:
            py_compile.compile(str(module), str(kept), doraise=True, invalidation_mode=unchecked)
        except py_compile.PyCompileError:  # a template, or a test of another version of Python
            return
    path = RESULT / str(layer) / Path(cache_from_source(str(module))).relative_to("/opt")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, path)


def plain(name):
    return re.sub("[-_.]+", "-", name).lower()


def needed(packages):  # what Airflow's programs import: Airflow, and all that it requires
    names, pending = set(), ["apache-airflow-core", "apache-airflow-task-sdk", *PROVIDERS]
    while pending:
        name = pending.pop()
        if name in packages and name not in names:
            names.add(name)
            requirements = [text.partition(";") for text in packages[name].requires or ()]
            pending += [plain(re.match(r"[\w.-]+", what)[0]) for what, _, where in requirements if "extra" not in where]
    return names


if __name__ == "__main__":
    packages = {plain(one.metadata["Name"]): one for one in distributions(path=[sysconfig.get_path("purelib")])}
    chosen = packages if sys.argv[1] == "all" else needed(packages)
    modules, layers = [], []
    for name in sorted(chosen):
        for file in packages[name].files or ():
            module = Path(packages[name].locate_file(file))
            if module.suffix == ".py" and module.exists() and ".." not in file.parts:
                modules.append(module)
                layers.append(zlib.crc32(name.encode()) % 8)
    with ProcessPoolExecutor() as pool:
        list(pool.map(translate, modules, layers, chunksize=32))
PYTHON
python /tmp/compile.py "${AIRFLOW_BYTECODE}"
chown --recursive "${AIRFLOW_UID}:0" /tmp/bytecode
rm /tmp/compile.py
EOF

USER 50000

FROM base AS main

ARG AIRFLOW_BYTECODE=airflow

# Some base images have no bytecode of the standard library, and only root may write it: each start of Python
# would compile what it imports, and would try to write it. Debian's own is up to date and stays.
RUN <<EOF
# compile the standard library
[ "${AIRFLOW_BYTECODE}" != none ] || exit 0
library=$(base-python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
base-python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(site-packages|dist-packages|tests?|lib2to3|idlelib|turtledemo)/' "${library}" || echo "not every module of ${library} can be compiled" >&2
EOF

ARG TARGETARCH
ARG AIRFLOW_PYTHON_VERSION=3.11
ARG ADDITIONAL_RUNTIME_APT_DEPS=""

# hadolint ignore=DL3008,DL3009,SC2086,SC3054 # as in the stage above
RUN --mount=type=cache,id=apt-archives-${TARGETARCH},target=/var/cache/apt,sharing=locked \
    --mount=type=cache,id=apt-lists-${AIRFLOW_PYTHON_VERSION}-${TARGETARCH},target=/var/lib/apt/lists,sharing=locked \
    --mount=type=tmpfs,target=/var/log \
    --mount=type=bind,from=apt,target=/run/apt \
    --mount=type=secret,id=apt,required=false \
    --mount=type=secret,id=apt-auth,required=false \
    --mount=type=bind,from=ca-bundle,target=/run/ca-bundle \
    --mount=type=secret,id=ca-bundle,required=false <<EOF
# install Debian packages for running
export DEBIAN_FRONTEND=noninteractive
rm -f /etc/apt/apt.conf.d/docker-clean # it would empty the cache mount
apt_options=(-o Dir::Etc::netrc=/run/secrets/apt-auth)
[ ! -e /run/secrets/apt ] || . /run/secrets/apt
apt_get() { # dpkg need not flush each file: after a crash, the whole layer is built again
    apt-get -o Acquire::Retries=7 -o Acquire::https::CaInfo="${bundle}" -o APT::Update::Error-Mode=any \
        -o Dpkg::Options::=--force-unsafe-io "${apt_options[@]}" "$@"
}
bundle=/etc/ssl/certs/ca-certificates.crt
for file in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do [ ! -e "${file}" ] || bundle=${file}; done
apt_get update
apt_get install --yes --no-install-recommends \
    ca-certificates \
    curl \
    dumb-init \
    git \
    openssh-client \
    passwd \
    ${ADDITIONAL_RUNTIME_APT_DEPS}
rm -r -f /tmp/apt-sources
EOF

ARG AIRFLOW_UID=50000
ARG AIRFLOW_HOME=/opt/airflow
ARG AIRFLOW_USER_HOME_DIR=/home/airflow

# OpenShift runs containers as a random user in group 0, so group 0 has the permissions of the user airflow.
# In the official image, the environment is ~/.local. sudo has a PATH of its own, and Airflow uses it for run_as_user.
RUN <<EOF
# create the user airflow and its folders
useradd --no-log-init --uid "${AIRFLOW_UID}" --gid 0 --create-home --home-dir "${AIRFLOW_USER_HOME_DIR}" \
    --shell /bin/bash airflow
install --directory --owner "${AIRFLOW_UID}" --group 0 --mode 0775 "${AIRFLOW_USER_HOME_DIR}" \
    "${AIRFLOW_HOME}" "${AIRFLOW_HOME}/dags" "${AIRFLOW_HOME}/logs" "${AIRFLOW_HOME}/plugins"
ln -s /opt/venv "${AIRFLOW_USER_HOME_DIR}/.local"
chmod g=u /etc/passwd
if [ -d /etc/sudoers.d ]; then
    echo "Defaults secure_path=\"/opt/venv/bin:${PATH}\"" > /etc/sudoers.d/airflow
    chmod 0440 /etc/sudoers.d/airflow
fi
EOF

# It is first on root's PATH. Other users cannot run it, and find the environment's.
COPY --chmod=700 <<"EOF" /root/bin/pip
#!/usr/bin/env bash
# Refuse root: what root installs into the environment, the user airflow can neither upgrade nor remove.
echo "You are running pip as root: run it as the user airflow (in a Dockerfile, after USER airflow)" >&2
exit 1
EOF

# The constraints that Airflow was installed with, for those who extend the image.
COPY --from=environment --chown=${AIRFLOW_UID}:0 --chmod=664 /home/airflow/constraints.txt ${AIRFLOW_USER_HOME_DIR}/

ENV AIRFLOW_HOME=${AIRFLOW_HOME} \
    AIRFLOW_UID=${AIRFLOW_UID} \
    AIRFLOW_USER_HOME_DIR=${AIRFLOW_USER_HOME_DIR} \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    DUMB_INIT_SETSID=1 \
    GUNICORN_CMD_ARGS="--worker-tmp-dir /dev/shm" \
    HOME=${AIRFLOW_USER_HOME_DIR} \
    VIRTUAL_ENV=/opt/venv \
    PATH=/root/bin:/opt/venv/bin:${PATH}

# With --link, the layer does not depend on the layers below. All of /opt is copied, because COPY keeps the
# owner and mode of a folder's content, but not of the folder.
COPY --link --from=environment /opt/ /opt/

COPY --link --from=bytecode /tmp/bytecode/0/ /opt/
COPY --link --from=bytecode /tmp/bytecode/1/ /opt/
COPY --link --from=bytecode /tmp/bytecode/2/ /opt/
COPY --link --from=bytecode /tmp/bytecode/3/ /opt/
COPY --link --from=bytecode /tmp/bytecode/4/ /opt/
COPY --link --from=bytecode /tmp/bytecode/5/ /opt/
COPY --link --from=bytecode /tmp/bytecode/6/ /opt/
COPY --link --from=bytecode /tmp/bytecode/7/ /opt/

COPY --link --chmod=755 <<"EOF" /entrypoint
#!/usr/bin/env bash
# Prepare the container as the documentation of Airflow's image promises, then become the command.
set -euo pipefail

umask "${UMASK:-0002}"

say() {
    echo "entrypoint: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

if [[ $(id -g) != 0 ]]; then
    owner=$(id -u airflow) # who may write to the folders without group 0
    [[ $(id -u) == "${owner}" ]] || fail "the user must be in group 0, not $(id -g): run as $(id -u):0"
    say "WARNING: the group is $(id -g): run as ${owner}:0, or other users cannot write to what this one makes"
fi
# Programs ask for the name of a user that only the container's start gave a number.
if ! getent passwd "$(id -u)" > /dev/null && [[ -w /etc/passwd ]]; then
    name=${USER_NAME:-default}
    echo "${name}:x:$(id -u):0:${name} user:${AIRFLOW_USER_HOME_DIR}:/sbin/nologin" >> /etc/passwd
fi

checks=${CONNECTION_CHECK_MAX_COUNT:-20}
pause=${CONNECTION_CHECK_SLEEP_TIME:-3}
command=${1:-}
[[ ${command} != airflow ]] || command=${2:-}

wait_for() { # wait_for WHAT COMMAND...: until the command succeeds
    local what=$1 answer count
    shift
    for ((count = 1; count <= checks; count++)); do
        if answer=$("$@" 2>&1); then
            return
        fi
        say "no ${what} yet, check ${count} of ${checks}"
        ((count == checks)) || sleep "${pause}"
    done
    echo "${answer}" >&2
    fail "no ${what} after ${checks} checks"
}

setting() { # some versions log to the same stream: the value is the last line
    airflow config get-value "$1" "$2" | tail --lines 1
}

database_is_set() { # the default, SQLite in a file, needs no waiting
    # No pipe to grep: it ends at the first match, and then the pipe fails if there are many variables.
    local names=$'\n'$(compgen -e)$'\n' name=$'\nAIRFLOW__(DATABASE|CORE)__SQL_ALCHEMY_CONN(_CMD|_SECRET)?\n'
    [[ -n ${AIRFLOW_CONFIG:-} || -e ${AIRFLOW_HOME}/airflow.cfg || ${names} =~ ${name} ]]
}

broker_answers() { # the address may have a password: others can see the arguments of a process
    BROKER_URL=$1 python - <<'PYTHON'
import os, socket, sys
from urllib.parse import urlsplit

ports = {"amqp": 5672, "amqps": 5672, "redis": 6379, "rediss": 6379, "postgres": 5432, "mysql": 3306}
for one in os.environ["BROKER_URL"].split(";"):  # celery takes several, and does with any of them
    url = urlsplit(one.split("+", 1)[1] if one.startswith(("db+", "sqla+")) else one)
    scheme = url.scheme.partition("+")[0].replace("postgresql", "postgres")
    port = url.port or ports.get(scheme)
    if port is None:
        sys.exit(0)  # what has no port cannot be waited for
    try:
        socket.create_connection((url.hostname or "localhost", port), timeout=5).close()
        sys.exit(0)
    except OSError as error:
        print(f"{url.hostname}:{port}: {error}")
sys.exit(1)
PYTHON
}

users_create() { # the password is read from standard input: others can see the arguments of a process
    python -c '
import sys

from airflow.__main__ import main

sys.argv = ["airflow", "users", "create", *sys.argv[1:], "--password", sys.stdin.read()[:-1]]
sys.exit(main())
' "$@"
}

create_www_user() {
    local password=${_AIRFLOW_WWW_USER_PASSWORD:-} status=0 manager
    if [[ -n ${_AIRFLOW_WWW_USER_PASSWORD_CMD:-} ]]; then
        password=$(bash -c "${_AIRFLOW_WWW_USER_PASSWORD_CMD}") || fail "_AIRFLOW_WWW_USER_PASSWORD_CMD failed"
    fi
    [[ -n ${password} ]] ||
        fail "_AIRFLOW_WWW_USER_CREATE needs _AIRFLOW_WWW_USER_PASSWORD or _AIRFLOW_WWW_USER_PASSWORD_CMD"
    local -a words=(
        --username "${_AIRFLOW_WWW_USER_USERNAME:-admin}"
        --firstname "${_AIRFLOW_WWW_USER_FIRSTNAME:-Airflow}"
        --lastname "${_AIRFLOW_WWW_USER_LASTNAME:-Admin}"
        --email "${_AIRFLOW_WWW_USER_EMAIL:-airflowadmin@example.com}"
        --role "${_AIRFLOW_WWW_USER_ROLE:-Admin}"
    )
    # It succeeds if there is such a user already.
    users_create "${words[@]}" <<< "${password}" && return || status=$?
    manager=$(setting core auth_manager) || manager=unknown
    if [[ ${manager} != *Fab* ]]; then
        fail "_AIRFLOW_WWW_USER_CREATE: no user was made, and the auth manager is ${manager}: leave the variable out," \
            "or set AIRFLOW__CORE__AUTH_MANAGER=airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    elif ((status == 2)); then # argparse knows no command `users`
        fail "_AIRFLOW_WWW_USER_CREATE: ${manager} is missing or broken: build an image with the extra fab"
    fi
    # Another container may have made the user at the same time.
    users_create "${words[@]}" <<< "${password}" || fail "_AIRFLOW_WWW_USER_CREATE: the user could not be made"
}

if ((checks > 0)) && database_is_set; then
    wait_for database airflow db check
fi

if [[ -n ${_AIRFLOW_DB_MIGRATE:-${_AIRFLOW_DB_UPGRADE:-}} ]]; then
    airflow db migrate
fi

[[ -z ${_AIRFLOW_WWW_USER_CREATE:-} ]] || create_www_user
unset _AIRFLOW_WWW_USER_PASSWORD _AIRFLOW_WWW_USER_PASSWORD_CMD

if [[ -n ${_PIP_ADDITIONAL_REQUIREMENTS:-} ]]; then
    say "WARNING: installing ${_PIP_ADDITIONAL_REQUIREMENTS} at every start: for a quick try only, never in" \
        "production; build an image that has them"
    # Airflow stays as it is: what needs another version is an error of pip. Python, for pip refuses root.
    # shellcheck disable=SC2086 # a list of words is to be split
    python -m pip install --root-user-action ignore --no-cache-dir \
        "apache-airflow==${AIRFLOW_VERSION}" ${_PIP_ADDITIONAL_REQUIREMENTS}
    python -m pip check
fi

case "${1:-}" in
bash) exec /bin/bash "${@:2}" ;;
python) exec python "${@:2}" ;;
esac

if ((checks > 0)) && [[ ${command} == scheduler || ${command} == celery ]] &&
    [[ ,$(setting core executor), =~ [,:.=]CeleryExecutor[,\;] ]]; then
    wait_for broker broker_answers "$(setting celery broker_url)"
fi
if [[ ${command} == kerberos ]] && ! command -v "$(setting kerberos kinit_path)" > /dev/null; then
    fail "kerberos needs the program kinit: add krb5-user to the image's Debian packages"
fi

[[ ${1:-} != airflow ]] || shift
exec airflow "$@"
EOF

COPY --link --chmod=755 <<"EOF" /clean-logs
#!/usr/bin/env bash
# Remove old logs, again and again: the log groomer of Airflow's Helm chart.
set -euo pipefail

number() { # number VARIABLE DEFAULT [MAXIMUM]: its value
    local value=${!1:-$2}
    if [[ ! ${value} =~ ^[0-9]{1,18}$ ]] || ((10#${value} > ${3:-10#${value}})); then
        echo "clean-logs: $1: expected a whole number${3:+ up to $3}, got '${value}'" >&2
        exit 2
    fi
    echo "$((10#${value}))"
}

folder=${AIRFLOW_HOME:-/opt/airflow}/logs
days=$(number AIRFLOW__LOG_RETENTION_DAYS 15 1000000)
minutes=$(number AIRFLOW__LOG_RETENTION_MINUTES 0 1000000000)
frequency=$(number AIRFLOW__LOG_CLEANUP_FREQUENCY_MINUTES 15 1000000)
most_bytes=$(number AIRFLOW__LOG_MAX_SIZE_BYTES 0)
most_percent=$(number AIRFLOW__LOG_MAX_SIZE_PERCENT 0 100)
age=$((days * 24 * 60 + minutes))

logs() { # logs EXPRESSION...: find logs. Links are not followed.
    find . -ignore_readdir_race -name lost+found -prune -o \
        -type f '(' -name '*.log' -o -name '*.log.*' ')' "$@"
}

remove() { # remove the logs that standard input names, and the folders that this leaves empty
    local -a files folders
    local file result=0
    while mapfile -d '' -t -n 1000 files && ((${#files[@]} > 0)); do
        rm --force --verbose -- "${files[@]}" || result=1
        folders=()
        for file in "${files[@]}"; do
            [[ ${file} != */* || ${file%/*} == "${folders[*]: -1}" ]] || folders+=("${file%/*}")
        done
        # Some are gone with those above them.
        [[ -z ${folders[*]} ]] ||
            rmdir --parents --ignore-fail-on-non-empty -- "${folders[@]}" 2> /dev/null || true
    done
    return "${result}"
}

too_many() { # too_many BYTES: from logs, the newest first, name those that make them larger
    local size file total=0
    while IFS=/ read -r -d '' _ size file; do
        total=$((total + size))
        ((total <= $1)) || printf '%s\0' "${file}"
    done
}

clean() {
    local result=0 limit=${most_bytes}
    logs -mmin "+${age}" -printf '%P\0' | remove || result=1
    if ((limit == 0 && most_percent > 0)); then
        limit=$(df --block-size 1 --output=size . | tail --lines 1)
        limit=$((limit * most_percent / 100))
    fi
    if ((limit > 0)); then
        logs -printf '%T@/%s/%P\0' | sort --zero-terminated --numeric-sort --reverse | too_many "${limit}" | remove ||
            result=1
    fi
    # What else has left empty; a new and empty folder may be the one that a task is about to write its log to.
    find . -ignore_readdir_race -mindepth 1 -name lost+found -prune -o -type d -empty -mmin +60 -printf '%P\0' |
        xargs --null --no-run-if-empty rmdir --parents --ignore-fail-on-non-empty -- || result=1
    return "${result}"
}

what="older than ${age} minutes"
if ((most_bytes > 0)); then
    what+=", and the oldest beyond ${most_bytes} bytes"
elif ((most_percent > 0)); then
    what+=", and the oldest beyond ${most_percent} % of the file system"
fi
trap 'exit 0' INT TERM
while true; do
    if [[ -d ${folder} ]]; then
        echo "removing logs of ${folder} that are ${what}"
        (cd "${folder}" && clean) || echo "clean-logs: not everything could be removed" >&2
    else
        echo "there is no folder ${folder} yet"
    fi
    sleep "$((frequency > 0 ? frequency * 60 : 1))" &
    wait $!
done
EOF

COPY --link --chmod=755 <<"EOF" /airflow-scheduler-autorestart
#!/usr/bin/env bash
# Start the scheduler again whenever it ends in failure.
set -uo pipefail

until airflow scheduler; do
    echo "the scheduler ended with exit status $?: it is started again" >&2
    sleep 1
done
EOF

WORKDIR ${AIRFLOW_HOME}

EXPOSE 8080

USER ${AIRFLOW_UID}

ENTRYPOINT ["/usr/bin/dumb-init", "--", "/entrypoint"]
CMD []

# These values differ in every build, so no step follows them.
ARG AIRFLOW_VERSION=3.3.2
ARG BUILD_ID=""
ARG COMMIT_SHA=""

ENV AIRFLOW_VERSION=${AIRFLOW_VERSION} \
    BUILD_ID=${BUILD_ID} \
    COMMIT_SHA=${COMMIT_SHA}
