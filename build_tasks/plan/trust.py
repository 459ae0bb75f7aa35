"""Whether a run may write caches and images, from the event that started it.

Whoever can push a cache reference decides what later builds of that branch take from it. So a run
is trusted only if the event that started it is on a list (ci_systems.toml): a commit in the
repository itself, or a person with access to it. Any other run reads what trusted runs wrote, and
writes nothing.

The variables are documented by GitHub (Gitea has the same) and by GitLab for their runners. The
payload of a GitHub event is that of its webhook.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from build_tasks import paths
from build_tasks.config.settings import Settings

#: The variable that trusts a run on a CI system that is not known here.
TRUST_VARIABLE = "AIRFLOW_IMAGES_TRUSTED"
_SYSTEMS = paths.read_data(Path(__file__).with_name("ci_systems.toml"))
GITHUB_TRUSTED = frozenset(_SYSTEMS["github-trusted"])
GITLAB_TRUSTED = frozenset(_SYSTEMS["gitlab-trusted"])
OTHER_SYSTEMS: Mapping[str, str] = _SYSTEMS["other-systems"]
_OFF = {"", "0", "false", "no", "off"}
_PULL_REQUEST = "pull_request"
_WORKFLOW_RUN = "workflow_run"
_MERGE_QUEUE = "a merge queue has no cache of its own"
#: The branch of an entry in a merge queue of GitHub.
_QUEUED = re.compile(r"gh-readonly-queue/(?P<base>.+)/pr-\d+-[0-9a-f]+")


@dataclass(frozen=True)
class CIRun:
    """What is known of a run.

    Args:
        distrust: why it may not write; empty if it may.
        branch: the branch that is built; empty if the CI system names none.
        base: the target branch of a pull request or of an entry in a merge queue.
        no_cache: why no cache is written unless the settings name a branch.
        unknown: it is not trusted only because the origin of its code is unknown.
    """

    distrust: str = ""
    branch: str = ""
    base: str = ""
    no_cache: str = ""
    unknown: bool = False

    @property
    def trusted(self) -> bool:
        """Whether the run may write caches and images."""
        return not self.distrust


def current_run(settings: Settings) -> CIRun:
    """Return what is known of this run, from the CI system's variables and the settings."""
    return assess(os.environ, trusted=settings.trusted, place=settings.origins["trusted"])


def assess(environment: Mapping[str, str], *, trusted: bool, place: str) -> CIRun:
    """Return what is known of a run.

    The setting `trusted` can remove trust. Only if its place is the environment, which no pull
    request can edit, can it give trust, and never to a run that is known to build a fork's code.
    """
    others = [name for variable, name in OTHER_SYSTEMS.items() if _is_on(environment, variable)]
    if _is_on(environment, "GITHUB_ACTIONS"):
        run = _github(environment)
    elif _is_on(environment, "GITLAB_CI"):
        run = _gitlab(environment)
    elif others:
        run = CIRun(f"cannot tell whose code {others[0]} builds", unknown=True)
    else:
        run = CIRun()
    if not trusted and (run.trusted or run.unknown):
        return replace(run, distrust=f"{place} says so", unknown=False)
    if not run.unknown:
        return run
    if place == TRUST_VARIABLE:
        return replace(run, distrust="", unknown=False)
    hint = f"({TRUST_VARIABLE}=1 in its environment trusts it)"
    return replace(run, distrust=f"{run.distrust} {hint}")


def _is_on(environment: Mapping[str, str], variable: str) -> bool:
    return environment.get(variable, "").strip().lower() not in _OFF


def _unknown(run: CIRun, what: str) -> CIRun:
    return replace(run, distrust=f"{what} does not tell whose code is built", unknown=True)


def _github(environment: Mapping[str, str]) -> CIRun:
    event = environment.get("GITHUB_EVENT_NAME", "")
    branch = environment.get("GITHUB_HEAD_REF") or environment.get("GITHUB_REF_NAME", "")
    if environment.get("GITHUB_REF_TYPE") == "tag":
        branch = f"tags/{branch}"
    run = CIRun(branch=branch, base=environment.get("GITHUB_BASE_REF", ""))
    if event == "merge_group":
        queued = _QUEUED.fullmatch(branch)
        return CIRun(base=queued["base"] if queued else "", no_cache=_MERGE_QUEUE)
    if event.startswith(_PULL_REQUEST):
        return replace(run, distrust=_distrust_pull_request(_payload(environment), event))
    if event == _WORKFLOW_RUN:
        return _workflow_run(_payload(environment), run)
    if event in GITHUB_TRUSTED:
        return run
    return _unknown(run, f"the event {event!r}" if event else "GitHub")


def _distrust_pull_request(payload: Mapping[str, Any], event: str) -> str:
    """Return why a pull request is not trusted: it comes from a fork, or may come from one."""
    name = _text(payload, _PULL_REQUEST, "head", "repo", "full_name")
    if not name and isinstance(_value(payload, _PULL_REQUEST, "head"), dict):
        name = "a deleted repository"  # that of a deleted fork is null
    return _distrust_fork(payload, name, event)


def _distrust_fork(payload: Mapping[str, Any], name: str, event: str) -> str:
    """Return why the code of a repository is not trusted; empty if it is the event's own."""
    repository = _text(payload, "repository", "full_name")
    if not repository or not name:
        return f"cannot tell whether this {event} comes from a fork"
    return "" if name == repository else f"it builds a pull request from {name}"


def _workflow_run(payload: Mapping[str, Any], run: CIRun) -> CIRun:
    """Return what is known of a run that was started by the end of another workflow.

    It runs on the main branch, and builds the branch of the other workflow.
    """
    name = _text(payload, _WORKFLOW_RUN, "head_repository", "full_name")
    event = _text(payload, _WORKFLOW_RUN, "event")
    branch = _text(payload, _WORKFLOW_RUN, "head_branch")
    if distrust := _distrust_fork(payload, name, _WORKFLOW_RUN):
        return replace(run, distrust=distrust)
    if not branch or not (event in GITHUB_TRUSTED or event.startswith(_PULL_REQUEST)):
        return _unknown(run, f"a workflow_run after {event!r}")
    if queued := _QUEUED.fullmatch(branch):
        return CIRun(base=queued["base"], no_cache=_MERGE_QUEUE)
    return replace(run, branch=branch)


def _payload(environment: Mapping[str, str]) -> dict[str, Any]:
    return paths.read_json(Path(environment.get("GITHUB_EVENT_PATH", "")))


def _value(value: Any, *keys: str) -> Any:
    """Return the value at a path of keys, None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _text(value: Any, *keys: str) -> str:
    """Return the text at a path of keys, or an empty text."""
    text = _value(value, *keys)
    return text if isinstance(text, str) else ""


def _gitlab(environment: Mapping[str, str]) -> CIRun:
    source = environment.get("CI_PIPELINE_SOURCE", "")
    if source == "merge_request_event" or environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"):
        run = _gitlab_request(environment, "MERGE_REQUEST", "SOURCE_PROJECT_PATH", "PROJECT_PATH")
        if environment.get("CI_MERGE_REQUEST_EVENT_TYPE") == "merge_train":
            return replace(run, branch="", no_cache=_MERGE_QUEUE)
        return run
    if source == "external_pull_request_event":
        repositories = ("SOURCE_REPOSITORY", "TARGET_REPOSITORY")
        return _gitlab_request(environment, "EXTERNAL_PULL_REQUEST", *repositories)
    tag = environment.get("CI_COMMIT_TAG", "")
    run = CIRun(branch=environment.get("CI_COMMIT_BRANCH") or (f"tags/{tag}" if tag else ""))
    if source in GITLAB_TRUSTED:
        return run
    return _unknown(run, f"the pipeline source {source!r}" if source else "GitLab")


def _gitlab_request(environment: Mapping[str, str], kind: str, source: str, target: str) -> CIRun:
    """Return what is known of a request to merge a branch.

    `CI_<kind>_<source>` is the branch's repository, `CI_<kind>_<target>` the one to merge into.
    """
    name = environment.get(f"CI_{kind}_{source}", "")
    distrust = ""
    if not name or name != environment.get(f"CI_{kind}_{target}"):
        request = kind.removeprefix("EXTERNAL_").replace("_", " ").lower()
        distrust = f"it builds a {request} from {name or 'an unknown repository'}"
    return CIRun(
        distrust,
        branch=environment.get(f"CI_{kind}_SOURCE_BRANCH_NAME", ""),
        base=environment.get(f"CI_{kind}_TARGET_BRANCH_NAME", ""),
    )
