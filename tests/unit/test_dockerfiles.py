"""What a reader of the Dockerfiles relies on, held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LATE = ("BUILD_ID", "COMMIT_SHA")
#: How many steps of each use the network.
NETWORK = {"Dockerfile.ci": 4, "Dockerfile": 6}


class File:
    """A Dockerfile, and its instructions with their continued lines and heredocs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (ROOT / name).read_text(encoding="utf-8")
        self.instructions = list(self._read())

    def _read(self) -> list[str]:
        found: list[str] = []
        lines = iter(self.text.splitlines())
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            whole = line
            while whole.endswith("\\"):
                whole = whole[:-1] + next(lines)
            heredoc = re.search(r'<<"?(\w+)"?', whole)
            if heredoc:
                for inner in lines:
                    whole += f"\n{inner}"
                    if inner == heredoc[1]:
                        break
            found.append(whole)
        return found

    def places(self, pattern: str) -> list[int]:
        return [n for n, text in enumerate(self.instructions) if re.search(pattern, text)]


@pytest.fixture(params=sorted(NETWORK))
def file(request: pytest.FixtureRequest) -> File:
    return File(request.param)


def test_every_run_begins_with_a_comment_that_names_it(file: File) -> None:
    """BuildKit shows a step by its heredoc's first line, and displays show that line alone."""
    runs = [file.instructions[number] for number in file.places("^RUN ")]
    names = [text.splitlines()[1] for text in runs]
    assert all(re.fullmatch(r"# [a-z][\w ]+", name) for name in names)
    assert len({*names}) == len(names)


def test_no_pipe_leads_to_a_program_that_ends_before_its_input(file: File) -> None:
    """With `pipefail`, what writes into it then fails now and then."""
    assert not re.findall(r"\|\s*(?:grep\b[^|\n]*\s(?:--quiet|-\w*q)|head\b).*", file.text)


def test_no_syntax_line_costs_a_registrys_answer(file: File) -> None:
    assert not re.search(r"^#\s*syntax\s*=", file.text, re.MULTILINE | re.IGNORECASE)


def test_what_changes_with_every_build_comes_after_every_step(file: File) -> None:
    steps = file.places(r"^(?:RUN|COPY|WORKDIR)\b")
    for name in LATE:
        used = file.places(rf"\b{name}\b")
        assert used
        assert min(used) > max(steps), name


def test_the_sources_come_after_all_that_is_installed() -> None:
    file = File("Dockerfile.ci")
    assert min(file.places(r"^COPY --link --from=home\b")) > max(
        file.places(r" install |uv pip sync")
    )


def test_every_step_that_uses_the_network_can_have_the_ca_bundle(file: File) -> None:
    users = file.places(r"apt_get install|pip install \$|--target|uv pip sync")
    assert len(users) == NETWORK[file.name]
    for number in users:
        text = file.instructions[number]
        assert "--mount=type=secret,id=ca-bundle,required=false" in text
        assert "--mount=type=bind,from=ca-bundle,target=/run/ca-bundle " in text
        assert " in /run/secrets/ca-bundle /run/ca-bundle/ca-bundle.pem; do" in text
        assert "--mount=type=cache" in text


def test_every_step_that_installs_python_packages_uses_the_same_indexes(file: File) -> None:
    for number in file.places(r"^RUN [\s\S]*\bpip (?:install|sync)\b"):
        text = file.instructions[number]
        user = ",uid=50000" if "id=uv-" in text else ""
        for secret in ("index", "index-credentials"):
            assert f"--mount=type=secret,id={secret},required=false{user} " in text
        assert "--mount=type=bind,from=wheelhouse,target=/run/wheelhouse " in text
        uses = [text.index(word) for word in ("\n[ ! -e /run/secrets/index ] || . /run", "pip ")]
        assert uses == sorted(uses)


def test_an_argument_is_declared_right_before_the_first_step_that_uses_it(file: File) -> None:
    """Else a new value would repeat steps that do not need it."""
    steps = file.places(r"^(?:RUN|COPY|FROM)\b")
    for number, text in enumerate(file.instructions):
        if not text.startswith("ARG ") or number < min(file.places("^FROM ")):
            continue
        name = re.split(r"[ =]", text)[1]
        following = [n for n in steps if n > number][:1]
        for after in following:
            assert name in file.instructions[after] or name in LATE, name


def test_the_final_segment_of_prod_installs_before_it_takes_the_environment_over() -> None:
    """Another package of Debian's there must repeat nothing of the segment that builds."""
    file = File("Dockerfile")
    main = max(file.places(r"^FROM .* AS main$"))
    packages = max(file.places("apt_get install"))
    assert main < packages < max(file.places(r"^COPY --link --from=environment"))


def test_only_what_is_named_enters_the_context() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert rules[0] == "*"
    assert [rule for rule in rules if rule.startswith("!")] == [
        "!constraints/constraints-*.txt",
        "!constraints/baseline-*.txt",
        "!sources/**",
    ]
