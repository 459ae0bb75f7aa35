"""Who may write: the one rule, and what the CI system says of the run.

A registry asks for credentials, not for intentions: whoever can push a cache reference decides what
every later build of that branch takes over. So a run that builds what a stranger proposes reads
what trusted runs wrote and writes nothing, whatever options it has.

The variables are those that GitHub and GitLab document for their runners; the payload of GitHub's
events is the one of its webhooks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """What is known of this run.

    Args:
        distrust: why it may not write; empty if it may.
        branch: the branch that is built, as the CI system says; empty where none does.
        base: the branch that a pull request is for.
    """

    distrust: str = ""
    branch: str = ""
    base: str = ""

    @property
    def trusted(self) -> bool:
        """Whether it may write caches and images."""
        return not self.distrust


def judge(environment: Mapping[str, str], *, trusted: bool, place: str) -> Run:
    """Return what is known of this run.

    Args:
        environment: the variables that the CI system set.
        trusted: what the settings say; they can take trust away and never give it.
        place: where they say so.
    """
    if environment.get("GITHUB_ACTIONS") == "true":
        run = _github(environment)
    elif environment.get("GITLAB_CI") == "true":
        run = _gitlab(environment)
    else:
        run = Run()
    if run.trusted and not trusted:
        return Run(f"{place} says so", run.branch, run.base)
    return run


def _github(environment: Mapping[str, str]) -> Run:
    event = environment.get("GITHUB_EVENT_NAME", "")
    branch = environment.get("GITHUB_HEAD_REF") or environment.get("GITHUB_REF_NAME", "")
    if environment.get("GITHUB_REF_TYPE") == "tag":
        branch = f"tags/{branch}"
    distrust = ""
    if event.startswith("pull_request") or event == "workflow_run":
        distrust = _fork(environment, event)
    return Run(distrust, branch, environment.get("GITHUB_BASE_REF", ""))


def _fork(environment: Mapping[str, str], event: str) -> str:
    """Return why what an event is about is not to be trusted: it comes from a fork, or may do."""
    try:
        text = Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8")
        payload: dict[str, Any] = json.loads(text)
        if event == "workflow_run":
            head = payload["workflow_run"]["head_repository"]
        else:
            head = payload["pull_request"]["head"]["repo"]
        home = payload["repository"]["full_name"]
        # A fork that is gone is null.
        name = head["full_name"] if head else "a repository that is gone"
    except (KeyError, OSError, ValueError, TypeError):
        return f"nobody says where this {event} comes from"
    return "" if name == home else f"it builds a pull request from {name}"


def _gitlab(environment: Mapping[str, str]) -> Run:
    source = environment.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "")
    home = environment.get("CI_MERGE_REQUEST_PROJECT_PATH", "")
    tag = environment.get("CI_COMMIT_TAG", "")
    branch = (
        environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME")
        or environment.get("CI_COMMIT_BRANCH")
        or (f"tags/{tag}" if tag else "")
    )
    base = environment.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "")
    merge_request = environment.get("CI_PIPELINE_SOURCE") == "merge_request_event"
    distrust = ""
    if (merge_request or source) and source != home:
        distrust = f"it builds a merge request from {source or 'a project that is gone'}"
    return Run(distrust, branch, base)
