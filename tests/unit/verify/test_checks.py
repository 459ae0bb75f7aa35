"""The logic of the checks, without containers."""

from __future__ import annotations

import json
import re
import shlex
import site
import subprocess
import sys
import sysconfig
from importlib import machinery, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest
from packaging.utils import canonicalize_name
from targets import target

from build_tasks.buildx.containers import Containers
from build_tasks.model.matrix import Build, ImageKind, Platform
from build_tasks.model.own_image import OwnImage
from build_tasks.process import Completed
from build_tasks.verify.checks import test_airflow as airflow
from build_tasks.verify.checks import test_chart as chart
from build_tasks.verify.checks import test_compose as compose
from build_tasks.verify.checks import test_contents as contents
from build_tasks.verify.checks import test_platform as platforms
from build_tasks.verify.checks import test_python as python
from build_tasks.verify.checks import test_runtime as runtime
from build_tasks.verify.fixtures import Packages
from build_tasks.verify.inventory import File
from build_tasks.verify.target import Image

Failed = pytest.fail.Exception
SUFFIX = ".cpython-311-x86_64-linux-gnu.so"


def package(name: str, *requires: str, version: str = "1", local: bool = False) -> dict[str, Any]:
    return {"name": name, "version": version, "requires": list(requires), "local": local}


def packages(*distributions: dict[str, Any]) -> Packages:
    by_name: dict[str, Any] = {canonicalize_name(one["name"]): one for one in distributions}
    return Packages({"python_version": "3.11", "extra": ""}, by_name)


def file(path: str, machine: int | None = None, **changes: Any) -> File:
    given = {
        "path": path,
        "folder": False,
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "machine": machine,
        "key": False,
        **changes,
    }
    return File(**given)


@pytest.mark.parametrize(
    ("path", "runs"),
    [
        ("usr/bin/python3", True),
        ("usr/local/lib/libpython3.11.so.1.0", True),
        ("lib/x86_64-linux-gnu/libc.so.6", True),
        ("opt/venv/lib/python3.11/site-packages/a/_x.cpython-311-x86_64-linux-gnu.so", True),
        ("opt/venv/lib/python3.11/site-packages/debugpy/attach_arm64.so", False),
        ("home/airflow/x", False),
        ("usr/share/x", False),
    ],
)
def test_programs_of_the_system_are_known_by_path(path: str, runs: bool) -> None:
    assert platforms._runs(path) is runs


def test_an_image_for_another_processor_fails() -> None:
    arm = target(build=Build(ImageKind.PROD, "3.11", Platform.ARM64))
    good = [file("usr/bin/a", 183), file("opt/x/aid.so", 62), file("usr/bin/script")]
    platforms.test_the_payload_is_for_the_platform(arm, good)
    with pytest.raises(Failed, match=r"1 of 2 programs .* linux/arm64 but linux/amd64, linux/arm"):
        platforms.test_the_payload_is_for_the_platform(arm, [*good, file("usr/bin/b", 62)])
    with pytest.raises(Failed, match="but e_machine 22"):
        platforms.test_the_payload_is_for_the_platform(arm, [file("usr/bin/b", 22)])
    with pytest.raises(Failed, match="the image contains no program"):
        platforms.test_the_payload_is_for_the_platform(arm, [file("usr/bin/script")])
    with pytest.raises(Failed, match="the image says linux/amd64, not linux/arm64"):
        platforms.test_the_manifest_is_for_the_platform(arm)


def test_requirements_lead_to_what_they_need_and_no_further() -> None:
    installed = packages(
        package("apache-airflow", "Core>=1", "z; extra == 'all'", "w; extra == 'e_1'"),
        package("core", "a.b", "win; sys_platform == 'win32'", "apache-airflow"),
        package("A_B", "deep[x]"),
        package("deep", "deeper; extra == 'x'", "never; extra == 'y'"),
        package("w"),
    )
    asked = target(extras=("e-1",), packages=("own[y]>=2",))
    needed = {"apache-airflow", "core", "a-b", "deep", "deeper", "w", "own"}
    assert set(python._required(asked, installed)) == needed
    with pytest.raises(Failed, match=r"^not installed: deeper, own"):
        python.test_everything_that_was_asked_for_is_installed(asked, installed)


def test_an_extra_package_is_named() -> None:
    installed = packages(package("apache-airflow", "a"), package("A"), package("pip"))
    python.test_nothing_is_installed_that_nobody_asked_for(target(), installed)
    python.test_everything_that_was_asked_for_is_installed(target(), installed)
    more = packages(*installed.distributions.values(), package("Left_over"))
    with pytest.raises(Failed, match=r"^no requirement leads to left-over$"):
        python.test_nothing_is_installed_that_nobody_asked_for(target(), more)


def test_a_requirement_for_another_python_is_not_asked_for() -> None:
    asked = target(packages=("old; python_version < '3.9'", "new; python_version >= '3.9'"))
    installed = packages(package("apache-airflow"), package("new"))
    python.test_everything_that_was_asked_for_is_installed(asked, installed)
    python.test_nothing_is_installed_that_nobody_asked_for(asked, installed)
    with pytest.raises(Failed, match=r"^not installed: new$"):
        python.test_everything_that_was_asked_for_is_installed(
            asked, packages(package("apache-airflow"))
        )


def test_a_package_off_its_pin_is_named(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    text = "# made\nA.b==1.0 # why\nc>=2,<3\n\nd @ https://host/d.whl\ne==1\n"
    pins.write_text(f"{text}A.b==0.9; python_version < '3'\n")
    asked = target(constraints=pins)
    assert set(python._pins(asked, packages())) == {"a-b", "c", "d", "e"}
    good = [package("a_b", version="1.0"), package("C", version="2.5rc1"), package("free")]
    local = package("e", version="9", local=True)
    python.test_each_pinned_package_has_its_version(asked, packages(*good, local, package("d")))
    wrong = packages(package("a-b", version="1.0.1"), package("c", version="3"))
    with pytest.raises(Failed, match=r"^off constraints.txt: a-b 1.0.1, not ==1.0; c 3, not <3,>"):
        python.test_each_pinned_package_has_its_version(asked, wrong)


def expect_leftover(kind: str, path: str, *, leftover: bool) -> None:
    contents.test_nothing_of_a_build_is_left(target(), [file(path, folder=True)], kind)
    if not leftover:
        contents.test_nothing_of_a_build_is_left(target(), [file(path)], kind)
        return
    with pytest.raises(Failed, match=f"^{kind}: /{re.escape(path)}$"):
        contents.test_nothing_of_a_build_is_left(target(), [file(path)], kind)


@pytest.mark.parametrize(
    ("path", "compiler"),
    [
        ("usr/bin/gcc", True),
        ("usr/bin/gcc-12", True),
        ("usr/bin/x86_64-linux-gnu-g++-12", True),
        ("opt/venv/bin/cmake", True),
        ("usr/local/go/bin/go", True),
        ("usr/bin/as", True),
        ("usr/bin/make", True),
        ("usr/bin/gccgo-doc", False),
        ("usr/share/gcc", False),
        ("usr/bin/gcov-like", False),
        ("usr/bin/python3", False),
        ("usr/sbin/ldconfig", False),
        ("usr/bin/basename", False),
    ],
)
def test_compilers_are_known_by_name(path: str, compiler: bool) -> None:
    expect_leftover("compilers", path, leftover=compiler)


@pytest.mark.parametrize(
    ("path", "cache"),
    [
        ("var/cache/apt/archives/a_1_amd64.deb", True),
        ("var/cache/apt/pkgcache.bin", True),
        ("var/lib/apt/lists/mirror.example.com_dists_main", True),
        ("root/.cache/pip/x", True),
        ("home/airflow/.cache/uv/x", True),
        ("tmp/left", True),
        ("var/cache/pip/x", True),
        ("var/lib/apt/lists/lock", False),
        ("var/cache/apt/archives/lock", False),
        ("opt/tmp/x", False),
        ("var/cache/debconf/config.dat", False),
    ],
)
def test_caches_are_known_by_path(path: str, cache: bool) -> None:
    expect_leftover("caches", path, leftover=cache)


@pytest.mark.parametrize(
    ("path", "secret"),
    [
        ("home/airflow/.netrc", True),
        ("root/.docker/config.json", True),
        ("home/airflow/.ssh/id_ed25519", True),
        ("run/secrets/ca-bundle", True),
        ("home/airflow/.ssh/id_ed25519.pub", False),
        ("etc/netrc", False),
    ],
)
def test_secrets_are_known_by_name(path: str, secret: bool) -> None:
    assert contents._matches(file(path), contents.SECRETS) is secret


@pytest.mark.parametrize(
    ("asked", "library", "airflow", "environment", "said"),
    [
        ("all", 1000, 100, 985, ""),
        ("all", 1000, 100, 900, "environment: prod.bytecode is all, and 900 of 1000 "),
        ("all", 3, 100, 1000, "standard library: prod.bytecode is all, and 3 of 1000 "),
        ("airflow", 1000, 100, 200, ""),
        ("airflow", 1000, 50, 200, "Airflow: prod.bytecode is airflow, and 50 of 100 "),
        ("standard-library", 990, 0, 0, ""),
        ("standard-library", 990, 0, 1, "environment: prod.bytecode is standard-library, and 1 "),
        ("none", 1000, 0, 0, ""),
    ],
)
def test_bytecode_is_compared_with_the_setting(
    asked: str, library: int, airflow: int, environment: int, said: str
) -> None:
    class Answering:
        def run(self, *_command: str, **_options: object) -> Completed:
            counts = {"standard library": (1000, library), "Airflow": (100, airflow)}
            counts["environment"] = (1000, environment)
            return Completed((), 0, json.dumps(counts), "")

    arguments = target(bytecode=asked), cast("Containers", Answering())
    if not said:
        contents.test_its_bytecode_is_what_was_asked_for(*arguments)
        return
    with pytest.raises(Failed, match=said):
        contents.test_its_bytecode_is_what_was_asked_for(*arguments)


@pytest.mark.parametrize(
    ("metadatabase", "scheduler", "beat", "healthy"),
    [
        ("healthy", "healthy", "2026-01-01T00:00:00", True),
        ("healthy", "healthy", None, False),
        ("healthy", "unhealthy", "2026-01-01T00:00:00", False),
        ("unhealthy", "healthy", "2026-01-01T00:00:00", False),
    ],
)
def test_health_is_of_database_and_scheduler(
    metadatabase: str, scheduler: str, beat: str | None, healthy: bool
) -> None:
    said = {
        "metadatabase": {"status": metadatabase},
        "scheduler": {"status": scheduler, "latest_scheduler_heartbeat": beat},
    }
    assert airflow._healthy(json.dumps(said)) is healthy


def test_a_dag_must_report_success() -> None:
    airflow._expect_dag(Completed((), 0, "state = success", ""))
    airflow._expect_dag(Completed((), 0, "", "DagRun state=success"))
    with pytest.raises(Failed, match=r"did not succeed \(exit status 1\)"):
        airflow._expect_dag(Completed((), 1, "state=success", ""))
    with pytest.raises(Failed, match="state=failed"):
        airflow._expect_dag(Completed((), 0, "state=failed", ""))


def test_the_modules_of_installed_distributions_are_imported() -> None:
    assert runtime._modules(packages(package("PyODBC"), package("python_ldap"))) == [
        *("pyodbc", "ldap", "ldap.sasl")
    ]
    assert runtime._modules(packages(package("airflow"))) == []


def test_the_table_of_modules_has_no_distribution_twice() -> None:
    names = [canonicalize_name(name) for name in runtime.NEEDS["modules"]]
    assert len(set(names)) == len(names)
    assert all(runtime.NEEDS["modules"].values())
    assert all(runtime.NEEDS["libraries"].values()), "each has its reason"


def test_a_missing_library_is_named_with_what_needs_it() -> None:
    runtime._expect_resolved(3, [], "x")
    runtime._expect_resolved(3, [("libcuda.so.1", "/opt/venv/a.so")], "x")
    with pytest.raises(Failed) as caught:
        runtime._expect_resolved(
            3, [("libmpi.so.40", "/opt/venv/MPI.so")], "dependencies.apt-runtime"
        )
    assert str(caught.value) == (
        "1 libraries of 3 shared objects are missing: libmpi.so.40 (for /opt/venv/MPI.so): "
        "name the Debian packages in dependencies.apt-runtime"
    )


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["six.py", "six-1.dist-info/RECORD", "../../../bin/six"], ["six"]),
        (["yaml/__init__.py", "yaml/_yaml.so", "_yaml/__init__.py"], ["yaml"]),
        (["_cffi.cpython-311-x86_64-linux-gnu.so"], ["_cffi"]),
        (["google/cloud/a/__init__.py", "google/cloud/a/b/__init__.py"], ["google.cloud.a"]),
        (["x/__init__.py", "tests/__init__.py", "x.libs/libz.so"], ["x"]),
        (["types-stubs/__init__.pyi", "types-1.dist-info/METADATA"], []),
        (["uwsgidecorators.py", "x.py"], ["x"]),
    ],
    ids=" ".join,
)
def test_the_modules_of_a_package_are_in_its_list_of_files(
    monkeypatch: pytest.MonkeyPatch, files: list[str], modules: list[str]
) -> None:
    monkeypatch.setattr(machinery, "all_suffixes", lambda: [SUFFIX, ".so", ".py"])
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(files=files))
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["-", json.dumps([["uwsgidecorators"], "x"])])
    exec(runtime._IMPORT_ALL, {})  # noqa: S102 - as a container runs it
    assert [command[3:] for command in commands] == [modules]


def test_a_library_of_an_unrelated_package_resolves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A defect once found: a driver's own copy of libkrb5 stood for the one of the system."""
    files = ("a/x.so", "a/libs/liba.so.1", "b/lib/libb.so.1", "c/lib/libc.so.1", "loose/y.so")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x7fELF")
    (tmp_path / "loose/libz.so.1").touch()
    for name, requires in (("a", "B[extra]>=1"), ("b", ""), ("c", "")):
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        line = f"Requires-Dist: {requires}\n" if requires else ""
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1\n{line}")
        own = [f"{file},,\n" for file in files if file.startswith(f"{name}/")]
        (folder / "RECORD").write_text("".join(own))

    def ldd(command: list[str], **_: object) -> SimpleNamespace:
        lines = (
            f"{file}:\n" + "".join(f"\tlib{name}.so.1 => not found\n" for name in "abcz")
            for file in command[1:]
        )
        return SimpleNamespace(stdout="".join(lines))

    monkeypatch.setattr(subprocess, "run", ldd)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(site, "getuserbase", lambda: str(tmp_path / "none"))
    exec(runtime._RESOLVE, {})  # noqa: S102 - as a container runs it
    number, missing = json.loads(capsys.readouterr().out.removeprefix("RESULT "))
    found: dict[str, str] = {}
    for library, file in missing:
        name = str(Path(file).relative_to(tmp_path.resolve()))
        found[name] = found.get(name, "") + library.removeprefix("lib")[0]
    assert number == len(files)
    assert found == {
        "a/libs/liba.so.1": "cz",
        "a/x.so": "cz",
        "b/lib/libb.so.1": "acz",
        "c/lib/libc.so.1": "abz",
        "loose/y.so": "abc",
    }


def test_each_additional_package_that_cannot_be_imported_has_its_line() -> None:
    good = {"a": (["a"], ""), "cuda": (["cuda"], "ImportError: libcuda.so.1: cannot open")}
    runtime._expect_imported(good)
    with pytest.raises(Failed) as caught:
        runtime._expect_imported({**good, "b": (["b", "b_c"], "ImportError: why")})
    assert str(caught.value) == (
        "1 of 3 additional packages cannot be imported:\n  b (import b, b_c): ImportError: why"
    )


def test_the_additional_packages_are_those_for_this_python_that_are_installed() -> None:
    asked = ("PyYAML>=6", "pyyaml", "old; python_version < '3'", "missing", "z[x]")
    installed = packages(package("PyYAML"), package("old"), package("Z"), package("other"))
    assert runtime._additional(target(additional=asked), installed) == ["PyYAML", "Z"]


def test_versions_that_own_images_pin_are_theirs(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("a==1\nb==1\n")
    installed = packages(package("a", version="2"), package("b"))
    asked = target(constraints=pins, own_pins=frozenset({"a"}))
    python.test_each_pinned_package_has_its_version(asked, installed)
    with pytest.raises(Failed, match="a 2, not ==1"):
        python.test_each_pinned_package_has_its_version(target(constraints=pins), installed)


def test_compilers_may_be_debian_packages_of_an_own_image() -> None:
    own = target(own=(OwnImage("x", apt=("gcc",)),))
    with pytest.raises(pytest.skip.Exception):
        contents.test_nothing_of_a_build_is_left(own, [file("usr/bin/gcc")], "compilers")
    with pytest.raises(Failed):
        contents.test_nothing_of_a_build_is_left(own, [file("tmp/left")], "caches")


def test_the_bytecode_of_what_an_own_image_adds_is_its_own() -> None:
    class Answering:
        def run(self, *_command: str, **_options: object) -> Completed:
            counts = {"standard library": (10, 10), "Airflow": (10, 0), "environment": (10, 5)}
            return Completed((), 0, json.dumps(counts), "")

    containers, own = cast("Containers", Answering()), (OwnImage("x"),)
    for asked in ("none", "standard-library"):
        contents.test_its_bytecode_is_what_was_asked_for(
            target(bytecode=asked, own=own), containers
        )
    with pytest.raises(Failed, match=r"Airflow: prod\.bytecode is airflow"):
        contents.test_its_bytecode_is_what_was_asked_for(
            target(bytecode="airflow", own=own), containers
        )


def test_the_page_about_the_chart_has_what_is_checked() -> None:
    page = (Path(__file__).parents[3] / "docs" / "chart.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\w-]+) \| `(.*?)` \| `(.*?)` \| (?:`(.*?)`)? ?\| ", page, re.MULTILINE
    )
    assert rows == [
        (
            name,
            container["template"],
            shlex.join([*filter(None, [container.get("command")]), *container["args"]]),
            shlex.join(container.get("probe", ())) if name != "log-groomer" else "",
        )
        for name, container in chart.CHART["containers"].items()
    ]


def test_each_service_of_the_compose_file_has_a_health_check() -> None:
    services = compose.COMPOSE["services"].values()
    assert all(service["command"] and service["healthcheck"] for service in services)
    assert chart.COMMANDS[0] == chart._MIGRATE


def run_as(name: str, user: str, *, uid: str = "50000", says: str = "") -> list[str]:
    """Return the options of the container that a check of the chart runs."""
    options: list[str] = []

    class Recording:
        def run(self, *_command: str, **given: Any) -> Completed:
            options.extend(given["options"])
            return Completed((), 0, "", says)

    labels = {"org.apache.airflow.uid": uid}
    asked = target(image=Image("i", {"Config": {"Labels": labels}}))
    containers = cast("Containers", Recording())
    chart.test_a_command_of_the_chart_works(
        asked, containers, lambda _provider, _program: None, (), (name, user)
    )
    return options


def test_the_charts_own_user_is_that_of_the_image() -> None:
    for name in chart.COMMANDS:
        if chart._entered(name) and "says" not in chart.CHART["containers"][name]:
            assert "1001:0" in run_as(name, "airflow", uid="1001")
            assert "1000650000:0" in run_as(name, "1000650000", uid="1001")
    assert "1001:0" in run_as("database-cleanup", "airflow", uid="1001")
    assert "0:0" in run_as("volume-permissions", "airflow", uid="1001")


@pytest.mark.parametrize("name", ["kerberos-init", "worker-kerberos"])
def test_a_missing_kinit_is_not_taken_for_one_without_a_keytab(name: str) -> None:
    run_as(name, "airflow", says="ERROR - Couldn't reinit from keytab! `kinit` exited with 1.")
    script = (Path(__file__).parents[3] / "Dockerfile").read_text(encoding="utf-8")
    (missing,) = re.findall(r'fail "(kerberos needs the program kinit: .*)"', script)
    for says in (missing, "FileNotFoundError: [Errno 2] No such file or directory: 'kinit'"):
        with pytest.raises(Failed, match=f"^{name} does not come to kinit"):
            run_as(name, "airflow", says=says)


def test_only_migrations_that_are_missing_are_waited_for() -> None:
    class Answering(NamedTuple):
        status: int
        output: str

        def run(self, *_command: str, **_given: object) -> Completed:
            return Completed((), self.status, "", self.output)

    def check(status: int, output: str) -> None:
        containers = cast("Containers", Answering(status, output))
        chart.test_waiting_for_migrations_gives_up_without_them(containers, ())

    check(1, "TimeoutError: There are still unapplied migrations after 1 seconds.")
    for status, output in ((0, ""), (1, "no database after 20 checks")):
        with pytest.raises(Failed, match="a database without tables counts as migrated"):
            check(status, output)


def test_commands_in_place_of_the_entrypoint_run_as_the_charts_own_user() -> None:
    assert [name for name in chart.COMMANDS if not chart._entered(name)] == [
        *("database-cleanup", "volume-permissions")
    ]
