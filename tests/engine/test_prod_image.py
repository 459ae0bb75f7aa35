"""PROD images: made, proven to hold what they say, and found out where they do not."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from suite import FEW_EXTRAS, Step, Suite, last, steps
from uv import find_uv_bin

from build_tasks.engine.state import EmbeddedEngine

BUILD = ("image.build", "--kind", "prod", "--python", "3.11")
GIT = "/usr/bin/git"


@dataclass(frozen=True)
class Image:
    suite: Suite
    name: str
    digest: str

    def sh(self, script: str, *options: str) -> str:
        return self.suite.engine("run", "--rm", *options, self.name, "bash", "-c", script)

    def inspect(self, template: str) -> str:
        return self.suite.engine("image", "inspect", "--format", template, self.name).strip()


@pytest.fixture(scope="module")
def few(suite: Suite) -> Suite:
    repository = f"{suite.environment['AIRFLOW_IMAGES_REPOSITORY']}/few"
    return suite.having(AIRFLOW_IMAGES_REPOSITORY=repository, **FEW_EXTRAS)


@pytest.fixture(scope="module")
def image(few: Suite, engine: EmbeddedEngine) -> Image:
    done = few.nox("build_prod-3.11", "--push", "--push-cache")
    assert done.returncode == 0, done.stderr[-3000:]
    digest = re.findall(r"^prod-3.11-amd64: pushed \S+ (sha256:\w+)$", done.stderr, re.MULTILINE)
    done = few.nox("build_prod-3.11")
    assert done.returncode == 0, done.stderr[-3000:]
    repository = few.environment["AIRFLOW_IMAGES_REPOSITORY"]
    name = f"{engine.registry}/{repository}/main/prod/python3.11:latest"
    return Image(few, name, digest[0])


def test_it_is_verified_in_the_registry_by_digest(image: Image) -> None:
    reference = f"{image.name.removesuffix(':latest')}@{image.digest}"
    select = ("--select", "labels or python_is or users", "--json")
    done = image.suite.good("image.verify", reference, *select)
    said = json.loads(done.stdout)
    assert said["image"].partition("@")[0] == reference.partition("@")[0]
    assert {check["outcome"] for check in said["checks"]} == {"passed"}
    assert len(said["checks"]) >= 7


def test_what_is_pushed_says_how_it_was_made(image: Image, buildx: Suite) -> None:
    reference = f"{image.name.removesuffix(':latest')}@{image.digest}"
    index = json.loads(buildx.engine("imagetools", "inspect", "--raw", reference))
    assert index["annotations"]["org.opencontainers.image.version"] == "3.3.2"
    made, attestation = index["manifests"]
    reason = attestation["annotations"]["vnd.docker.reference.type"]
    assert (made["platform"]["architecture"], reason) == ("amd64", "attestation-manifest")
    name = f"{reference.partition('@')[0]}@{made['digest']}"
    manifest = json.loads(buildx.engine("imagetools", "inspect", "--raw", name))
    assert manifest["annotations"]["org.opencontainers.image.title"] == "Airflow PROD image"
    provenance = buildx.engine(
        "imagetools", "inspect", "--format", "{{json .Provenance}}", reference
    )
    assert "buildType" in provenance
    assert "AIRFLOW_EXTRAS" not in provenance  # mode=min has no arguments


def test_a_scanner_that_cannot_be_had_is_said_before_anything_starts(image: Image) -> None:
    scanner = image.name.replace("prod/python3.11:latest", "scanner:1")
    done = image.suite.invoke(*BUILD, "--push", "--sbom", "--sbom-scanner", scanner)
    assert done.returncode == 2
    assert last(done.stderr).startswith(
        f"--sbom: the scanner {scanner} cannot be had: name another"
    )


def ran(events: str) -> list[Step]:
    return [step for step in steps(events) if not step.cached]


def test_another_commit_and_build_run_no_step(image: Image) -> None:
    line = image.suite.good(*BUILD, "--dry-run", "--build-id", "77").stdout
    changed = line.replace("COMMIT_SHA=", "COMMIT_SHA=0123").replace("created=", "created=1999")
    changed = changed.replace("--progress auto", "--progress rawjson")
    done = subprocess.run(["/bin/sh", "-c", changed], capture_output=True, text=True, check=True)
    assert len(steps(done.stderr)) >= 14
    assert ran(done.stderr) == []
    assert '"BUILD_ID=77"' in image.inspect("{{json .Config.Env}}")
    image.suite.good(*BUILD)


def test_another_runtime_package_repeats_nothing_of_the_dependencies(image: Image) -> None:
    options = ("--dependencies-apt-runtime", "tree", "--progress", "rawjson", "--tag", "tree")
    done = image.suite.good(*BUILD, *options)
    repeated = ran(done.stderr)
    assert repeated
    assert {step.stage for step in repeated} == {"main"}
    assert "apt-archives" in repeated[0].name
    assert image.suite.engine(
        "run", "--rm", f"{image.name[:-7]}:tree", "bash", "-c", "tree --version"
    )


@pytest.mark.nightly
def test_another_user_and_other_folders_install_nothing_again(image: Image) -> None:
    chosen = ("--prod-uid", "1001", "--prod-home", "/srv/airflow", "--prod-user-home", "/srv/me")
    options = (*chosen, "--tag", "user")
    done = image.suite.good(*BUILD, *options, "--progress", "rawjson")
    assert {step.stage for step in ran(done.stderr)} == {"environment", "bytecode", "main"}
    script = "id -u; echo $AIRFLOW_HOME $HOME $PWD; ls ~/.local/bin/airflow ~/constraints.txt"
    assert replace(image, name=f"{image.name[:-7]}:user").sh(script).split() == [
        *("1001", "/srv/airflow", "/srv/me", "/srv/airflow"),
        *("/srv/me/.local/bin/airflow", "/srv/me/constraints.txt"),
    ]
    select = ("--select", "users or labels or entrypoint")
    assert ": passed " in verified(image.suite, "prod-3.11", *options, *select)


def test_without_bytecode_the_image_has_none_and_works(image: Image) -> None:
    options = ("--prod-bytecode", "none", "--tag", "no-bytecode")
    image.suite.good(*BUILD, *options)
    plain = replace(image, name=f"{image.name[:-7]}:no-bytecode")
    count = "find /opt/venv -name '*.pyc' | wc -l"
    assert plain.sh(count, "--env", "PYTHONDONTWRITEBYTECODE=1").strip() == "0"
    assert verified(image.suite, "prod-3.11", *options, "--select", "bytecode").endswith("1 check")


def test_on_an_emptied_builder_the_registry_cache_spares_every_step(image: Image) -> None:
    image.suite.good("cache.prune", "--all")
    done = image.suite.good(*BUILD, "--push", "--progress", "rawjson")
    assert len(steps(done.stderr)) >= 14
    assert ran(done.stderr) == []


# Images that do not hold what they say: what is wrong, the check that has to see it, and its words.
BROKEN = {
    "python": (
        "RUN ln -sf /usr/bin/bash /opt/venv/bin/python3.99\n"
        'RUN printf "#!/bin/sh\\necho 3.9\\n" > /opt/venv/bin/python\n',
        "python_is_the_one",
        "python is 3.9, not 3.11",
    ),
    "constraint": (
        "RUN mv /opt/venv/lib/python3.11/site-packages/certifi-*.dist-info "
        "/opt/venv/lib/python3.11/site-packages/certifi-1999.1.1.dist-info && "
        "sed -i 's/^Version: .*/Version: 1999.1.1/' "
        "/opt/venv/lib/python3.11/site-packages/certifi-1999.1.1.dist-info/METADATA\n",
        "pinned",
        "off constraints-3.11.txt: certifi 1999.1.1, not ==",
    ),
    "compiler": (
        "RUN cp /usr/bin/true /usr/bin/x86_64-linux-gnu-gcc-12\n",
        "compiler",
        "compilers: /usr/bin/x86_64-linux-gnu-gcc-12",
    ),
    "budget": (
        "RUN head -c 700000000 /dev/urandom > /opt/large\n",
        "budget",
        "its budget is 1000 MB; the largest layers:",
    ),
    "entrypoint": (
        "RUN printf '#!/bin/sh\\nexec sleep 0\\n' > /entrypoint\n",
        "runs_what_it_is_given",
        "('bash', '-c', 'echo from bash'): ",
    ),
    "secret": (
        "RUN printf -- '-----BEGIN PRIVATE KEY-----\\n' > /opt/airflow/id_rsa\n",
        "secret",
        "secrets: /opt/airflow/id_rsa",
    ),
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_an_image_that_is_not_what_it_says_is_found_out(
    image: Image, buildx: Suite, tmp_path: Path, wrong: str
) -> None:
    instructions, check, said = BROKEN[wrong]
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM {image.name}\nUSER root\n{instructions}USER 50000\n")
    name = f"{image.name[:-7]}:broken-{wrong}"
    build = ("build", "--builder", "default", "--load", "--provenance", "false", "--tag", name)
    buildx.engine(*build, str(tmp_path))
    suite = image.suite.having(AIRFLOW_IMAGES_PROD_BUDGET="1000")
    done = suite.invoke("image.verify", name, "--select", check)
    assert done.returncode == 11, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert last(done.stderr).startswith(f"{name}: 1 of ") or "checks failed" in last(done.stderr)
    assert said in done.stdout + done.stderr
    if wrong == "budget":
        assert " 700 MB  RUN " in done.stdout


def test_a_label_of_another_platform_is_found_out(
    image: Image, buildx: Suite, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM --platform=linux/amd64 {image.name} AS real\n"
        "FROM scratch\n"
        "COPY --from=real / /\n"
        'LABEL org.apache.airflow.image=airflow org.apache.airflow.python.version="3.11"\n'
    )
    name = f"{image.name[:-7]}:mislabelled"
    options = ("--builder", "default", "--load", "--provenance", "false", "--tag", name)
    buildx.engine("build", "--platform", "linux/arm64", *options, str(tmp_path))
    arm64 = ("--platform", "linux/arm64", "--select", "payload")
    done = image.suite.invoke("image.verify", name, *arm64)
    assert done.returncode == 11, done.stderr[-2000:]
    assert re.search(
        r"\d+ of \d+ programs and libraries are not for linux/arm64 but linux/amd64: ",
        last(done.stderr),
    )
    done = image.suite.invoke("image.verify", name, "--select", "manifest")
    assert "the image says linux/arm64, not linux/amd64" in last(done.stderr)


def test_an_image_is_saved_and_loaded_and_its_file_says_what_it_is(
    image: Image, tmp_path: Path
) -> None:
    suite, file = image.suite, tmp_path / "some image.tar.zst"
    suite.good(*BUILD)
    before = image.inspect("{{.Id}}")
    done = suite.good("image.save", *BUILD[1:], "--file", str(file))
    assert last(done.stderr).startswith(f"prod-3.11-amd64: saved {image.name} to {file}, ")
    suite.engine("image", "rm", "--force", image.name)
    for options, said in (
        (("--python", "3.13"), "is for python 3.11, not 3.13"),
        (("--platform", "linux/arm64"), "is for platform linux/amd64, not linux/arm64"),
        (("--kind", "ci"), "is for kind prod, not ci"),
    ):
        done = suite.invoke("image.load", str(file), *options)
        assert (done.returncode, last(done.stderr)) == (2, f"{file}: {said}")
    damaged = tmp_path / "damaged.tar.zst"
    damaged.write_bytes(file.read_bytes()[:-4096])
    done = suite.invoke("image.load", str(damaged))
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert str(damaged) in last(done.stderr)
    suite.good("image.load", str(file))
    assert image.inspect("{{.Id}}") == before
    done = suite.invoke("image.save", *BUILD[1:], "--tag", "nothing")
    assert done.returncode == 2
    assert "the engine does not have it: build it with --load, or pull it" in last(done.stderr)


# The rest takes long and is the nightly run's.


def verified(suite: Suite, image: str, *options: str) -> str:
    done = suite.invoke("image.verify", image, *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return last(done.stderr)


def made(suite: Suite, *options: str) -> Image:
    done = suite.good("image.build", "--kind", "prod", *options)
    _, _, name, digest = last(done.stderr).split()
    return Image(suite, name, digest)


def extended(project: Suite, *extras: str) -> None:
    """Add extras to images.toml, and resolve what they need."""
    file = project.root / "images.toml"
    text, example = file.read_text(), '# extras-add = ["trino"]'
    assert example in text
    file.write_text(text.replace(example, f"extras-add = {json.dumps(extras)}"))
    project.good("constraints.generate", "--python", "3.11")


@pytest.mark.nightly
@pytest.mark.parametrize(("python", "airflow"), [("3.9", "3.0.6"), ("3.13", "3.3.2")])
def test_other_pythons_hold_what_they_say(suite: Suite, python: str, airflow: str) -> None:
    one = made(suite, "--python", python)
    assert one.sh("airflow version").strip() == airflow
    # No check is skipped: those of the chart and the compose file are for the last releases, too.
    assert re.search(r": passed \d\d checks$", verified(suite, f"prod-{python}"))


@pytest.mark.nightly
def test_a_slim_image_holds_what_it_says(suite: Suite) -> None:
    one = made(suite, "--python", "3.11", "--prod-profile", "slim")
    assert one.name.endswith(":slim-latest")
    assert ": passed " in verified(suite, "prod-slim-3.11-amd64")
    assert "psql" not in one.sh("compgen -c")


@pytest.mark.nightly
def test_a_customised_image_holds_what_it_says(project: Suite) -> None:
    """Two more providers, a package that is compiled, and Debian's packages that it needs."""
    file = project.root / "images.toml"
    text = file.read_text()
    for old, new in (
        ("python = []", 'python = ["pygraphviz"]'),
        ("apt-dev = []", 'apt-dev = ["libgraphviz-dev"]'),
        ("apt-runtime = []", 'apt-runtime = ["libgvc6"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    extended(project, "imap", "sqlite")
    one = made(project, "--python", "3.11", "--tag", "custom")
    assert (
        one.sh(
            "python -c 'import pygraphviz; print(len(pygraphviz.AGraph(\"graph {a--b}\").nodes()))'"
        ).strip()
        == "2"
    )
    listed = one.sh("airflow providers list --output plain")
    assert "apache-airflow-providers-imap" in listed
    assert "apache-airflow-providers-sqlite" in listed
    assert ": passed " in verified(project, "prod-3.11", "--tag", "custom")


DISTRIBUTIONS = (
    "apache-airflow==3.3.2",
    "apache-airflow-core==3.3.2",
    "apache-airflow-task-sdk==1.3.2",
)


def download(folder: Path, *options: str) -> list[Path]:
    """Fetch Airflow's own distributions from the package index."""
    for one in DISTRIBUTIONS:
        pip = (find_uv_bin(), "tool", "run", "pip", "download", "--quiet", "--no-deps")
        command = (*pip, "--dest", str(folder), *options, one)
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    return sorted(folder.iterdir())


@pytest.mark.nightly
def test_an_image_from_wheels_holds_what_it_says(project: Suite) -> None:
    project = project.having(**FEW_EXTRAS)
    folder = project.root / "docker-context-files"
    wheels = download(folder, "--only-binary", ":all:")
    assert len(wheels) == 3
    done = project.invoke(*BUILD, "--tag", "leftovers")
    assert done.returncode == 2
    assert "would not be used: remove it, or install it with --airflow-from wheels" in done.stderr
    options = ("--tag", "wheels", "--airflow-from", "wheels")
    one = made(project, "--python", "3.11", *options)
    assert "file://" in one.sh(
        "cat /opt/venv/lib/python3.11/site-packages/apache_airflow-*/direct*"
    )
    assert ": passed " in verified(project, "prod-3.11", *options)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of sources as Airflow's repository has it, of what Airflow publishes."""
    root = tmp_path_factory.mktemp("tree") / "airflow"
    places = {"apache_airflow-": root, "apache_airflow_core-": root / "airflow-core"}
    places["apache_airflow_task_sdk-"] = root / "task-sdk"
    packed = download(tmp_path_factory.mktemp("sdists"), "--no-binary", ":all:")
    for name, place in places.items():
        (file,) = [one for one in packed if one.name.startswith(name)]
        place.mkdir(parents=True)
        unpack = ("/bin/tar", "-xzf", str(file), "-C", str(place), "--strip-components=1")
        subprocess.run(unpack, check=True)
    return root


@pytest.mark.nightly
def test_an_image_from_a_source_tree_holds_what_it_says(few: Suite, tree: Path) -> None:
    options = ("--tag", "tree", "--airflow-from", str(tree))
    made(few, "--python", "3.11", *options)
    assert ": passed " in verified(few, "prod-3.11", *options)


@pytest.mark.nightly
def test_an_image_from_a_git_reference_holds_what_it_says(
    few: Suite, tree: Path, tmp_path: Path
) -> None:
    source = tree / "airflow-core/src/airflow/__init__.py"
    version = source.read_text()
    repository = tmp_path / "airflow.git"
    git = (GIT, "-C", str(tree), "-c", "user.name=x", "-c", "user.email=x@example.com")
    subprocess.run((GIT, "init", "--quiet", str(tree)), check=True)
    subprocess.run((*git, "add", "--all", "--force"), check=True)
    subprocess.run((*git, "commit", "--quiet", "--message", "x"), check=True)
    subprocess.run((*git, "tag", "try"), check=True)
    subprocess.run((GIT, "clone", "--quiet", "--bare", str(tree), str(repository)), check=True)
    source.write_text(f"{version}\nraise RuntimeError\n")  # the reference counts, not the tree
    address = f"git+file://{repository}"
    options = ("--tag", "git", "--airflow-from", f"{address}@try")
    made(few, "--python", "3.11", *options)
    assert ": passed " in verified(few, "prod-3.11", *options)
    done = few.invoke(*BUILD, "--airflow-from", f"{address}@nothing")
    assert done.returncode == 2
    assert "has no 'nothing'" in last(done.stderr)


@pytest.mark.nightly
def test_the_entrypoint_makes_tables_and_users_and_installs_for_a_try(
    project: Suite, engine: EmbeddedEngine
) -> None:
    """What the compose file and the Helm chart of Airflow ask of the image."""
    one = made(project, "--python", "3.11", "--tag", "fab")
    fab = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
    variables = {
        "_AIRFLOW_DB_MIGRATE": "true",
        "_AIRFLOW_WWW_USER_CREATE": "true",
        "_AIRFLOW_WWW_USER_USERNAME": "somebody",
        "_AIRFLOW_WWW_USER_PASSWORD_CMD": "echo known only to the tests",
        "AIRFLOW__CORE__AUTH_MANAGER": fab,
        "_PIP_ADDITIONAL_REQUIREMENTS": "tinydb",
    }
    options = [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    if engine.ca_bundle:  # what the machine trusts, pip in the container has to
        options += ["--volume", f"{engine.ca_bundle}:/ca.pem:ro", "--env", "PIP_CERT=/ca.pem"]
    said = one.sh("airflow users list --output plain; python -c 'import tinydb'", *options)
    assert re.search(
        r"^ *\d+ +somebody +airflowadmin@example.com +Airflow +Admin", said, re.MULTILINE
    )
    logged = subprocess.run(
        [*project.docker, "run", "--rm", *options, one.name, "bash", "-c", "true"],
        env=dict(project.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING: installing tinydb at every start" in logged.stderr
    assert "known only to the tests" not in logged.stderr + logged.stdout
