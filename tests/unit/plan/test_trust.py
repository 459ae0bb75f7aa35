from __future__ import annotations

import json
from pathlib import Path

import pytest

from build_tasks.config.settings import FIELDS
from build_tasks.plan import trust
from build_tasks.plan.trust import CIRun

HOME = {"repository": {"full_name": "apache/airflow"}}
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
}
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


HINT = " (AIRFLOW_IMAGES_TRUSTED=1 in its environment trusts it)"


def assess(environment: dict[str, str], *, trusted: bool = True, place: str = "default") -> CIRun:
    return trust.assess(environment, trusted=trusted, place=place)


def pull(tmp_path: Path, payload: object, **changes: str) -> CIRun:
    file = tmp_path / "event.json"
    file.write_text(payload if isinstance(payload, str) else json.dumps(payload))
    return assess({**PULL, "GITHUB_EVENT_PATH": str(file), **changes})


def of(name: str | None) -> dict[str, object]:
    repo = {"full_name": name} if name else None
    return {**HOME, "pull_request": {"head": {"repo": repo}}}


def test_run_without_ci_is_trusted() -> None:
    assert assess({}) == CIRun()
    assert assess({}).trusted


def test_push_is_trusted() -> None:
    assert assess(GITHUB) == CIRun(branch="main")
    assert assess(GITLAB) == CIRun(branch="main")


def test_tag_is_not_a_branch() -> None:
    tag = {**GITHUB, "GITHUB_REF_NAME": "3.1.0", "GITHUB_REF_TYPE": "tag"}
    assert assess(tag) == CIRun(branch="tags/3.1.0")
    tag = {"GITLAB_CI": "true", "CI_COMMIT_TAG": "3.1.0", "CI_PIPELINE_SOURCE": "push"}
    assert assess(tag) == CIRun(branch="tags/3.1.0")


def test_pull_request_from_the_same_repository_is_trusted(tmp_path: Path) -> None:
    assert pull(tmp_path, of("apache/airflow")) == CIRun("", "fix", "v3-1-test")
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "apache/airflow"}
    assert assess(merge) == CIRun("", "fix", "main")


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "pull_request_review"])
def test_pull_request_from_a_fork_is_not_trusted(tmp_path: Path, event: str) -> None:
    run = pull(tmp_path, of("me/airflow"), GITHUB_EVENT_NAME=event)
    assert run == CIRun("it builds a pull request from me/airflow", "fix", "v3-1-test")
    assert not run.trusted


def test_merge_request_from_a_fork_is_not_trusted() -> None:
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "me/airflow"}
    assert assess(merge).distrust == "it builds a merge request from me/airflow"
    assert assess(MERGE).distrust == "it builds a merge request from an unknown repository"


def after(name: object, event: str = "pull_request", branch: object = "fix") -> dict[str, object]:
    run = {"head_repository": {"full_name": name}, "event": event, "head_branch": branch}
    return {**HOME, "workflow_run": run}


def workflow(tmp_path: Path, payload: object) -> CIRun:
    changes = {"GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": "", "GITHUB_REF_NAME": "main"}
    return pull(tmp_path, payload, GITHUB_EVENT_NAME="workflow_run", **changes)


def test_workflow_run_after_a_fork_is_not_trusted(tmp_path: Path) -> None:
    run = workflow(tmp_path, after("me/airflow"))
    assert run.distrust == "it builds a pull request from me/airflow"
    assert workflow(tmp_path, HOME).distrust == (
        "cannot tell whether this workflow_run comes from a fork"
    )


@pytest.mark.parametrize("event", ["pull_request", "push", "schedule"])
def test_workflow_run_has_the_branch_of_the_first_workflow(tmp_path: Path, event: str) -> None:
    assert workflow(tmp_path, after("apache/airflow", event)) == CIRun(branch="fix")


def test_workflow_run_after_a_merge_queue_has_no_cache(tmp_path: Path) -> None:
    queued = "gh-readonly-queue/main/pr-7-0123456789012345678901234567890123456789"
    run = workflow(tmp_path, after("apache/airflow", "merge_group", queued))
    assert (run.trusted, run.branch, run.base) == (True, "", "main")
    assert run.no_cache


@pytest.mark.parametrize(("event", "branch"), [("issue_comment", "main"), ("push", None)])
def test_workflow_run_after_an_unknown_event_is_not_trusted(
    tmp_path: Path, event: str, branch: object
) -> None:
    run = workflow(tmp_path, after("apache/airflow", event, branch))
    assert run.unknown
    assert run.distrust == f"a workflow_run after '{event}' does not tell whose code is built{HINT}"


@pytest.mark.parametrize(
    "payload",
    [
        *("", "{", "[]", "{}", '"x"', '{"pull_request": {"head": null}}', "[" * 100_000),
        *(
            f'{{"pull_request": {{"head": {{"repo": {repo}}}}}, "repository": {repo}}}'
            for repo in ('{"full_name": null}', '{"full_name": 1}')
        ),
        '{"pull_request": [], "repository": []}',
    ],
    ids=range(10),
)
def test_pull_request_with_an_invalid_payload_is_not_trusted(tmp_path: Path, payload: str) -> None:
    run = pull(tmp_path, payload)
    assert run.distrust == "cannot tell whether this pull_request comes from a fork"
    assert not run.unknown
    assert not assess(PULL, place=trust.TRUST_VARIABLE).trusted


def test_payload_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert pull(tmp_path, "\ufeff" + json.dumps(of("apache/airflow"))).trusted


def test_pull_request_from_a_deleted_fork_is_not_trusted(tmp_path: Path) -> None:
    assert pull(tmp_path, of(None)).distrust.endswith("from a deleted repository")


def test_setting_removes_trust_and_never_gives_it_to_a_fork(tmp_path: Path) -> None:
    place = "AIRFLOW_IMAGES_TRUSTED"
    assert assess(GITHUB, trusted=False, place=place) == CIRun(f"{place} says so", "main")
    file = tmp_path / "event.json"
    file.write_text(json.dumps(of("me/airflow")))
    fork = {**PULL, "GITHUB_EVENT_PATH": str(file)}
    assert not assess(fork, place=place).trusted
    assert assess(fork, trusted=False, place=place).distrust.endswith("from me/airflow")


EVENTS = ["issue_comment", "check_run", "repository_dispatch", "status", "deployment", "fork", ""]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("on", ["true", "1", "True"])
def test_unlisted_event_is_not_trusted(event: str, on: str) -> None:
    run = assess({**GITHUB, "GITHUB_ACTIONS": on, "GITHUB_EVENT_NAME": event})
    what = f"the event {event!r}" if event else "GitHub"
    assert run.distrust == f"{what} does not tell whose code is built{HINT}"
    assert run.branch == "main"


@pytest.mark.parametrize("event", sorted(trust.GITHUB_TRUSTED - {"merge_group"}))
def test_listed_event_is_trusted(event: str) -> None:
    assert assess({**GITHUB, "GITHUB_EVENT_NAME": event}) == CIRun(branch="main")


@pytest.mark.parametrize("source", ["trigger", "api", "pipeline", "parent_pipeline", "chat", ""])
def test_unlisted_pipeline_source_is_not_trusted(source: str) -> None:
    run = assess({**GITLAB, "CI_PIPELINE_SOURCE": source})
    what = f"the pipeline source {source!r}" if source else "GitLab"
    assert run.distrust == f"{what} does not tell whose code is built{HINT}"


@pytest.mark.parametrize("source", sorted(trust.GITLAB_TRUSTED))
def test_listed_pipeline_source_is_trusted(source: str) -> None:
    assert assess({**GITLAB, "CI_PIPELINE_SOURCE": source}) == CIRun(branch="main")


def test_external_pull_request_is_trusted_unless_from_a_fork() -> None:
    prefix = "CI_EXTERNAL_PULL_REQUEST"
    external = {
        "GITLAB_CI": "true",
        "CI_PIPELINE_SOURCE": "external_pull_request_event",
        "CI_COMMIT_BRANCH": "main",
        f"{prefix}_SOURCE_REPOSITORY": "me/airflow",
        f"{prefix}_TARGET_REPOSITORY": "apache/airflow",
        f"{prefix}_SOURCE_BRANCH_NAME": "fix",
        f"{prefix}_TARGET_BRANCH_NAME": "v3-1-test",
    }
    run = assess(external, place=trust.TRUST_VARIABLE)
    assert run == CIRun("it builds a pull request from me/airflow", "fix", "v3-1-test")
    own = {**external, f"{prefix}_SOURCE_REPOSITORY": "apache/airflow"}
    assert assess(own) == CIRun("", "fix", "v3-1-test")
    del external[f"{prefix}_SOURCE_REPOSITORY"]
    assert assess(external).distrust == "it builds a pull request from an unknown repository"


def test_merge_queue_reads_the_cache_of_its_base_and_writes_none() -> None:
    ref = "gh-readonly-queue/v3-1/test/pr-7-0123456789012345678901234567890123456789"
    run = assess({**GITHUB, "GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF_NAME": ref})
    no_cache = "a merge queue has no cache of its own"
    assert run == CIRun(base="v3-1/test", no_cache=no_cache)
    unnamed = assess({**GITHUB, "GITHUB_EVENT_NAME": "merge_group"})
    assert unnamed == CIRun(no_cache=no_cache)
    train = {
        **MERGE,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "apache/airflow",
        "CI_MERGE_REQUEST_EVENT_TYPE": "merge_train",
    }
    assert assess(train) == CIRun(base="main", no_cache=no_cache)


@pytest.mark.parametrize(("variable", "system"), trust.OTHER_SYSTEMS.items())
def test_other_ci_systems_are_trusted_only_by_the_variable(variable: str, system: str) -> None:
    environment = {"CI": "true", variable: "1"}
    assert assess(environment).distrust == f"cannot tell whose code {system} builds{HINT}"
    assert not assess(environment, place="images.toml: trusted").trusted
    assert assess(environment, place=trust.TRUST_VARIABLE) == CIRun()
    refused = assess(environment, trusted=False, place=trust.TRUST_VARIABLE)
    assert refused == CIRun("AIRFLOW_IMAGES_TRUSTED says so")


@pytest.mark.parametrize("value", ["", "0", "false", "False", "no"])
def test_variable_that_is_off_is_no_ci_system(value: str) -> None:
    assert (
        assess(dict.fromkeys(("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"), value)) == CIRun()
    )


def test_trust_variable_is_that_of_the_setting() -> None:
    assert trust.TRUST_VARIABLE in {item.variable for item in FIELDS}
