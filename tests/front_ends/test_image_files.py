"""Images as files, through the real front end."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard
from fake_docker import Bench, last, lines

PREFIX = "org.apache.airflow."
IMAGE = "ghcr.io/apache/airflow/main/prod/python3.11:latest"
SAVE = ("image.save", "--kind", "prod", "--python", "3.11", "--platform", "linux/amd64")
CONTENT = "".join(f"what docker save writes {number**7}" for number in range(2000))


def facts(**changes: str) -> str:
    """Return what the engine says of an image."""
    labels = {"image": "airflow", "python.version": "3.11", "version": "3.3.2"}
    labels |= {name.replace("_", "."): text for name, text in changes.items() if name != "arch"}
    config = {"Labels": {f"{PREFIX}{name}": text for name, text in labels.items() if text}}
    return json.dumps(
        [{"Os": "linux", "Architecture": changes.get("arch", "amd64"), "Config": config}]
    )


@pytest.fixture
def saved(bench: Bench) -> Path:
    file = bench.folder / "my image.tar.zst"
    done = bench.invoke(*SAVE, "--file", str(file), FAKE_IMAGE=facts(), FAKE_SAVED=CONTENT)
    assert done.returncode == 0, done.stderr
    return file


def test_what_is_saved_is_loaded_again(bench: Bench, saved: Path) -> None:
    assert bench.told()[-1][1:] == ["save", IMAGE]
    done = bench.invoke("image.load", str(saved), FAKE_IMAGE=facts())
    assert done.returncode == 0, done.stderr
    assert last(done.stderr) == f"prod-3.11-amd64: loaded {IMAGE}"
    assert (bench.folder / "log.loaded").read_text() == CONTENT
    assert ["load", "--quiet"] in [words[1:] for words in bench.told()]
    word = (bench.folder / "my image.tar.zst").read_bytes()
    _, size = struct.unpack("<II", word[:8])
    assert json.loads(word[8 : 8 + size]) == {
        "schema": 1,
        "identity": "prod-3.11-amd64",
        "image": IMAGE,
        "kind": "prod",
        "python": "3.11",
        "platform": "linux/amd64",
        "airflow": "3.3.2",
    }


def test_a_file_is_named_for_its_build(bench: Bench, tmp_path: Path) -> None:
    project = bench.copy(tmp_path / "project")
    done = project.invoke(*SAVE, "--prod-slim", FAKE_IMAGE=facts(slim="true"), FAKE_SAVED="x")
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
    done = project.invoke(*SAVE, FAKE_IMAGE=facts(), FAKE_SAVED="x")
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
def test_an_engine_that_does_not_answer_is_not_one_that_lacks_the_image(
    bench: Bench, error: str
) -> None:
    done = bench.invoke(*SAVE, FAKE_IMAGE_ERROR=error)
    assert done.returncode == 3
    assert lines(done.stderr) == [f"the engine cannot be used: {error}"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--python", "3.11,3.12"], "--python: one at a time: 3.11,3.12"),
        (["--platform", "amd64,arm64"], "--platform: one at a time: linux/amd64, linux/arm64"),
        (["--tag", "a/b"], "--tag: expected a tag (at most 128 letters, "),
        (["--kind", "dev"], "--kind: unknown image 'dev': choose ci, prod"),
        (["--file", "."], "--file: '.': name a file in a folder that is there"),
        (["--file", "/"], "--file: '/': name a file in a folder that is there"),
        (["--file", "/no/where"], "--file: '/no/where': name a file in a folder that is there"),
        (["--file", "/dev/null/x"], "--file: '/dev/null/x': name a file in a folder that is ther"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_of_saving_is_one_line(bench: Bench, options: list[str], said: str) -> None:
    given = {"--kind": "prod", "--python": "3.11", options[0]: options[1]}
    words = [word for pair in given.items() for word in pair]
    done = bench.invoke("image.save", *words, FAKE_IMAGE=facts())
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith(said)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (facts(image=""), "no label says which image it is: add --kind with one of ci, prod"),
        (facts(python_version="3.12"), "its label says Python '3.12', not 3.11"),
        (facts(python_version=""), "its label says Python '', not 3.11"),
        (facts(arch="riscv64"), "unknown platform 'linux/riscv64': choose linux/amd64, linux/arm"),
    ],
)
def test_an_image_that_does_not_say_what_it_is_is_not_saved(
    bench: Bench, image: str, said: str
) -> None:
    done = bench.invoke("image.save", "--python", "3.11", FAKE_IMAGE=image)
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert said in line
    assert line.startswith("ghcr.io/apache/airflow/main/ci/python3.11:latest: ")


def test_a_failed_save_leaves_no_file_and_no_half_of_one(bench: Bench) -> None:
    folder = bench.folder / "files"
    folder.mkdir()
    done = bench.invoke(
        *(*SAVE, "--file", str(folder / "x")),
        FAKE_IMAGE=facts(),
        FAKE_SAVED=CONTENT,
        FAKE_EXIT="1",
        FAKE_STDERR="why",
    )
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.endswith(f"bin/docker save {IMAGE}: why")
    assert list(folder.iterdir()) == []


def test_an_older_file_stays_until_the_new_one_is_whole(bench: Bench, saved: Path) -> None:
    before = saved.read_bytes()
    options = (*SAVE, "--file", str(saved))
    bench.invoke(*options, FAKE_IMAGE=facts(), FAKE_SAVED="half", FAKE_EXIT="1")
    assert saved.read_bytes() == before


def test_a_full_disk_is_one_line(bench: Bench, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    done = bench.invoke(*SAVE, "--file", str(full), FAKE_IMAGE=facts(), FAKE_SAVED=CONTENT)
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
def test_an_image_goes_through_pipes(bench: Bench, saved: Path, name: str) -> None:
    """Nothing but the image is on standard output, and standard input may hold it."""
    code, out, err = programs(bench, *SAVE, "--file", name, FAKE_IMAGE=facts(), FAKE_SAVED=CONTENT)
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
    assert (bench.folder / "log.loaded").read_text() == CONTENT


def test_what_is_no_file_is_written_to(bench: Bench, saved: Path, tmp_path: Path) -> None:
    """Root's image.save replaced devices, links and pipes by files."""
    (tmp_path / "target").write_text("keep")
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    given = {"FAKE_IMAGE": facts(), "FAKE_SAVED": CONTENT}
    done = bench.invoke(*SAVE, "--file", str(tmp_path / "link"), **given)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == saved.read_bytes()
    with bench.start("invoke", *SAVE, "--file", str(tmp_path / "pipe"), **given) as process:
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
    assert (bench.folder / "log.loaded").read_text() == CONTENT


def test_a_pipe_that_nobody_reads_is_one_line(bench: Bench) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "invoke", *SAVE, "--file", "-"],
            cwd=bench.root,
            env={**bench.environment, "FAKE_IMAGE": facts(), "FAKE_SAVED": CONTENT},
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


def test_a_terminal_gets_no_image(bench: Bench) -> None:
    primary, secondary = os.openpty()
    try:
        for arguments, said in (
            ((*SAVE, "--file", "-"), "--file -: standard output is a terminal"),
            (("image.load", "-"), "-: standard input is a terminal"),
        ):
            with subprocess.Popen(
                [sys.executable, "-m", "invoke", *arguments],
                cwd=bench.root,
                env={**bench.environment, "FAKE_IMAGE": facts(), "FAKE_SAVED": CONTENT},
                stdin=secondary,
                stdout=secondary,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                _, err = process.communicate(timeout=30)
            assert process.returncode == 2
            (line,) = lines(err)
            assert line.startswith(said)
    finally:
        os.close(primary)
        os.close(secondary)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("verb", ["save", "load"])
def test_a_signal_leaves_neither_half_a_file_nor_a_process(
    bench: Bench, saved: Path, verb: str, signum: signal.Signals
) -> None:
    folder = bench.folder / "files"
    folder.mkdir()
    command = {
        "save": (*SAVE, "--file", str(folder / "x")),
        "load": ("image.load", str(saved)),
    }[verb]
    told = len(bench.told())
    environment = {"FAKE_SLEEP": "60", "FAKE_IMAGE": facts(), "FAKE_SAVED": CONTENT}
    with bench.start("invoke", *command, **environment) as process:
        deadline = time.monotonic() + 30
        while verb not in str(bench.told()[told:]) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)  # until the fake has set its trap
        process.send_signal(signum)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert bench.told()[-1] == ["ended"]
    assert list(folder.iterdir()) == []
    assert "Traceback" not in err


def header(**changes: object) -> bytes:
    word = json.dumps(
        {
            "schema": 1,
            "identity": "x",
            "image": IMAGE,
            "kind": "prod",
            "python": "3.11",
            "platform": "linux/amd64",
            "airflow": "3.3.2",
            **changes,
        }
    ).encode()
    return struct.pack("<II", 0x184D2A50, len(word)) + word


def word(text: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, len(text)) + text


DATA = zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT.encode() * 5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no file that image.save wrote"),
        (DATA, "is no file that image.save wrote"),
        (b"PK\x03\x04 a zip file", "is no file that image.save wrote"),
        (header()[:40], "is no file that image.save wrote"),
        (word(b"[]"), "is no file that image.save wrote"),
        (word(b'"text"'), "is no file that image.save wrote"),
        (word(b"7"), "is no file that image.save wrote"),
        (word(b"[" * 60_000), "is no file that image.save wrote"),
        (word(b"\xff"), "is no file that image.save wrote"),
        (word(b'{"schema": 1}'), "is no file that image.save wrote"),
        (header(python=3.11), "is no file that image.save wrote"),
        (header(image=["x"]), "is no file that image.save wrote"),
        (header(more="x"), "is no file that image.save wrote"),
        (struct.pack("<II", 0x184D2A50, 2**31), "is no file that image.save wrote"),
        (header(schema=2), "was written by another version of this suite"),
        (header() + b"nothing of zstd", "is damaged: "),
        (header(), "is damaged: its end is missing"),
        (header() + DATA[:-1], "is damaged: its end is missing"),
        (header() + DATA[: len(DATA) // 2], "is damaged: its end is missing"),
        (header() + DATA[:-1] + bytes([DATA[-1] ^ 1]), "is damaged: "),
    ],
    ids=lambda value: "" if isinstance(value, str) else repr(value[:20]),
)
def test_a_file_that_is_not_ours_or_damaged_is_one_line(
    bench: Bench, content: bytes, said: str
) -> None:
    file = bench.folder / "file"
    file.write_bytes(content)
    done = bench.invoke("image.load", str(file), FAKE_IMAGE=facts())
    assert done.returncode == 2, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith(f"{file}: {said}")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("", "name the file to load, like prod-3.11-amd64.tar.zst"),
        ("/nowhere", "/nowhere: cannot be read: No such file or directory"),
        ("/", "/: cannot be read: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(bench: Bench, file: str, said: str) -> None:
    done = bench.invoke("image.load", file)
    assert done.returncode == 2, done.stderr
    assert lines(done.stderr) == [said]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--platform", "arm64"], "is for platform linux/amd64, not linux/arm64"),
        (["--python", "3.12,3.13"], "is for python 3.11, not 3.12, 3.13"),
        (["--kind", "ci"], "is for kind prod, not ci"),
    ],
    ids=" ".join,
)
def test_a_file_of_another_image_is_not_loaded(
    bench: Bench, saved: Path, options: list[str], said: str
) -> None:
    done = bench.invoke("image.load", str(saved), *options, FAKE_IMAGE=facts())
    assert done.returncode == 2
    assert lines(done.stderr) == [f"{saved}: {said}"]
    assert not (bench.folder / "log.loaded").exists()


def test_a_file_for_any_of_the_platforms_that_are_set_is_loaded(bench: Bench, saved: Path) -> None:
    done = bench.invoke(
        *("image.load", str(saved)),
        FAKE_IMAGE=facts(),
        AIRFLOW_IMAGES_PLATFORMS="linux/arm64,linux/amd64",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (
            facts(arch="arm64"),
            "says linux/amd64 and Python 3.11, and its image linux/arm64 and Python 3.11",
        ),
        (
            facts(python_version="3.12"),
            "says linux/amd64 and Python 3.11, and its image linux/amd64 and Python 3.12",
        ),
        ("", f"has no image {IMAGE}"),
    ],
)
def test_an_image_that_is_not_what_its_file_says_is_one_line(
    bench: Bench, saved: Path, image: str, said: str
) -> None:
    done = bench.invoke("image.load", str(saved), FAKE_IMAGE=image)
    assert done.returncode == 11
    assert lines(done.stderr) == [f"{saved}: {said}"]


def test_an_engine_that_refuses_a_file_is_one_line(bench: Bench, saved: Path) -> None:
    done = bench.invoke("image.load", str(saved), FAKE_EXIT="1", FAKE_STDERR="unexpected EOF")
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.endswith("bin/docker load --quiet: unexpected EOF")
