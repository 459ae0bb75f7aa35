"""Stand-ins for Docker's Python images, made of Debian's packages where Docker Hub is out of reach.

A stand-in says what it is: its name is debian-python, and its labels name Debian's release.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from build_tasks import process
from build_tasks.engine import apt, registry, state
from build_tasks.engine.processes import end_orphans, marker
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import Command, locks
from build_tasks.process.heartbeat import Phase, heartbeat

if TYPE_CHECKING:
    from build_tasks.engine.handle import Embedded

#: The releases of Debian by the Python that they ship. 3.10 and 3.12 were in none.
SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie", "3.14": "unstable"}
#: What python:X.Y-slim holds besides Debian's minimum; the headers are part of it there, too.
PACKAGES = ("ca-certificates", "libpython3-dev", "netbase", "python3", "python3-venv", "tzdata")
#: Seconds; 15 to 22 were seen natively, 170 under emulation.
_BOOTSTRAP = 1800.0
_COMPRESSION = "oci-mediatypes=true,compression=zstd,compression-level=1,force-compression=true"
_DOCKERFILE = """\
FROM scratch
ADD rootfs.tar /
RUN ln -s /usr/bin/python3 /usr/local/bin/python \\
 && python -c "import sys; v = '%d.%d' % sys.version_info[:2]; sys.exit(v != '{python}' and v)"
LABEL org.opencontainers.image.title="debian-python" \\
      org.opencontainers.image.version="{python}" \\
      org.opencontainers.image.description="A stand-in for Docker's python image: Debian {suite}"
ENV LANG=C.UTF-8
CMD ["python3"]
"""


def reference(engine: Embedded, python: str) -> str:
    """Return the reference of the stand-in for a Python.

    Raises:
        EngineError: Debian never released that Python.
    """
    if python not in SUITES:
        released = ", ".join(SUITES)
        raise EngineError(
            f"no base image for Python {python}: Docker Hub is out of reach, and Debian released "
            f"{released} only: choose one of those, or name an image with --base-image"
        )
    return f"{engine.registry}/debian-python:{python}"


def ensure(
    engine: Embedded,
    python: str,
    architectures: Sequence[str],
    announce: Callable[[str], None],
) -> str:
    """Return the reference of the stand-in for a Python, made if it is not there.

    Args:
        engine: the engine, whose registry keeps it.
        python: the version.
        architectures: Debian's names of those that the image has to hold.
        announce: is told what is made.

    Raises:
        EngineError: Debian never released that Python, or the image cannot be made.
    """
    name = reference(engine, python)
    wanted = [f"{name}-{architecture}" for architecture in architectures]
    if _is_made(name, wanted):
        return name
    work = state.folders().home / "bases" / python
    lock = work.with_name(f"{python}.lock")
    with locks.hold(lock, f"makes {name}", announce):
        if _is_made(name, wanted):
            return name
        end_orphans(work)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for architecture, one in zip(architectures, wanted, strict=True):
            if not registry.holds(one):
                announce(f"making {one} of Debian {SUITES[python]}, once")
                phase = Phase("starting")
                with heartbeat(one, phase, announce):
                    _make(engine, python, (architecture, one), work, phase)
        # The tag is an index of what there is; each platform keeps its own manifest.
        parts = [f"{name}-{other}" for other in ("amd64", "arm64")]
        parts = [part for part in parts if registry.holds(part)]
        _run(engine, (str(engine.buildx), "imagetools", "create", "--tag", name, *parts), name)
        shutil.rmtree(work, ignore_errors=True)
    return name


def bootstrap_command(
    suite: str, architecture: str, target: Path, mirror: str = "", *, late: bool = False
) -> Command:
    """Return the command that makes a root file system of Debian's packages.

    Args:
        suite: the release.
        architecture: Debian's name of it.
        target: the tar file to write.
        mirror: the mirror to take packages from; mmdebstrap's default if empty.
        late: take an index that is past its validity date; its signature is checked.
    """
    return (
        "mmdebstrap",
        "--variant=minbase",
        f"--architectures={architecture}",
        f"--keyring={apt.KEYRING}",
        f"--include={','.join(PACKAGES)}",
        "--skip=check/qemu",  # the engine's own modules know what can be emulated
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if late else []),
        suite,
        str(target),
        *([mirror] if mirror else []),
    )


def _is_made(name: str, parts: Sequence[str]) -> bool:
    """Return whether the registry has the index, and each platform in it."""
    index = registry.manifest(name)
    return all(registry.holds(part) and registry.digest(part) in index for part in parts)


def _make(engine: Embedded, python: str, part: tuple[str, str], work: Path, phase: Phase) -> None:
    """Make and push the stand-in for one platform.

    Args:
        engine: the engine.
        python: its Python.
        part: Debian's name of the architecture, and the reference.
        work: a folder for it.
        phase: is told what is done at the moment.
    """
    architecture, name = part
    tar = work / "rootfs.tar"
    _bootstrap(engine, SUITES[python], part, tar, phase)
    dockerfile = work / "Dockerfile"
    dockerfile.write_text(_DOCKERFILE.format(python=python, suite=SUITES[python]), encoding="utf-8")
    platform = f"linux/{architecture}"
    build = (str(engine.buildx), "build", "--platform", platform, "--provenance", "false")
    output = f"type=image,name={name},push=true,{_COMPRESSION}"
    phase.name = "packing and pushing it"
    try:
        _run(engine, (*build, "--output", output, str(work)), name)
    finally:
        tar.unlink()


def _bootstrap(
    engine: Embedded, suite: str, part: tuple[str, str], tar: Path, phase: Phase
) -> None:
    """Make the root file system, and follow what mmdebstrap says of it (`I: extracting ...`)."""
    from build_tasks.engine import packages  # noqa: PLC0415 - start-up time

    def follow(line: str) -> None:
        if line.startswith("I: "):
            phase.name = line.removeprefix("I: ").rstrip(". ")

    architecture, name = part
    # What mmdebstrap leaves when it is killed lies in its folder for temporary files.
    folder = {"TMPDIR": str(tar.parent), **marker(tar.parent)}
    variables = {**packages.environment(state.folders().root(engine.release)), **folder}
    said = ""
    for late, mirror in itertools.product((False, True), ("", packages.mirror())):
        if late and " is expired" not in said:
            break
        command = bootstrap_command(suite, architecture, tar, mirror, late=late)
        made = process.stream(command, environment=variables, terminal=False, line=follow)
        if not made.returncode:
            return
        said = made.stderr
    lines = [line for line in said.splitlines() if "E:" in line]
    reason = lines[-1] if lines else "mmdebstrap failed"
    raise EngineError(f"cannot make {name} of Debian {suite}: {reason}")


def _run(engine: Embedded, command: Command, name: str) -> None:
    try:
        process.run(command, environment=engine.environment, timeout=_BOOTSTRAP)
    except ImagesError as error:
        raise EngineError(f"cannot make {name}: {error}") from None
