"""Run git. No other module starts it.

A question about a checkout must not depend on who asks: variables that point to another repository,
as hooks have them, are removed, and settings that change what git prints or that run programs are
overridden. A fetch needs what the user has set up to reach the repository: URL rewrites,
credentials, proxies, SSH. So both keep the user's configuration files and the variables of `_KEPT`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from build_tasks import process
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed, Environment

#: Variables of git that are kept: those that say how to reach repositories, where configuration is
#: (like `safe.directory` in a container), or which git this is.
_KEPT = re.compile(
    r"GIT_(ASKPASS|SSH(_COMMAND|_VARIANT)?|SSL_.*|PROXY_.*|HTTP_.*|ALLOW_PROTOCOL|EXEC_PATH"
    r"|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)"
    r"|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM)"
)
#: Settings that decide what git prints, which bytes it checks out, and which programs it runs.
_SETTINGS = (
    "core.fsmonitor=false",  # a program that a repository's own configuration may name
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.attributesFile=/dev/null",
    "log.showSignature=false",
    "color.ui=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",  # no process that goes on after the command
    "maintenance.auto=false",
)
_FIXED = tuple(word for setting in _SETTINGS for word in ("-c", setting))
#: Git's message for a folder in no repository; another one names a repository that is missing.
_NO_REPOSITORY = "not a git repository (or any"


class NoRepositoryError(CommandError):
    """A folder is in no repository."""


def ask(folder: Path, *arguments: str) -> str:
    """Return what git prints about a folder; bytes that are not UTF-8 become surrogates.

    Args:
        folder: a folder of a checkout.
        arguments: a plumbing command; the output of others depends on the user's configuration.

    Raises:
        NoRepositoryError: the folder is in no repository.
        MissingProgram: git is not installed.
        CommandError: git failed; the message is its reason.
    """
    command = _command(folder, arguments)
    environment = {
        **_environment(),
        **_named_repository(folder),
        "GIT_OPTIONAL_LOCKS": "0",  # a question writes nothing, not even an index
        "GIT_NO_LAZY_FETCH": "1",  # nor does it reach a partial clone's remote
    }
    try:
        with process.reading(command, environment=environment) as output:
            return os.fsdecode(output.read())
    except CommandError:
        completed = process.run(command, environment=environment, check=False)
        raise _error(completed.stderr) from None


def run(repository: Path, *arguments: str, timeout: float = 60.0) -> Completed:
    """Run git on a repository of this suite.

    Args:
        repository: a folder with the repository `git`, its `index` and the work tree `new`.
        arguments: the command.
        timeout: seconds.

    Raises:
        MissingProgram: git is not installed.
        CommandTimeout: git did not end in time.
    """
    environment = {
        **_environment(),
        "GIT_DIR": str(repository / "git"),
        "GIT_INDEX_FILE": str(repository / "index"),
        "GIT_WORK_TREE": str(repository / "new"),
    }
    command = _command(repository, arguments)
    return process.run(command, environment=environment, timeout=timeout, check=False)


def reason(stderr: str) -> str:
    """Return the first line of git's that gives a reason; advice follows it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    reasons = [line for line in lines if not line.lower().startswith(("warning:", "hint:"))]
    return next(iter(reasons or lines), "git gave no reason").removeprefix("fatal: ")


def discovered(folder: Path) -> bool:
    """Return whether a folder, or one above it, has a repository."""
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))


def _command(folder: Path, arguments: tuple[str, ...]) -> Command:
    return ("git", "-C", str(folder), "--no-pager", *_FIXED, *arguments)


def _environment() -> Environment:
    others = (name for name in os.environ if name.startswith("GIT_") and not _KEPT.fullmatch(name))
    removed = dict.fromkeys(others)
    return {**removed, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}


def _named_repository(folder: Path) -> Environment:
    """Return the repository in the environment if it is for this folder, which has none itself.

    The environment of a hook names a repository, too, but for the folder in which git found it.
    """
    repository = os.environ.get("GIT_DIR", "")
    tree = Path(os.environ.get("GIT_WORK_TREE") or Path.cwd()).resolve()
    root = folder.resolve()
    if not repository or tree != root or discovered(root):
        return {}
    return {"GIT_DIR": str(Path(repository).absolute()), "GIT_WORK_TREE": str(root)}


def _error(stderr: str) -> CommandError:
    text = reason(stderr)
    if _NO_REPOSITORY in text:
        return NoRepositoryError(text)
    advice = re.search(r"git config --global --add safe\.directory \S.*", stderr)
    return CommandError(f"{text} (to trust it: {advice[0]})" if advice else text)
