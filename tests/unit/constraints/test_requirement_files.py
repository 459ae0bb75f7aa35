"""Files of requirements and of Debian packages."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build_tasks.config import loading
from build_tasks.config.settings import Settings
from build_tasks.constraints import requirement_files
from build_tasks.constraints.requirement_files import Dependencies, Requirement
from build_tasks.errors import UsageError
from build_tasks.model.own_image import OwnImage

HASH = "--hash=sha256:" + "0a" * 32
OTHER = "--hash=sha512:" + "0b" * 64

#: Writes files below the root, by their names.
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    (tmp_path / "images.toml").touch()
    monkeypatch.chdir(tmp_path)

    def function(**texts: str) -> None:
        for name, text in texts.items():
            file = tmp_path / name.replace("__", "/").replace("_txt", ".txt")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)

    return function


def chosen(*items: str, key: str = "dependencies-python") -> Settings:
    return loading.load({key: ",".join(items)}, environment={})


def read(*items: str, python: str = "3.11") -> Dependencies:
    return requirement_files.read(chosen(*items), python)


def refused(*items: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*items)
    return str(caught.value)


def test_a_file_has_what_pip_lets_it_have(write: Write) -> None:
    write(
        requirements_txt=(
            "# comment\n\n  pandas >= 2 # why\n"
            "-r sub/more.txt\n--constraint=own.txt\n"
            "boto3[crt,s3] ; python_version<'3.12' \\\n   and sys_platform == 'linux'\n"
            "six#1\n"  # no comment without a space, so no name
        ).replace("six#1\n", "")
        + "x @ git+https://h/x.git@v1#egg=x\n",
        sub__more_txt="-rnext.txt\r\nidna\r\n",
        sub__next_txt="--requirement ../requirements.txt\nclick==8.1.7\n",
        own_txt="numpy<2\n",
    )
    found = read("-r requirements.txt", "flask")
    assert found.requirements == [
        Requirement("requirements.txt:3", "pandas >= 2"),
        Requirement("sub/next.txt:2", "click==8.1.7"),
        Requirement("sub/more.txt:2", "idna"),
        Requirement(
            "requirements.txt:6",
            "boto3[crt,s3] ; python_version<'3.12'     and sys_platform == 'linux'",
        ),
        Requirement("requirements.txt:8", "x @ git+https://h/x.git@v1#egg=x"),
        Requirement("--dependencies-python", "flask"),
    ]
    assert found.limits == [Requirement("own.txt:1", "numpy<2")]
    assert found.files == {
        "requirements.txt": (
            "pandas >= 2\n-r sub/more.txt\n-c own.txt\n"
            "boto3[crt,s3] ; python_version<'3.12'     and sys_platform == 'linux'\n"
            "x @ git+https://h/x.git@v1#egg=x\n"
        ),
        "sub/more.txt": "-r next.txt\nidna\n",
        "sub/next.txt": "-r ../requirements.txt\nclick==8.1.7\n",
        "own.txt": "numpy<2\n",
    }


def test_hashes_are_for_all_packages_of_a_file(write: Write) -> None:
    write(
        hashed_txt=f"--require-hashes\na==1 \\\n    {HASH} \\\n    {OTHER}\nb==2 {HASH}\n",
        mixed_txt=f"-r free.txt\na==1 {HASH}\nb==2\n",
        asked_txt="--require-hashes\nb==2\n",
        free_txt="c\n",
    )
    found = read("-r hashed.txt", "-r free.txt")
    assert found.files["hashed.txt"] == f"a==1 {HASH} {OTHER}\nb==2 {HASH}\n"
    assert [text for _, text in found.requirements] == ["a==1", "b==2", "c"]
    rest = "requires one of all packages of the file"
    assert refused("-r mixed.txt") == f"mixed.txt:3: b==2 has no --hash, but mixed.txt:2 {rest}"
    assert refused("-r asked.txt") == f"asked.txt:2: b==2 has no --hash, but asked.txt:1 {rest}"


def test_what_a_constraints_file_includes_is_a_constraint(write: Write) -> None:
    write(all_txt="-r more.txt\na<2\n", more_txt="b<2\n")
    found = read("-c all.txt", "-r more.txt")
    assert [text for _, text in found.limits] == ["b<2", "a<2"]
    assert [text for _, text in found.requirements] == ["b<2"]


def test_each_python_may_have_its_files(write: Write) -> None:
    write(**{"r-3_9_txt": "", "r-3.11_txt": "new\n"})
    settings = chosen("-r r-{python}.txt", "pandas")
    assert requirement_files.python_items(settings, "3.11") == ("-r r-3.11.txt", "pandas")
    assert [text for _, text in read("-r r-{python}.txt").requirements] == ["new"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a b", "expected a requirement like pytest or pytest>=8, got 'a b'"),
        ("requests>=", "expected a requirement like pytest or pytest>=8, got 'requests>='"),
        ("-e .", "-e: expected a requirement, `-r FILE` or `-c FILE`: an editable package is a "),
        ("--editable=./x", "--editable: expected a requirement, `-r FILE` or `-c FILE`: an edit"),
        ("--pre", "--pre: expected a requirement, `-r FILE` or `-c FILE`: what holds for "),
        ("-r a#b.txt", "-r a#b.txt: expected the name of a file, without quotes, variables, '#'"),
        ("-c a\\b.txt", "-c a\\b.txt: expected the name of a file, without quotes, variables"),
        ("-r ${HOME}.txt", "-r ${HOME}.txt: expected the name of a file, without quotes, variab"),
        ('-r "a b.txt"', '-r "a b.txt": expected the name of a file, without quotes, variables'),
        ("--index-url https://h/simple", "--index-url: expected a requirement, `-r FILE`"),
        ("--extra-index-url=https://me:pw4321@h/", "--extra-index-url: expected a requirement"),
        ("-r", "-r: expected a requirement, `-r FILE` or `-c FILE`"),
        ("a==1 --hash=md5:00", "--hash=md5:00: expected no option but --hash=sha256:..."),
        ("a==1 --global-option=x", "--global-option=x: expected no option but --hash"),
        ("./wheels/a-1-py3-none-any.whl", "./wheels/a-1-py3-none-any.whl: paths are not in"),
        ("a.whl", "a.whl: paths are not in a build: use the name of a package"),
        ("sub/folder", "sub/folder: paths are not in a build"),
        ("a @ ../a", "a @ ../a: paths are not in a build"),
        ("a @ file:///srv/a.whl", "a @ file:///srv/a.whl: paths are not in a build"),
        ("https://h/a.whl", "https://h/a.whl: expected a name before the address: NAME @ https"),
        ("git+https://h/a", "git+https://h/a: expected a name before the address: NAME @ git+"),
        ("a @ https://h/${REF}", "a @ https://h/${REF}: variables are not known to a build"),
        ("a @ https://me:hunter2x@h/a", "'a @ https://me:***@h/a' contains a secret (***)"),
        ("-r https://h/more.txt", "https://h/more.txt: what a web address has can change"),
        ("-c /etc/c.txt", "/etc/c.txt: expected a file below "),
        ("-r ../outside.txt", "../outside.txt: expected a file below "),
        ("-r missing.txt", "/missing.txt: cannot be read: No such file or directory"),
    ],
)
def test_a_line_that_a_build_cannot_follow_is_one_line(
    write: Write, line: str, reason: str
) -> None:
    write(requirements_txt=f"# first\nidna\n{line}\n")
    message = refused("-r requirements.txt")
    assert message.startswith("requirements.txt:3: ")
    assert reason in message
    assert "\n" not in message
    assert "pw4321" not in message
    assert "hunter2x" not in message


def test_a_file_that_cannot_be_read_names_the_setting(write: Write, tmp_path: Path) -> None:
    write()
    place = f"--dependencies-python: {tmp_path}/none.txt: cannot be read: No such file or directory"
    assert refused("-r none.txt") == place
    message = refused("a @ ../a")
    assert message == (
        "--dependencies-python: a @ ../a: paths are not in a build: use the name of a package"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(alphabet=st.sampled_from("ab-rc=#\\ \n<>1.;'@/:$\u2028\x0b"), max_size=60))
def test_any_text_is_read_or_refused(write: Write, text: str) -> None:
    write(any_txt=text)
    try:
        files = read("-r any.txt").files
    except UsageError:
        assert "\n" not in refused("-r any.txt")
    else:
        write(any_txt=files["any.txt"])
        assert read("-r any.txt").files == files


def test_a_comment_changes_nothing_that_is_sent(write: Write) -> None:
    write(requirements_txt="idna # one\n")
    before = read("-r requirements.txt").files
    assert before == {"requirements.txt": "idna\n"}
    write(requirements_txt="# two\n\nidna\n")
    assert read("-r requirements.txt").files == before


def test_files_of_debian_packages_are_read(write: Write) -> None:
    write(packages_txt="# libraries\nlibgvc6 jq\n\nvim=2:9.0 # editor\n")
    settings = chosen("gcc", "-r packages.txt", key="dependencies-apt-dev")
    packages = requirement_files.debian_packages(settings, "dependencies.apt-dev", "3.11")
    assert packages == ["gcc", "libgvc6", "jq", "vim=2:9.0"]
    write(packages_txt="jq\nG++\n")
    message = r"^packages\.txt:2: expected the name of a Debian package, got 'G\+\+'$"
    with pytest.raises(UsageError, match=message):
        requirement_files.debian_packages(settings, "dependencies.apt-dev", "3.11")
    settings = chosen("-r ../packages.txt", key="dependencies-apt-dev")
    with pytest.raises(UsageError, match=re.escape("--dependencies-apt-dev: ../packages.txt: exp")):
        requirement_files.debian_packages(settings, "dependencies.apt-dev", "3.11")


def test_an_own_image_has_packages_of_its_own(write: Write) -> None:
    write(own_311_txt="pandas==2.2\n-c limits.txt\n", limits_txt="numpy<2\n", apt_txt="git # why\n")
    image = OwnImage(
        "dags",
        python=("-r own_311.txt", "six"),
        apt=("-r apt.txt", "libpq5"),
        origins={"python": "images.toml: images.dags.python"},
    )
    found = requirement_files.own_requirements(chosen(), image, "3.11")
    assert [text for _, text in found.requirements] == ["pandas==2.2", "six"]
    assert found.limits == [Requirement("limits.txt:1", "numpy<2")]
    assert requirement_files.own_debian_packages(chosen(), image, "3.11") == ["git", "libpq5"]
    missing = OwnImage("dags", python=("-r {python}.txt",), origins=image.origins)
    with pytest.raises(UsageError, match=r"^images.toml: images.dags.python: .*3\.11\.txt"):
        requirement_files.own_requirements(chosen(), missing, "3.11")
