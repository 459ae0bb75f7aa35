"""Ask git about a folder, or fetch with it: the only module that starts git.

Two kinds of use. A question about a checkout must not depend on who asks: the variables of a hook
that point to another repository are removed, and settings that change what git prints or that run
programs are overridden. A fetch needs what the user has set up to reach the repository: URL
rewrites, credentials, proxies, SSH. So both keep the user's configuration files, under fixed
settings, and the variables of `_KEPT`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from build_tasks import process
from build_tasks.errors import CommandError
from build_tasks.process import Command, Completed, Environment

#: Variables of git's own that a person or a CI system sets to reach repositories, to say where
#: configuration is (`safe.directory` of a container among it), or which git this is. All others
#: are removed, as a hook sets them for its own repository.
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
#: What git says of a folder in no repository; of one whose repository is gone it names that.
_NO_REPOSITORY = "not a git repository (or any"


class NoRepositoryError(CommandError):
    """Report a folder that is in no repository."""


def ask(folder: Path, *arguments: str) -> str:
    """Return what git prints about a folder, with bytes that are not UTF-8 as surrogates.

    Args:
        folder: a folder of a checkout.
        arguments: a plumbing command: what others print follows the user's configuration.

    Raises:
        NoRepositoryError: the folder is in no repository.
        MissingProgram: git is not installed.
        CommandError: git failed; the message is its reason.
    """
    command = _command(folder, arguments)
    environment = {
        **_environment(),
        **_deliberate(folder),
        "GIT_OPTIONAL_LOCKS": "0",  # a question writes nothing, not even an index
        "GIT_NO_LAZY_FETCH": "1",  # nor does it reach a partial clone's remote
    }
    try:
        with process.reading(command, environment=environment) as output:
            return os.fsdecode(output.read())
    except CommandError:
        ended = process.run(command, environment=environment, check=False)
        raise _error(ended.stderr) from None


def run(repository: Path, *arguments: str, timeout: float = 60.0) -> Completed:
    """Run git on a repository of this suite's own, with the user's means to reach others.

    Args:
        repository: a folder that gets the repository `git`, its `index` and the files in `new`.
        arguments: a command and its arguments.
        timeout: seconds until git is ended.

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
    """Return git's first word on a failure: the last is advice."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(("warning:", "hint:"))]
    return next(iter(telling or lines), "git gave no reason").removeprefix("fatal: ")


def _command(folder: Path, arguments: tuple[str, ...]) -> Command:
    return ("git", "-C", str(folder), "--no-pager", *_FIXED, *arguments)


def _environment() -> Environment:
    """Return what changes in the environment: nothing leads elsewhere, and nothing is asked."""
    own = (name for name in os.environ if name.startswith("GIT_"))
    removed = {name: None for name in own if not _KEPT.fullmatch(name)}
    return {**removed, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "LANGUAGE": "C"}


def _deliberate(folder: Path) -> Environment:
    """Return the repository that the environment names for a folder that has none by itself.

    A hook's environment names one, too: for the folder in which git found it.
    """
    repository = os.environ.get("GIT_DIR", "")
    tree = Path(os.environ.get("GIT_WORK_TREE") or Path.cwd()).resolve()
    root = folder.resolve()
    if not repository or tree != root or discovered(root):
        return {}
    return {"GIT_DIR": str(Path(repository).absolute()), "GIT_WORK_TREE": str(root)}


def discovered(folder: Path) -> bool:
    """Return whether git would look for a repository of a folder by what lies in it or above."""
    return any((above / ".git").exists() for above in (folder, *folder.parents))


def _error(stderr: str) -> CommandError:
    text = reason(stderr)
    if _NO_REPOSITORY in text:
        return NoRepositoryError(text)
    advice = re.search(r"git config --global --add safe\.directory \S.*", stderr)
    return CommandError(f"{text} (to trust it: {advice[0]})" if advice else text)
