"""Build stand-ins for Docker Hub's images from Debian's packages: Python's and BuildKit's.

A stand-in says what it is: its name begins with `debian-`, and its labels name Debian's release.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from build_tasks import process
from build_tasks.engine import apt, packages, registry
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.processes import end_orphans, marker
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import Command, locks
from build_tasks.process.heartbeat import Phase, heartbeat

#: The releases of Debian by the Python that they ship. 3.10 and 3.12 were in none.
SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie", "3.14": "unstable"}
#: What python:X.Y-slim has besides Debian's minimum; it has the headers, too.
PACKAGES = ("ca-certificates", "libpython3-dev", "netbase", "python3", "python3-venv", "tzdata")
#: Seconds for a build; a base took 15 to 22 natively, 170 under emulation.
_BUILD = 1800.0
_DOCKERFILES = Path(__file__).with_name("dockerfiles")
#: How layers are stored. The names of OCI's media types are the only ones for zstd that an engine
#: knows which pulls the images.
_PYTHON_LAYERS = "oci-mediatypes=true,compression=zstd,compression-level=1,force-compression=true"
_BUILDKIT_LAYERS = "oci-mediatypes=true"
#: The stand-in for BuildKit stands on Debian 12, which has what the newest docker.io runs with.
_BUILDKIT_PYTHON = "3.11"


def python_reference(engine: EmbeddedEngine, python: str) -> str:
    """Return the name of the stand-in for a Python's base image.

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


def ensure_python(
    engine: EmbeddedEngine,
    python: str,
    architectures: Sequence[str],
    announce: Callable[[str], None],
) -> str:
    """Return the name of the stand-in for a Python's base image; build it if it is missing.

    Args:
        engine: the engine, whose registry keeps it.
        python: the version.
        architectures: Debian's names of those that the image has to hold.
        announce: is told what is built.

    Raises:
        EngineError: Debian never released that Python, or the image cannot be built.
    """
    name = python_reference(engine, python)
    parts = {architecture: f"{name}-{architecture}" for architecture in architectures}
    if _is_complete(name, parts.values()):
        return name
    work = engine_folders().home / "bases" / python
    with locks.hold(work.with_name(f"{python}.lock"), f"makes {name}", announce):
        if _is_complete(name, parts.values()):
            return name
        end_orphans(work)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for architecture, part in parts.items():
            if not registry.holds(part):
                announce(f"making {part} of Debian {SUITES[python]}, once")
                phase = Phase("starting")
                with heartbeat(part, phase, announce):
                    _bootstrap(engine, python, architecture, work / "rootfs.tar", phase)
                    phase.name = "packing and pushing it"
                    _build_python(engine, python, architecture, work)
        # The tag is an index of all platforms that there are; each keeps a tag of its own.
        present = [f"{name}-{other}" for other in ("amd64", "arm64")]
        present = [part for part in present if registry.holds(part)]
        _buildx(engine, name, "imagetools", "create", "--tag", name, *present)
        shutil.rmtree(work, ignore_errors=True)
    return name


def buildkit_reference(engine: EmbeddedEngine) -> str:
    """Return the name of the stand-in for BuildKit's image; another recipe has another tag."""
    recipe = hashlib.sha256(_BUILDKIT_LAYERS.encode())
    for file in sorted((_DOCKERFILES / "buildkit").iterdir()):
        recipe.update(file.read_bytes())
    return f"{engine.registry}/debian-buildkit:{engine.release}-{recipe.hexdigest()[:8]}"


def ensure_buildkit(engine: EmbeddedEngine, announce: Callable[[str], None]) -> str:
    """Return the name of the stand-in for BuildKit's image; build it if it is missing.

    Args:
        engine: the engine, whose registry keeps it.
        announce: is told what is built.

    Raises:
        EngineError: the image cannot be built.
    """
    name = buildkit_reference(engine)
    if registry.holds(name):
        return name
    base = ensure_python(engine, _BUILDKIT_PYTHON, [apt.architecture()], announce)
    folders = engine_folders()
    with locks.hold(folders.home / "buildkit-image.lock", f"makes {name}", announce):
        if not registry.holds(name):
            announce(f"making {name}, once")
            arguments = {"BASE": base, "RELEASE": engine.release}
            unpacked = f"packages={folders.packages(engine.release)}"
            context = ("--build-context", unpacked, str(_DOCKERFILES / "buildkit"))
            _build(engine, name, _BUILDKIT_LAYERS, arguments, context)
    return name


def bootstrap_command(
    suite: str, architecture: str, target: Path, mirror: str = "", *, check_date: bool = True
) -> Command:
    """Return the command that makes a root file system of Debian's packages.

    Args:
        suite: the release.
        architecture: Debian's name of it.
        target: the tar file to write.
        mirror: the mirror to take packages from; mmdebstrap's default if empty.
        check_date: refuse an index that is past its validity date.
    """
    return (
        "mmdebstrap",
        "--variant=minbase",
        f"--architectures={architecture}",
        f"--keyring={apt.KEYRING}",
        f"--include={','.join(PACKAGES)}",
        "--skip=check/qemu",  # the engine knows itself what can be emulated
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *([] if check_date else ['--aptopt=Acquire::Check-Valid-Until "false"']),
        suite,
        str(target),
        *([mirror] if mirror else []),
    )


def _is_complete(name: str, parts: Iterable[str]) -> bool:
    """Return whether the registry has an index, and each of these platforms in it."""
    index = registry.manifest(name)
    return all(registry.holds(part) and registry.digest(part) in index for part in parts)


def _bootstrap(
    engine: EmbeddedEngine, python: str, architecture: str, tar: Path, phase: Phase
) -> None:
    """Make the root file system, and follow what mmdebstrap reports (`I: extracting ...`)."""

    def follow(line: str) -> None:
        if line.startswith("I: "):
            phase.name = line.removeprefix("I: ").rstrip(". ")

    suite = SUITES[python]
    variables = {
        **packages.environment(engine_folders().packages(engine.release)),
        "TMPDIR": str(tar.parent),  # a killed mmdebstrap leaves its temporary files there
        **marker(tar.parent),
    }
    stderr = ""
    for check_date, mirror in itertools.product((True, False), ("", apt.mirror())):
        if not check_date and " is expired" not in stderr:
            break
        command = bootstrap_command(suite, architecture, tar, mirror, check_date=check_date)
        completed = process.stream(command, environment=variables, terminal=False, line=follow)
        if not completed.returncode:
            return
        stderr = completed.stderr
    lines = [line for line in stderr.splitlines() if "E:" in line]
    reason = lines[-1] if lines else "mmdebstrap failed"
    name = f"{python_reference(engine, python)}-{architecture}"
    raise EngineError(f"cannot make {name} of Debian {suite}: {reason}")


def _build_python(engine: EmbeddedEngine, python: str, architecture: str, work: Path) -> None:
    """Build and push one platform from the root file system in a folder."""
    name = f"{python_reference(engine, python)}-{architecture}"
    file = str(_DOCKERFILES / "python/Dockerfile")
    arguments = {"PYTHON": python, "SUITE": SUITES[python]}
    context = ("--platform", f"linux/{architecture}", "--file", file, str(work))
    try:
        _build(engine, name, _PYTHON_LAYERS, arguments, context)
    finally:
        (work / "rootfs.tar").unlink()


def _build(
    engine: EmbeddedEngine, name: str, layers: str, arguments: dict[str, str], context: Command
) -> None:
    output = f"type=image,name={name},push=true,{layers}"
    words = ["build", "--provenance", "false", "--output", output]
    for key, value in arguments.items():
        words += ["--build-arg", f"{key}={value}"]
    _buildx(engine, name, *words, *context)


def _buildx(engine: EmbeddedEngine, name: str, *words: str) -> None:
    try:
        process.run((str(engine.buildx), *words), environment=engine.environment, timeout=_BUILD)
    except ImagesError as error:
        raise EngineError(f"cannot make {name}: {error}") from None
