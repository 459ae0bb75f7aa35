# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "jinja2>=3.1",
#     "nox>=2024.10.9",
#     "packaging>=24",
#     "platformdirs>=4",
#     "pytest>=8",
#     "rich>=13",
#     "uv>=0.5",
#     "zstandard>=0.22",
# ]
# ///
"""Sessions: `nox -s build_ci-3.11`; `nox -l` lists them; options follow `--`, `-h` shows them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # the nox program does not put it there

from build_tasks.front import startup

startup.end_on_interrupt()

from build_tasks import process
from build_tasks.commands import Verb, build
from build_tasks.commands.constraints import generate_constraints
from build_tasks.commands.images import verify_image
from build_tasks.commands.output import reported
from build_tasks.config import options, settings
from build_tasks.config.options import Option, Options
from build_tasks.errors import ImagesError
from build_tasks.model.matrix import ImageKind, Platform

DOCKERFILES = (
    *(kind.dockerfile for kind in ImageKind),
    "build_tasks/verify/postgres/Dockerfile",
)

#: Shell scripts that shellcheck can read.
SCRIPTS = (".ci/run", *(str(path) for path in sorted(Path("build_tasks").rglob("*.sh"))))

#: Files and the schema that each is checked against.
SCHEMAS = {
    "github-workflows": ".github/workflows/tests.yml",
    "dependabot": ".github/dependabot.yml",
}

#: The tests without an engine, and those with one or with a browser.
QUICK = ("tests/unit", "tests/front_ends")
SLOW = ("tests/browser", "tests/engine")

nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = True

try:
    with reported():
        PYTHONS = settings.load().pythons
except ImagesError as error:
    sys.exit(f"nox > {error}")


def run(
    session: nox.Session,
    verb: Verb,
    takes: Sequence[Option],
    **fixed: str,
) -> None:
    """Call one verb with the session's options, and end the session with one line if it fails.

    Args:
        session: the session, whose options stand after `--`.
        verb: the function of build_tasks.commands that does the work.
        takes: the options that the session has.
        fixed: options that the session's name says already.
    """
    try:
        with process.interruptible(), reported():
            known = [option for option in takes if option.name not in fixed]
            given = options.parse(session.name, known, session.posargs).given
            verb(Options({**given, **fixed}))
    except ImagesError as error:
        session.error(str(error))


def register(kind: ImageKind, python: str, platform: Platform | None) -> None:
    """Make the session of one image and Python, for one platform if it is given."""
    pinned = {"platform": platform.value} if platform else {}
    suffix = f"-{platform.architecture}" if platform else ""

    def session(session: nox.Session) -> None:
        run(session, build.build, options.BUILD, kind=kind.value, python=python, **pinned)

    where = f" for {platform}" if platform else ""
    session.__doc__ = f"Build the {kind.upper()} image with Python {python}{where}."
    nox.session(
        name=f"build_{kind}-{python}{suffix}",
        venv_backend="none",
        tags=[f"build_{kind}", f"python-{python}"],
    )(session)


def register_for_all(name: str, verb: Verb, takes: Sequence[Option], does: str) -> None:
    """Make the sessions of one verb that are for an image with a Python, whatever its platforms.

    Args:
        name: what the sessions' names begin with.
        verb: the function of build_tasks.commands that does the work.
        takes: the options that the sessions have.
        does: what they do, with {kind} and {python} to be filled in.
    """

    def register_one(kind: ImageKind, python: str) -> None:
        def session(session: nox.Session) -> None:
            run(session, verb, takes, kind=kind.value, python=python)

        session.__doc__ = does.format(kind=kind.upper(), python=python)
        nox.session(
            name=f"{name}_{kind}-{python}",
            venv_backend="none",
            tags=[f"{name}_{kind}", f"python-{python}"],
        )(session)

    for version in PYTHONS:
        for kind in ImageKind:
            register_one(kind, version)


for version in PYTHONS:
    for kind in ImageKind:
        for platform in (None, *Platform):
            register(kind, version, platform)


@nox.session(venv_backend="none")
def build_all(session: nox.Session) -> None:
    """Build both images with every Python of the matrix, or those that options select."""
    run(session, build.build_all, options.SELECTED_BUILD)


register_for_all(
    "merge",
    build.merge_image,
    options.MERGE,
    "Merge the platforms of the {kind} image with Python {python}.",
)
register_for_all(
    "verify",
    verify_image,
    options.VERIFY,
    "Verify that the {kind} image with Python {python} holds what it says.",
)


def register_constraints(python: str) -> None:
    """Make the session that regenerates the constraints of one Python."""

    @nox.session(name=f"constraints-{python}", venv_backend="none", tags=["constraints"])
    def constraints(session: nox.Session) -> None:
        run(session, generate_constraints, options.CONSTRAINTS, python=python)

    constraints.__doc__ = f"Resolve constraints/constraints-{python}.txt."


for version in PYTHONS:
    register_constraints(version)


def start(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the session's environment, and end the session if it fails."""
    command = (str(Path(session.bin) / program), *arguments)
    with process.interruptible():
        ended = process.stream(command, environment={"VIRTUAL_ENV": session.virtualenv.location})
    if ended.returncode:
        session.error(f"{program} ended with exit status {ended.returncode}")


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests and hold their coverage, or those that the options of pytest select."""
    session.install("-e", ".[tests]")
    pytest = ("-m", "pytest")
    if session.posargs:
        start(session, "python", *pytest, *session.posargs)
        return
    # There is one engine for all tests that have one, and they take their turns.
    start(session, "python", *pytest, "--cov", "--cov-report=", "-n", "2", *QUICK)
    measured = ("--cov", "--cov-append", "--cov-report=term", "--cov-fail-under=95")
    start(session, "python", *pytest, *measured, "--durations=20", *SLOW)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, spelling, Dockerfiles, shell scripts and workflows."""
    session.install("-e", ".[lint]")
    start(session, "ruff", "check", ".")
    start(session, "ruff", "format", "--check", ".")
    start(session, "mypy")
    start(session, "codespell")
    start(session, "hadolint", *DOCKERFILES)
    start(session, "shellcheck", *SCRIPTS)
    start(session, "zizmor", "--offline", "--quiet", ".github")
    for schema, file in SCHEMAS.items():
        start(session, "check-jsonschema", "--builtin-schema", f"vendor.{schema}", file)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure builds beside their peers, or `matrix`: eight at once; -h shows the choice."""
    session.install("-e", ".", "python-on-whales>=0.75")
    if session.posargs[:1] == ["matrix"]:
        start(session, "python", "benchmarks/matrix.py", *session.posargs[1:])
    else:
        start(session, "python", "-m", "benchmarks", *session.posargs)


def asked(words: Sequence[str]) -> list[str]:
    """Return the sessions that a command line of nox names."""
    found: list[str] = []
    takes = False
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            name, _, value = word.partition("=")
            takes = name in {"-s", "-e", "--session", "--sessions"}
            found += [value] if takes and value else []
        elif takes:
            found.append(word)
    return found


for wanted in asked(sys.argv[1:]):
    known = [*nox.registry.get()]
    if wanted.partition("(")[0] not in known:
        sys.exit(f"nox > {options.unknown('unknown session', wanted, known, 'nox -l')}")

startup.raise_on_interrupt()  # nox ends the programs that it runs itself
