"""A stand-in for moby/buildkit, so that a builder can live in a container without Docker Hub.

buildx starts such a container with `buildkitd`, asks `buildctl debug workers` until it answers,
and then talks through `buildctl dial-stdio` (driver/docker-container of buildx). Here both are
scripts over the engine's own programs: a Docker Engine inside of the container, whose BuildKit is
the builder.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks import process
from build_tasks.engine import bases, handle, packages, registry, state
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import locks

if TYPE_CHECKING:
    from build_tasks.engine.handle import Embedded

#: The Python whose stand-in is Debian 12, which has what the newest docker.io runs with.
_BASE = "3.11"
_BUILD = 900.0
_FORM = "oci-mediatypes=true"
_BUILDKITD = """\
#!/bin/sh
# A Docker Engine that lives as long as this script, with its state where buildx keeps a builder's.
# Its network may be the machine's: the bridge has a name and addresses that nobody else has, and
# goes, with the rules about it, when the engine ends.
set -eu
configuration=
[ "${1-}" = --config ] && configuration=$2
# One that was killed, and so did not remove its bridge, has it again: the name lasts.
mkdir -p /var/lib/buildkit
note=/var/lib/buildkit/bridge
[ -s $note ] || echo "afb-$(od -An -N4 -tx1 /dev/urandom | tr -d ' ')" > $note
bridge=$(cat $note)
forget() {
    for table in nat filter; do
        iptables -t $table -S | grep -w -- "$bridge" | sed 's/^-A/-D/' | while read -r rule; do
            # shellcheck disable=SC2086 # the words of a rule
            iptables -t $table $rule
        done
    done
    ip link delete "$bridge" 2> /dev/null || true
}
forget
while
    network="10.214.$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')"
    ip -4 address | grep -q "inet $network[.]"
do :; done
engine=
end() {
    trap '' TERM INT
    if [ "$engine" ]; then
        kill "$engine" 2> /dev/null || true
        wait "$engine" || true
    fi
    forget
    exit 0
}
trap end TERM INT
ip link add "$bridge" type bridge
ip address add "$network.1/24" dev "$bridge"
ip link set "$bridge" up
iptables -t nat -I POSTROUTING -s "$network.0/24" ! -o "$bridge" -j MASQUERADE
iptables -I FORWARD -i "$bridge" -j ACCEPT
iptables -I FORWARD -o "$bridge" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
mkdir -p /etc/docker
daemon-json "$bridge" "$configuration" > /etc/docker/daemon.json
rm -rf /var/run/docker.pid /var/run/docker
dockerd &
engine=$!
wait "$engine" || true
end
"""
_DAEMON_JSON = """\
#!/usr/bin/env python3
# What buildkitd.toml says, in the words of a Docker Engine.
import json
import sys
import tomllib

bridge, file = sys.argv[1:]
told = {}
if file:
    with open(file, "rb") as opened:
        told = tomllib.load(opened)
registries = told.get("registry", {})
ceiling = told.get("worker", {}).get("oci", {}).get("maxUsedSpace")
insecure = [name for name, one in registries.items() if one.get("http") or one.get("insecure")]
mirrors = registries.get("docker.io", {}).get("mirrors", [])
said = {
    "features": {"containerd-snapshotter": True},
    "data-root": "/var/lib/buildkit/docker",
    "bridge": bridge,
    "iptables": False,
    "ip6tables": False,
    "insecure-registries": ["127.0.0.0/8", *insecure],
    "registry-mirrors": [
        f"{'http' if one in insecure else 'https'}://{one}" for one in mirrors if "/" not in one
    ],
    "userland-proxy": False,
}
if ceiling:
    said["builder"] = {"gc": {"enabled": True, "defaultMaxUsedSpace": str(ceiling)}}
print(json.dumps(said))
"""
_BUILDCTL = """\
#!/bin/sh
# What buildx asks of BuildKit's own client: whether it works, and a way in.
for word in "$@"; do
    case "$word" in
        dial-stdio) exec docker buildx --builder default dial-stdio ;;
        debug) exec docker info --format '{{.ServerVersion}}' ;;
    esac
done
echo "this stand-in answers 'debug workers' and 'dial-stdio' only" >&2
exit 1
"""
_DOCKERFILE = """\
FROM {base}
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends containerd iproute2 iptables runc \\
 && rm -rf /var/lib/apt/lists/*
COPY engine/ /
COPY --chmod=755 buildkitd buildctl daemon-json /usr/local/bin/
LABEL org.opencontainers.image.title="debian-buildkit" \\
      org.opencontainers.image.description="A stand-in for BuildKit's image: Docker Engine of \\
Debian {release}"
ENTRYPOINT ["buildkitd"]
"""


def reference(engine: Embedded) -> str:
    """Return what the stand-in is called, made or not: another recipe has another tag."""
    recipe = f"{_BUILDKITD}{_DAEMON_JSON}{_BUILDCTL}{_DOCKERFILE}{_FORM}"
    version = hashlib.sha256(recipe.encode()).hexdigest()[:8]
    return f"{engine.registry}/debian-buildkit:{engine.release}-{version}"


def ensure(engine: Embedded, announce: Callable[[str], None]) -> str:
    """Return the reference of the stand-in for BuildKit's image, made if it is not there.

    Args:
        engine: the engine, whose registry keeps it.
        announce: is told what is made.

    Raises:
        EngineError: the image cannot be made.
    """
    name = reference(engine)
    if registry.holds(name):
        return name
    base = bases.ensure(engine, _BASE, [packages.architecture()], announce)
    where = state.folders()
    work = where.home / "buildkit-image"
    with locks.hold(work.with_suffix(".lock"), f"makes {name}", announce):
        if not registry.holds(name):
            announce(f"making {name}, once")
            _fill(work, where.root(engine.release), base, engine.release)
            _make(engine, name, work)
    return name


def _fill(work: Path, root: Path, base: str, release: str) -> None:
    shutil.rmtree(work, ignore_errors=True)
    places = {
        root / "usr/sbin/dockerd": "usr/sbin/dockerd",
        root / "usr/bin/docker": "usr/bin/docker",
        root / "usr/bin/tini-static": "usr/bin/docker-init",
        handle.plugin(root): "usr/libexec/docker/cli-plugins/docker-buildx",
    }
    for source, place in places.items():
        target = work / "engine" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    (work / "buildkitd").write_text(_BUILDKITD, encoding="utf-8")
    (work / "buildctl").write_text(_BUILDCTL, encoding="utf-8")
    (work / "daemon-json").write_text(_DAEMON_JSON, encoding="utf-8")
    text = _DOCKERFILE.format(base=base, release=release)
    (work / "Dockerfile").write_text(text, encoding="utf-8")


def _make(engine: Embedded, name: str, work: Path) -> None:
    # The base's layers are zstd, which only OCI's media types have a name for that an engine which
    # has to pull them knows.
    output = f"type=image,name={name},push=true,{_FORM}"
    command = (str(engine.buildx), "build", "--provenance", "false", "--output", output)
    try:
        process.run((*command, str(work)), environment=engine.environment, timeout=_BUILD)
    except ImagesError as error:
        raise EngineError(f"cannot make {name}: {error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
