from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_tasks import trust
from build_tasks.trust import Run

HOME = {"repository": {"full_name": "apache/airflow"}}
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REF_NAME": "main", "GITHUB_REF_TYPE": "branch"}
PULL = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF_NAME": "7/merge",
    "GITHUB_HEAD_REF": "fix",
    "GITHUB_BASE_REF": "v3-1-test",
}
GITLAB = {"GITLAB_CI": "true", "CI_COMMIT_BRANCH": "main", "CI_PIPELINE_SOURCE": "push"}
MERGE = {
    "GITLAB_CI": "true",
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "fix",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    "CI_MERGE_REQUEST_PROJECT_PATH": "apache/airflow",
}


def judge(environment: dict[str, str], *, trusted: bool = True) -> Run:
    return trust.judge(environment, trusted=trusted, place="AIRFLOW_IMAGES_TRUSTED")


def pull(tmp_path: Path, payload: object, **changes: str) -> Run:
    file = tmp_path / "event.json"
    file.write_text(payload if isinstance(payload, str) else json.dumps(payload))
    return judge({**PULL, "GITHUB_EVENT_PATH": str(file), **changes})


def of(name: str | None) -> dict[str, object]:
    repo = {"full_name": name} if name else None
    return {**HOME, "pull_request": {"head": {"repo": repo}}}


def test_a_person_is_trusted_and_named_by_nobody() -> None:
    assert judge({}) == Run()
    assert judge({}).trusted


def test_a_push_to_a_branch_is_trusted() -> None:
    assert judge(GITHUB) == Run(branch="main")
    assert judge(GITLAB) == Run(branch="main")


def test_a_tag_is_no_branch() -> None:
    tag = {**GITHUB, "GITHUB_REF_NAME": "3.1.0", "GITHUB_REF_TYPE": "tag"}
    assert judge(tag) == Run(branch="tags/3.1.0")
    assert judge({"GITLAB_CI": "true", "CI_COMMIT_TAG": "3.1.0"}) == Run(branch="tags/3.1.0")


def test_a_pull_request_of_the_repositorys_own_branch_is_trusted(tmp_path: Path) -> None:
    assert pull(tmp_path, of("apache/airflow")) == Run("", "fix", "v3-1-test")
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "apache/airflow"}
    assert judge(merge) == Run("", "fix", "main")


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "pull_request_review"])
def test_a_forks_pull_request_is_not(tmp_path: Path, event: str) -> None:
    run = pull(tmp_path, of("me/airflow"), GITHUB_EVENT_NAME=event)
    assert run == Run("it builds a pull request from me/airflow", "fix", "v3-1-test")
    assert not run.trusted


def test_a_forks_merge_request_is_not() -> None:
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "me/airflow"}
    assert judge(merge).distrust == "it builds a merge request from me/airflow"
    assert judge(MERGE).distrust == "it builds a merge request from a project that is gone"


def test_a_workflow_that_a_forks_pull_request_started_is_not(tmp_path: Path) -> None:
    payload = {**HOME, "workflow_run": {"head_repository": {"full_name": "me/airflow"}}}
    run = pull(tmp_path, payload, GITHUB_EVENT_NAME="workflow_run")
    assert run.distrust == "it builds a pull request from me/airflow"
    payload["workflow_run"] = {"head_repository": HOME["repository"]}
    assert pull(tmp_path, payload, GITHUB_EVENT_NAME="workflow_run").trusted


@pytest.mark.parametrize("payload", ["", "{", "[]", "{}", '{"pull_request": {"head": null}}'])
def test_a_pull_request_from_nobody_knows_where_is_not(tmp_path: Path, payload: str) -> None:
    assert pull(tmp_path, payload).distrust == "nobody says where this pull_request comes from"
    assert not judge(PULL).trusted


def test_a_fork_that_is_gone_is_not(tmp_path: Path) -> None:
    assert pull(tmp_path, of(None)).distrust.endswith("from a repository that is gone")


def test_settings_take_trust_away_and_never_give_it(tmp_path: Path) -> None:
    assert judge(GITHUB, trusted=False) == Run("AIRFLOW_IMAGES_TRUSTED says so", "main")
    assert not pull(tmp_path, of("me/airflow")).trusted
