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


def judge(environment: dict[str, str], *, trusted: bool = True, place: str = "default") -> CIRun:
    return trust.assess(environment, trusted=trusted, place=place)


def pull(tmp_path: Path, payload: object, **changes: str) -> CIRun:
    file = tmp_path / "event.json"
    file.write_text(payload if isinstance(payload, str) else json.dumps(payload))
    return judge({**PULL, "GITHUB_EVENT_PATH": str(file), **changes})


def of(name: str | None) -> dict[str, object]:
    repo = {"full_name": name} if name else None
    return {**HOME, "pull_request": {"head": {"repo": repo}}}


def test_a_person_is_trusted_and_named_by_nobody() -> None:
    assert judge({}) == CIRun()
    assert judge({}).trusted


def test_a_push_to_a_branch_is_trusted() -> None:
    assert judge(GITHUB) == CIRun(branch="main")
    assert judge(GITLAB) == CIRun(branch="main")


def test_a_tag_is_no_branch() -> None:
    tag = {**GITHUB, "GITHUB_REF_NAME": "3.1.0", "GITHUB_REF_TYPE": "tag"}
    assert judge(tag) == CIRun(branch="tags/3.1.0")
    tag = {"GITLAB_CI": "true", "CI_COMMIT_TAG": "3.1.0", "CI_PIPELINE_SOURCE": "push"}
    assert judge(tag) == CIRun(branch="tags/3.1.0")


def test_a_pull_request_of_the_repositorys_own_branch_is_trusted(tmp_path: Path) -> None:
    assert pull(tmp_path, of("apache/airflow")) == CIRun("", "fix", "v3-1-test")
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "apache/airflow"}
    assert judge(merge) == CIRun("", "fix", "main")


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target", "pull_request_review"])
def test_a_forks_pull_request_is_not(tmp_path: Path, event: str) -> None:
    run = pull(tmp_path, of("me/airflow"), GITHUB_EVENT_NAME=event)
    assert run == CIRun("it builds a pull request from me/airflow", "fix", "v3-1-test")
    assert not run.trusted


def test_a_forks_merge_request_is_not() -> None:
    merge = {**MERGE, "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "me/airflow"}
    assert judge(merge).distrust == "it builds a merge request from me/airflow"
    assert judge(MERGE).distrust == "it builds a merge request from a deleted project"


def after(name: object, event: str = "pull_request", branch: object = "fix") -> dict[str, object]:
    run = {"head_repository": {"full_name": name}, "event": event, "head_branch": branch}
    return {**HOME, "workflow_run": run}


def workflow(tmp_path: Path, payload: object) -> CIRun:
    changes = {"GITHUB_HEAD_REF": "", "GITHUB_BASE_REF": "", "GITHUB_REF_NAME": "main"}
    return pull(tmp_path, payload, GITHUB_EVENT_NAME="workflow_run", **changes)


def test_a_workflow_that_a_forks_pull_request_started_is_not(tmp_path: Path) -> None:
    run = workflow(tmp_path, after("me/airflow"))
    assert run.distrust == "it builds a pull request from me/airflow"
    assert workflow(tmp_path, HOME).distrust == (
        "cannot tell whether this workflow_run comes from a fork"
    )


@pytest.mark.parametrize("event", ["pull_request", "push", "schedule"])
def test_a_workflow_after_one_of_the_repositorys_own_has_that_ones_branch(
    tmp_path: Path, event: str
) -> None:
    assert workflow(tmp_path, after("apache/airflow", event)) == CIRun(branch="fix")


def test_a_workflow_after_an_entry_of_a_merge_queue_has_no_cache_of_its_own(tmp_path: Path) -> None:
    queued = "gh-readonly-queue/main/pr-7-0123456789012345678901234567890123456789"
    run = workflow(tmp_path, after("apache/airflow", "merge_group", queued))
    assert (run.trusted, run.branch, run.base) == (True, "", "main")
    assert run.no_cache


@pytest.mark.parametrize(("event", "branch"), [("issue_comment", "main"), ("push", None)])
def test_a_workflow_after_what_does_not_tell_is_not_trusted(
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
def test_a_pull_request_from_nobody_knows_where_is_not(tmp_path: Path, payload: str) -> None:
    run = pull(tmp_path, payload)
    assert run.distrust == "cannot tell whether this pull_request comes from a fork"
    assert not run.unknown
    assert not judge(PULL, place=trust.VOUCHING).trusted


def test_an_event_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert pull(tmp_path, "\ufeff" + json.dumps(of("apache/airflow"))).trusted


def test_a_fork_that_is_gone_is_not(tmp_path: Path) -> None:
    assert pull(tmp_path, of(None)).distrust.endswith("from a deleted repository")


def test_settings_take_trust_away_and_never_give_it_to_a_fork(tmp_path: Path) -> None:
    place = "AIRFLOW_IMAGES_TRUSTED"
    assert judge(GITHUB, trusted=False, place=place) == CIRun(f"{place} says so", "main")
    file = tmp_path / "event.json"
    file.write_text(json.dumps(of("me/airflow")))
    fork = {**PULL, "GITHUB_EVENT_PATH": str(file)}
    assert not judge(fork, place=place).trusted
    assert judge(fork, trusted=False, place=place).distrust.endswith("from me/airflow")


EVENTS = ["issue_comment", "check_run", "repository_dispatch", "status", "deployment", "fork", ""]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("on", ["true", "1", "True"])
def test_an_event_that_is_not_on_the_list_is_not_trusted(event: str, on: str) -> None:
    run = judge({**GITHUB, "GITHUB_ACTIONS": on, "GITHUB_EVENT_NAME": event})
    what = f"the event {event!r}" if event else "GitHub"
    assert run.distrust == f"{what} does not tell whose code is built{HINT}"
    assert run.branch == "main"


@pytest.mark.parametrize("event", sorted(trust.GITHUB_TRUSTED - {"merge_group"}))
def test_an_event_on_the_list_is_trusted(event: str) -> None:
    assert judge({**GITHUB, "GITHUB_EVENT_NAME": event}) == CIRun(branch="main")


@pytest.mark.parametrize("source", ["trigger", "api", "pipeline", "parent_pipeline", "chat", ""])
def test_a_pipeline_source_that_is_not_on_the_list_is_not_trusted(source: str) -> None:
    run = judge({**GITLAB, "CI_PIPELINE_SOURCE": source})
    what = f"the pipeline source {source!r}" if source else "GitLab"
    assert run.distrust == f"{what} does not tell whose code is built{HINT}"


@pytest.mark.parametrize("source", sorted(trust.GITLAB_TRUSTED))
def test_a_pipeline_source_on_the_list_is_trusted(source: str) -> None:
    assert judge({**GITLAB, "CI_PIPELINE_SOURCE": source}) == CIRun(branch="main")


def test_an_external_pull_request_is_trusted_if_it_is_no_forks() -> None:
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
    run = judge(external, place=trust.VOUCHING)
    assert run == CIRun("it builds a pull request from me/airflow", "fix", "v3-1-test")
    own = {**external, f"{prefix}_SOURCE_REPOSITORY": "apache/airflow"}
    assert judge(own) == CIRun("", "fix", "v3-1-test")
    del external[f"{prefix}_SOURCE_REPOSITORY"]
    assert judge(external).distrust == "it builds a pull request from an unknown repository"


def test_merge_queues_have_their_bases_cache_and_none_of_their_own() -> None:
    ref = "gh-readonly-queue/v3-1/test/pr-7-0123456789012345678901234567890123456789"
    run = judge({**GITHUB, "GITHUB_EVENT_NAME": "merge_group", "GITHUB_REF_NAME": ref})
    no_cache = "a merge queue has no cache of its own"
    assert run == CIRun(base="v3-1/test", no_cache=no_cache)
    unnamed = judge({**GITHUB, "GITHUB_EVENT_NAME": "merge_group"})
    assert unnamed == CIRun(no_cache=no_cache)
    train = {
        **MERGE,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "apache/airflow",
        "CI_MERGE_REQUEST_EVENT_TYPE": "merge_train",
    }
    assert judge(train) == CIRun(base="main", no_cache=no_cache)


@pytest.mark.parametrize(("variable", "system"), trust.OTHER_SYSTEMS.items())
def test_other_ci_systems_are_trusted_only_where_the_environment_says_so(
    variable: str, system: str
) -> None:
    environment = {"CI": "true", variable: "1"}
    assert judge(environment).distrust == f"cannot tell whose code {system} builds{HINT}"
    assert not judge(environment, place="images.toml: trusted").trusted
    assert judge(environment, place=trust.VOUCHING) == CIRun()
    refused = judge(environment, trusted=False, place=trust.VOUCHING)
    assert refused == CIRun("AIRFLOW_IMAGES_TRUSTED says so")


@pytest.mark.parametrize("value", ["", "0", "false", "False", "no"])
def test_a_variable_that_says_no_is_no_ci_system(value: str) -> None:
    assert judge(dict.fromkeys(("CI", "GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD"), value)) == CIRun()


def test_the_variable_that_vouches_is_the_settings() -> None:
    assert trust.VOUCHING in {item.variable for item in FIELDS}
