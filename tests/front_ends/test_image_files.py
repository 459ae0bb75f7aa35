"""Images as files, through the real front end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import archives
import pytest
import zstandard
from fake_docker import Bench, last, lines
from github_api import TOKEN, serving, zipped

PREFIX = "org.apache.airflow."
IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11:latest"
SAVE = ("image.save", "--kind", "prod", "--python", "3.11", "--platform", "linux/amd64")


def facts(**changes: str) -> str:
    """Return the output of `docker image inspect`."""
    labels = {"image": "airflow", "python.version": "3.11", "version": "3.3.2"}
    labels |= {name.replace("_", "."): text for name, text in changes.items() if name != "arch"}
    config = {"Labels": {f"{PREFIX}{name}": text for name, text in labels.items() if text}}
    return json.dumps(
        [{"Os": "linux", "Architecture": changes.get("arch", "amd64"), "Config": config}]
    )


def content(image: str) -> bytes:
    """Return what `docker save` writes for an image that `docker image inspect` describes so."""
    (inspected,) = json.loads(image)
    config = {name.lower(): value for name, value in inspected.items()}
    return archives.make(IMAGE, config)


@pytest.fixture
def fakes(bench: Bench) -> dict[str, str]:
    """Return the variables of an engine that has the image."""
    file = bench.folder / "saved.tar"
    file.write_bytes(content(facts()))
    return {"FAKE_IMAGE": facts(), "FAKE_SAVED": str(file)}


@pytest.fixture
def saved(bench: Bench, fakes: dict[str, str]) -> Path:
    file = bench.folder / "my image.tar.zst"
    done = bench.invoke(*SAVE, "--file", str(file), **fakes)
    assert done.returncode == 0, done.stderr
    return file


def loaded(bench: Bench) -> bool:
    """Return whether the engine got a whole archive."""
    file = bench.folder / "log.loaded"
    return file.exists() and content(facts()).startswith(file.read_bytes().rstrip(b"\0"))


def test_a_saved_image_is_loaded_again(bench: Bench, saved: Path) -> None:
    assert bench.told()[-1][1:] == ["save", IMAGE]
    done = bench.invoke("image.load", str(saved), FAKE_IMAGE=facts())
    assert done.returncode == 0, done.stderr
    assert lines(done.stderr) == [
        f"{saved}: prod-3.11-amd64, Airflow 3.3.2 for linux/amd64",
        f"prod-3.11-amd64: loaded {IMAGE}",
    ]
    assert loaded(bench)
    assert ["load", "--quiet"] in [words[1:] for words in bench.told()]


def test_a_file_is_named_for_its_build(bench: Bench, tmp_path: Path) -> None:
    project = bench.copy(tmp_path / "project")
    done = project.invoke(*SAVE, "--prod-profile", "slim", FAKE_IMAGE=facts(slim="true"))
    assert done.returncode == 0, done.stderr
    assert (project.root / "prod-slim-3.11-amd64.tar.zst").exists()
    assert last(done.stderr).startswith("prod-slim-3.11-amd64: saved ghcr.io/")
    assert last(done.stderr).endswith(
        "python3.11:slim-latest to prod-slim-3.11-amd64.tar.zst, 0 MB"
    )


def test_git_ignores_what_is_written_into_the_checkout(bench: Bench, tmp_path: Path) -> None:
    project = bench.copy(tmp_path / "project")
    git = ("/usr/bin/git", "-C", str(project.root), "-c", "user.name=x", "-c", "user.email=x@x")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=x")):
        subprocess.run([*git, *words], check=True)
    done = project.invoke(*SAVE, FAKE_IMAGE=facts())
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "docker-context-files/a.whl", "dist/digests/a.json"):
        (project.root / name).parent.mkdir(parents=True, exist_ok=True)
        (project.root / name).touch()
    status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, check=True)
    assert status.stdout == b""


def test_an_engine_that_lacks_the_image_is_one_line(bench: Bench) -> None:
    done = bench.invoke(*SAVE, "--tag", "v1")
    assert done.returncode == 2
    image = IMAGE.replace("latest", "v1")
    assert lines(done.stderr) == [
        f"{image}: the engine does not have it: build it with --load, or pull it"
    ]


@pytest.mark.parametrize(
    "error",
    [
        "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
        "permission denied while trying to connect to the Docker daemon socket at unix:///x",
        "failed to connect to the docker API at unix:///x; check if the path is correct",
    ],
)
def test_an_engine_that_does_not_answer_is_one_line(bench: Bench, error: str) -> None:
    done = bench.invoke(*SAVE, FAKE_IMAGE_ERROR=error)
    assert done.returncode == 3
    assert lines(done.stderr) == [f"the engine cannot be used: {error}"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--python", "3.11,3.12"], "--python: one at a time: 3.11,3.12"),
        (["--platform", "amd64,arm64"], "--platform: one at a time: linux/amd64, linux/arm64"),
        (["--tag", "a/b"], "--tag: expected a tag (at most 128 letters, "),
        (["--kind", "dev"], "--kind: unknown image 'dev': choose ci, prod"),
        (["--file", "."], "--file: expected a file in an existing folder, got '.'"),
        (["--file", "/"], "--file: expected a file in an existing folder, got '/'"),
        (["--file", "/no/where"], "--file: expected a file in an existing folder, got '/no/where'"),
        (
            ["--file", "/dev/null/x"],
            "--file: expected a file in an existing folder, got '/dev/null/x'",
        ),
    ],
    ids=" ".join,
)
def test_a_wrong_option_of_saving_is_one_line(
    bench: Bench, options: list[str], message: str
) -> None:
    given = {"--kind": "prod", "--python": "3.11", options[0]: options[1]}
    words = [word for pair in given.items() for word in pair]
    done = bench.invoke("image.save", *words, FAKE_IMAGE=facts())
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (facts(image=""), "expected the labels of ci-3.11, got those of none-3.11"),
        (facts(python_version="3.12"), "expected the labels of ci-3.11, got those of prod-3.12"),
        (facts(python_version=""), "expected the labels of ci-3.11, got those of prod-none"),
        (
            facts(image="airflow-ci", arch="riscv64"),
            "unknown platform 'linux/riscv64': choose linux/amd64, linux/arm",
        ),
    ],
)
def test_an_image_with_other_labels_is_not_saved(bench: Bench, image: str, message: str) -> None:
    done = bench.invoke("image.save", "--python", "3.11", FAKE_IMAGE=image)
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert message in line
    assert line.startswith("ghcr.io/apache/airflow/main/ci/python3.11:latest: ")


def test_a_failed_save_leaves_no_file(bench: Bench, fakes: dict[str, str]) -> None:
    folder = bench.folder / "files"
    folder.mkdir()
    done = bench.invoke(
        *(*SAVE, "--file", str(folder / "x")),
        **fakes,
        FAKE_EXIT="1",
        FAKE_STDERR="why",
    )
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.endswith(f"bin/docker save {IMAGE}: why")
    assert list(folder.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_complete(
    bench: Bench, fakes: dict[str, str], saved: Path
) -> None:
    before = saved.read_bytes()
    bench.invoke(*SAVE, "--file", str(saved), **fakes, FAKE_EXIT="1")
    assert saved.read_bytes() == before


def test_a_full_disk_is_one_line(bench: Bench, fakes: dict[str, str], tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    done = bench.invoke(*SAVE, "--file", str(full), **fakes)
    assert done.returncode == 6
    assert lines(done.stderr) == [f"{full}: cannot be written: No space left on device"]
    assert full.is_symlink()


def programs(bench: Bench, *arguments: str, **environment: str) -> tuple[int, bytes, str]:
    """Run invoke with nothing on its standard input, and return what it wrote as bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=bench.root,
        env={**bench.environment, **environment},
        input=b"",
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_an_image_goes_through_pipes(
    bench: Bench, fakes: dict[str, str], saved: Path, name: str
) -> None:
    """Standard output gets only the image, and standard input may be the file."""
    code, out, err = programs(bench, *SAVE, "--file", name, **fakes)
    assert code == 0, err
    assert out == saved.read_bytes()
    source = {"-": "-"}.get(name, "/dev/stdin")
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "image.load", source],
        cwd=bench.root,
        env={**bench.environment, "FAKE_IMAGE": facts()},
        input=out,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert loaded(bench)


def test_pipes_and_the_targets_of_links_are_written_to(
    bench: Bench, fakes: dict[str, str], saved: Path, tmp_path: Path
) -> None:
    """Root's image.save replaced devices, links and pipes by files."""
    (tmp_path / "target").write_text("keep")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    done = bench.invoke(*SAVE, "--file", str(tmp_path / "link"), **fakes)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == saved.read_bytes()
    with bench.start("invoke", *SAVE, "--file", str(tmp_path / "pipe"), **fakes) as process:
        content = (tmp_path / "pipe").read_bytes()
        process.communicate(timeout=30)
    assert (process.returncode, content) == (0, saved.read_bytes())
    assert (tmp_path / "pipe").is_fifo()


def test_an_image_is_loaded_from_a_named_pipe(bench: Bench, saved: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with bench.start("invoke", "image.load", str(tmp_path / "pipe"), FAKE_IMAGE=facts()) as process:
        (tmp_path / "pipe").write_bytes(saved.read_bytes())
        _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert loaded(bench)


def test_a_pipe_without_a_reader_is_one_line(bench: Bench, fakes: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "invoke", *SAVE, "--file", "-"],
            cwd=bench.root,
            env={**bench.environment, **fakes},
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            _, err = process.communicate(timeout=30)
    finally:
        os.close(writer)
    assert process.returncode == 6
    assert lines(err) == ["-: cannot be written: Broken pipe"]


def test_a_terminal_gets_no_image(bench: Bench, fakes: dict[str, str]) -> None:
    primary, secondary = os.openpty()
    try:
        for arguments, message in (
            ((*SAVE, "--file", "-"), "--file -: standard output is a terminal"),
            (("image.load", "-"), "-: standard input is a terminal"),
        ):
            with subprocess.Popen(
                [sys.executable, "-m", "invoke", *arguments],
                cwd=bench.root,
                env={**bench.environment, **fakes},
                stdin=secondary,
                stdout=secondary,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                _, err = process.communicate(timeout=30)
            assert process.returncode == 2
            (line,) = lines(err)
            assert line.startswith(message)
    finally:
        os.close(primary)
        os.close(secondary)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["save", "load"])
def test_a_signal_leaves_no_file_and_no_process(
    bench: Bench, fakes: dict[str, str], saved: Path, verb: str, signum: signal.Signals
) -> None:
    folder = bench.folder / "files"
    folder.mkdir()
    command = {
        "save": (*SAVE, "--file", str(folder / "x")),
        "load": ("image.load", str(saved)),
    }[verb]
    told = len(bench.told())
    with bench.start("invoke", *command, **fakes, FAKE_SLEEP="60") as process:
        deadline = time.monotonic() + 30
        while verb not in str(bench.told()[told:]) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert bench.told()[-1] == ["ended"]
    assert list(folder.iterdir()) == []
    assert "Traceback" not in err


DATA = zstandard.ZstdCompressor(write_checksum=True).compress(content(facts()))
#: How this suite saved images before: a description in a skippable frame before the data.
OLD = bytes.fromhex("502a4d18") + (300).to_bytes(4, "little") + b'{"schema": 1}' + bytes(287)


def test_a_file_of_an_earlier_version_is_loaded(bench: Bench) -> None:
    file = bench.folder / "file"
    file.write_bytes(OLD + DATA)
    done = bench.invoke("image.load", str(file), FAKE_IMAGE=facts())
    assert done.returncode == 0, done.stderr
    assert loaded(bench)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a file that image.save wrote"),
        (b"PK\x03\x04 a zip file", "is not a file that image.save wrote"),
        (zstandard.compress(b"text"), "is not a file that image.save wrote"),
        (zstandard.compress(content(facts(image=""))), "is not a file that image.save wrote"),
        (zstandard.compress(content(facts(arch="vax"))), "is not a file that image.save wrote"),
        (OLD + b"not zstd", "is damaged: "),
        (OLD[:100], "is damaged: its end is missing"),
        (DATA[:-1], "is damaged: its end is missing"),
        (DATA[: len(DATA) // 2], "is damaged: its end is missing"),
        (DATA[:-1] + bytes([DATA[-1] ^ 1]), "is damaged: "),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value[:20]),
)
def test_another_or_a_damaged_file_is_one_line(bench: Bench, content: bytes, message: str) -> None:
    file = bench.folder / "file"
    file.write_bytes(content)
    done = bench.invoke("image.load", str(file), FAKE_IMAGE=facts())
    assert done.returncode == 2, done.stderr
    assert lines(done.stderr)[-1].startswith(f"{file}: {message}")
    assert not loaded(bench)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("", "name the file to load, like prod-3.11-amd64.tar.zst"),
        ("/nowhere", "/nowhere: cannot be read: No such file or directory"),
        ("/", "/: cannot be read: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(bench: Bench, file: str, message: str) -> None:
    done = bench.invoke("image.load", file)
    assert done.returncode == 2, done.stderr
    assert lines(done.stderr) == [message]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--platform", "arm64"], "is for platform linux/amd64, not linux/arm64"),
        (["--python", "3.12,3.13"], "is for python 3.11, not 3.12, 3.13"),
        (["--kind", "ci"], "is for kind prod, not ci"),
    ],
    ids=" ".join,
)
def test_a_file_of_another_image_is_not_loaded(
    bench: Bench, saved: Path, options: list[str], message: str
) -> None:
    done = bench.invoke("image.load", str(saved), *options, FAKE_IMAGE=facts())
    assert done.returncode == 2
    assert lines(done.stderr) == [f"{saved}: {message}"]
    assert not loaded(bench)


def test_a_file_for_one_of_the_configured_platforms_is_loaded(bench: Bench, saved: Path) -> None:
    done = bench.invoke(
        *("image.load", str(saved)),
        FAKE_IMAGE=facts(),
        AIRFLOW_IMAGES_PLATFORMS="linux/arm64,linux/amd64",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            facts(arch="arm64"),
            f"has linux/amd64 and Python 3.11, but {IMAGE} is now linux/arm64 and Python 3.11",
        ),
        (
            facts(python_version="3.12"),
            f"has linux/amd64 and Python 3.11, but {IMAGE} is now linux/amd64 and Python 3.12",
        ),
        ("", f"the engine does not have {IMAGE} after loading"),
    ],
)
def test_another_image_after_loading_is_one_line(
    bench: Bench, saved: Path, image: str, message: str
) -> None:
    done = bench.invoke("image.load", str(saved), FAKE_IMAGE=image)
    assert done.returncode == 11
    assert last(done.stderr) == f"{saved}: {message}"


def test_an_engine_that_refuses_a_file_is_one_line(bench: Bench, saved: Path) -> None:
    done = bench.invoke("image.load", str(saved), FAKE_EXIT="1", FAKE_STDERR="unexpected EOF")
    assert done.returncode == 1
    assert last(done.stderr).endswith("bin/docker load --quiet: unexpected EOF")


def test_an_image_of_another_run_is_loaded_and_the_token_stays_here(
    bench: Bench, saved: Path
) -> None:
    with serving() as github:
        github.add("image", zipped({"image.tar.zst": saved.read_bytes()}))
        variables = {
            "FAKE_IMAGE": facts(),
            "GITHUB_API_URL": github.api,
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_TOKEN": TOKEN,
        }
        load = ("image.load", "--from", "github:7")
        done = bench.invoke(*load, "--kind", "prod", **variables)
        assert lines(done.stderr) == [
            "github:o/r/7: downloading",
            "github:o/r/7: prod-3.11-amd64, Airflow 3.3.2 for linux/amd64",
            f"prod-3.11-amd64: loaded {IMAGE}",
        ]
        assert loaded(bench)
        others = [one for one in github.requests if one.host.startswith("localhost")]
        assert others
        assert TOKEN not in f"{bench.told()}{others}{done.stderr}{done.stdout}"
        (bench.folder / "log.loaded").unlink()
        for words, changes, code, message in (
            (("--kind", "ci"), {}, 2, "github:o/r/7: is for kind prod, not ci"),
            ((), {"GITHUB_TOKEN": "another"}, 5, "github:o/r/7: 401 Bad credentials (the token "),
            ((), {"GITHUB_TOKEN": ""}, 5, "github:o/r/7: GitHub needs a token: set GITHUB_TOKEN"),
        ):
            done = bench.invoke(*load, *words, **{**variables, **changes})
            assert (done.returncode, last(done.stderr).startswith(message)) == (code, True)
            assert not loaded(bench)
        github.cut = 1000
        done = bench.invoke(*load, **variables)
        assert done.returncode == 7
        assert last(done.stderr).startswith("github:o/r/7: ")
        assert not loaded(bench)
