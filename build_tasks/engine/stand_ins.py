"""Build stand-ins for Docker Hub's images from Debian's packages: Python's and BuildKit's.

A stand-in says what it is: its name begins with `debian-`, and its labels name Debian's release.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from build_tasks import process
from build_tasks.engine import apt, packages, registry
from build_tasks.engine.folders import engine_folders
from build_tasks.engine.processes import MARKER, end_orphans
from build_tasks.engine.state import EmbeddedEngine
from build_tasks.errors import EngineError, ImagesError
from build_tasks.process import Announce, Command, locks
from build_tasks.process.heartbeat import Phase, heartbeat

#: The releases of Debian by the Python that they ship. 3.10 and 3.12 were in none.
SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie", "3.14": "unstable"}
ARCHITECTURES = ("amd64", "arm64")
#: What python:X.Y-slim has besides Debian's minimum; it has the headers, too.
_PACKAGES = "ca-certificates,libpython3-dev,netbase,python3,python3-venv,tzdata"
_MMDEBSTRAP = (
    "mmdebstrap",
    "--variant=minbase",
    f"--keyring={apt.KEYRING}",
    f"--include={_PACKAGES}",
    "--skip=check/qemu",  # the engine knows itself what can be emulated
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)
_UNCHECKED_DATE = '--aptopt=Acquire::Check-Valid-Until "false"'
#: Seconds for a build; a base took 15 to 22 natively, 170 under emulation.
_BUILD = 1800.0
_DOCKERFILES = Path(__file__).with_name("dockerfiles")
#: How layers are stored. Only OCI's media types have a name for zstd that every engine knows.
_PYTHON_LAYERS = "oci-mediatypes=true,compression=zstd,compression-level=1,force-compression=true"
_BUILDKIT_LAYERS = "oci-mediatypes=true"
#: The stand-in for BuildKit stands on Debian 12, which has what the newest docker.io runs with.
_BUILDKIT_PYTHON = "3.11"


def python_reference(engine: EmbeddedEngine, python: str) -> str:
    """Return the name of the stand-in for a Python's base image."""
    if python not in SUITES:
        released = ", ".join(SUITES)
        raise EngineError(
            f"no base image for Python {python}: Docker Hub is out of reach, and Debian released "
            f"{released} only: choose one of those, or name an image with --base-image"
        )
    return f"{engine.registry}/debian-python:{python}"


def ensure_python(
    engine: EmbeddedEngine, python: str, architectures: Sequence[str], announce: Announce
) -> str:
    """Return the name of the stand-in for a Python's base image; build it if it is missing.

    Raises:
        EngineError: Debian never released that Python, or the image cannot be built.
    """
    name = python_reference(engine, python)
    parts = {architecture: f"{name}-{architecture}" for architecture in architectures}
    if _is_complete(name, parts.values()):
        return name
    work = engine_folders().home / "bases" / python
    with locks.hold(work.with_name(f"{python}.lock"), f"builds {name}", announce):
        if _is_complete(name, parts.values()):
            return name
        for architecture, part in parts.items():
            if not registry.holds(part):
                _build_python(engine, python, architecture, work, announce)
        # The tag is an index of all platforms that there are; each keeps a tag of its own.
        present = [part for other in ARCHITECTURES if registry.holds(part := f"{name}-{other}")]
        _buildx(engine, name, "imagetools", "create", "--tag", name, *present)
    return name


def buildkit_reference(engine: EmbeddedEngine) -> str:
    """Return the name of the stand-in for BuildKit's image; another recipe has another tag."""
    recipe = hashlib.sha256(_BUILDKIT_LAYERS.encode())
    for file in sorted((_DOCKERFILES / "buildkit").iterdir()):
        recipe.update(file.read_bytes())
    return f"{engine.registry}/debian-buildkit:{engine.release}-{recipe.hexdigest()[:8]}"


def ensure_buildkit(engine: EmbeddedEngine, announce: Announce) -> str:
    """Return the name of the stand-in for BuildKit's image; build it if it is missing."""
    name = buildkit_reference(engine)
    if registry.holds(name):
        return name
    base = ensure_python(engine, _BUILDKIT_PYTHON, [apt.architecture()], announce)
    folders = engine_folders()
    with locks.hold(folders.home / "buildkit-image.lock", f"builds {name}", announce):
        if not registry.holds(name):
            announce(f"building {name} (only once)")
            _buildx(
                engine,
                name,
                *("build", "--provenance", "false"),
                *("--build-arg", f"BASE={base}", "--build-arg", f"RELEASE={engine.release}"),
                *("--build-context", f"packages={folders.packages(engine.release)}"),
                *("--output", f"type=image,name={name},push=true,{_BUILDKIT_LAYERS}"),
                str(_DOCKERFILES / "buildkit"),
            )
    return name


def _is_complete(name: str, parts: Iterable[str]) -> bool:
    """Return whether the registry has an index, and each of these platforms in it."""
    index = registry.manifest(name)
    return all(registry.holds(part) and registry.digest(part) in index for part in parts)


def _build_python(
    engine: EmbeddedEngine, python: str, architecture: str, work: Path, announce: Announce
) -> None:
    """Build and push the stand-in for one platform."""
    name, suite = f"{python_reference(engine, python)}-{architecture}", SUITES[python]
    announce(f"building {name} from Debian {suite} (only once)")
    end_orphans(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    phase = Phase("starting")
    try:
        with heartbeat(name, phase, announce):
            command = (*_MMDEBSTRAP, f"--architectures={architecture}")
            reason = _bootstrap(command, suite, work, engine.release, phase)
            if reason:
                raise EngineError(f"cannot build {name} from Debian {suite}: {reason}")
            phase.name = "packing and pushing"
            _buildx(
                engine,
                name,
                *("build", "--provenance", "false", "--platform", f"linux/{architecture}"),
                *("--build-arg", f"PYTHON={python}", "--build-arg", f"SUITE={suite}"),
                *("--output", f"type=image,name={name},push=true,{_PYTHON_LAYERS}"),
                *("--file", str(_DOCKERFILES / "python/Dockerfile"), str(work)),
            )
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _bootstrap(command: Command, suite: str, work: Path, release: str, phase: Phase) -> str:
    """Make a root file system, and return the error of mmdebstrap, if it fails.

    An index that is past its validity date is used if no mirror has a newer one.
    """

    def follow(line: str) -> None:
        if line.startswith("I: "):  # I: extracting archives...
            phase.name = line.removeprefix("I: ").rstrip(". ")

    variables = {
        **packages.environment(engine_folders().packages(release)),
        "TMPDIR": str(work),  # a killed mmdebstrap leaves its temporary files there
        MARKER: str(work),
    }
    target, stderr = str(work / "rootfs.tar"), ""
    for unchecked, mirror in itertools.product(((), (_UNCHECKED_DATE,)), ((), (apt.mirror(),))):
        if unchecked and " is expired" not in stderr:
            break
        completed = process.stream(
            (*command, *unchecked, suite, target, *mirror),
            environment=variables,
            terminal=False,
            line=follow,
        )
        if not completed.returncode:
            return ""
        stderr = completed.stderr
    errors = [line for line in stderr.splitlines() if "E:" in line]
    return errors[-1] if errors else "mmdebstrap failed"


def _buildx(engine: EmbeddedEngine, name: str, *words: str) -> None:
    try:
        process.run((str(engine.buildx), *words), environment=engine.environment, timeout=_BUILD)
    except ImagesError as error:
        raise EngineError(f"cannot build {name}: {error}") from None
