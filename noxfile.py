# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "argcomplete>=3",
#     "dependency-groups>=1.3",
#     "invoke>=2.2",
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

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # the nox program does not add it

from build_tasks.front.nox_sessions import register, start
from build_tasks.model.matrix import ImageKind

DOCKERFILES = (
    *(kind.dockerfile for kind in ImageKind),
    *(str(path) for path in sorted(Path("build_tasks").rglob("Dockerfile"))),
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

nox.options.error_on_missing_interpreters = True


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests and check their coverage, or the tests that pytest options select."""
    session.install("-e", ".[tests]")
    pytest = ("-m", "pytest")
    if session.posargs:
        start(session, "python", *pytest, *session.posargs)
        return
    # Engine tests share one engine and run one after another.
    start(session, "python", *pytest, "--cov", "--cov-report=", "-n", "2", *QUICK)
    measured = ("--cov", "--cov-append", "--cov-report=term", "--cov-fail-under=95")
    start(session, "python", *pytest, *measured, "--durations=20", *SLOW)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, spelling, Dockerfiles, shell scripts, workflows and packages."""
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
    check_packages(session)


def check_packages(session: nox.Session) -> None:
    """Build the sdist, and the wheel from it; check their content, and that all modules import."""
    folder = Path(session.create_tmp()) / "dist"
    start(session, "uv", "build", "--quiet", "--clear", "--out-dir", str(folder))
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    start(session, "check-wheel-contents", str(wheel))
    start(session, "twine", "check", "--strict", str(sdist), str(wheel))
    alone = ("run", "--quiet", "--isolated", "--no-project", "--with", str(wheel))
    start(session, "uv", *alone, "python", "-I", "tests/wheel_imports.py")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or `matrix`: eight builds at once; -h shows the options."""
    session.install("-e", ".", "python-on-whales>=0.75")
    if session.posargs[:1] == ["matrix"]:
        start(session, "python", "benchmarks/matrix.py", *session.posargs[1:])
    else:
        start(session, "python", "-m", "benchmarks", *session.posargs)


register()
