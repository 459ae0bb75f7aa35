"""What goes into the images, whatever their platform: Airflow, its versions, and the files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from build_tasks import paths
from build_tasks.config import loading
from build_tasks.config.project import SHIPPED, Project
from build_tasks.config.settings import Settings
from build_tasks.constraints import (
    baseline,
    conflicts,
    constraint_files,
    indexes,
    requirement_files,
)
from build_tasks.constraints.conflicts import Constraints
from build_tasks.constraints.constraint_files import normalize
from build_tasks.constraints.indexes import Indexes
from build_tasks.constraints.workspace import Workspace
from build_tasks.errors import UsageError
from build_tasks.inputs import apt_sources, context
from build_tasks.inputs.apt_sources import AptSettings
from build_tasks.inputs.context import Allowed, Prepared
from build_tasks.inputs.fingerprint import BASE_ARGUMENT
from build_tasks.model import own_image
from build_tasks.model.aliases import Pairs
from build_tasks.model.build import APT, INDEX, INDEX_CREDENTIALS, Secret
from build_tasks.model.labels import Revision
from build_tasks.model.matrix import ImageKind
from build_tasks.plan import (
    airflow_source,
    airflow_tree,
    arguments,
    dockerfiles,
    own_dockerfile,
    own_images,
    revision,
)
from build_tasks.plan.airflow_source import CHECKOUT, Installation
from build_tasks.plan.dockerfiles import Dockerfile
from build_tasks.plan.own_images import LowerImage
from build_tasks.plan.selection import Image
from build_tasks.process import Announce
from build_tasks.text import hints

#: The variable of buildx with the credentials of package indexes.
VARIABLE = "AIRFLOW_INDEX_CREDENTIALS"
#: What to do about a package that the constraints exclude.
_ANOTHER_VERSION = "require another version"


@dataclass(frozen=True)
class ImageContent:
    """What goes into an image on every platform; only the base image comes from the host.

    Args:
        image: the image.
        dockerfile: its Dockerfile.
        root: the folder of the main build context, before it is prepared.
        airflow: its release of Airflow; empty if another Dockerfile installs none.
        arguments: the build arguments, without the base image.
        contexts: the files of the build contexts by name; the main one has the empty name.
        secrets: what steps are told of package indexes.
        revision: the commit and the run.
        base: the image of the same project that it stands on; None if that comes from upstream.
        own_base: the base image that the Dockerfile itself names, where no argument does.
        needs_base: whether an argument names the base image of upstream.
    """

    image: Image
    dockerfile: Dockerfile
    root: Path
    airflow: str
    arguments: Pairs
    contexts: Mapping[str, Prepared]
    secrets: tuple[Secret, ...]
    revision: Revision
    base: Image | None = None
    own_base: str = ""
    needs_base: bool = True


def collect(
    images: Iterable[Image], settings: Settings, build_id: str, announce: Announce, *, dry: bool
) -> list[ImageContent]:
    """Return the content of images; sources and constraints are fetched where necessary.

    An empty `build_id` stands for that of the CI run. In a dry run, no keyring is asked.

    Raises:
        ImagesError: something that goes into an image is unusable or cannot be fetched.
    """
    packages = indexes.find(settings, ask=not dry)
    secrets = (*apt_secrets(settings), *_secrets(packages))
    all_images = [*images]
    own = [image for image in all_images if image.name]
    of_airflow = [image for image in all_images if not image.name]
    files_of = {kind: dockerfiles.of_kind(settings, kind) for kind in {i.kind for i in all_images}}
    installing = [i for i in of_airflow if files_of[i.kind].installs_airflow(settings, i.kind)]
    from_checkout = settings.ci_checkout and ImageKind.CI in {i.kind for i in installing}
    checkout = airflow_tree.read(settings, announce) if from_checkout else None
    installations = {i: _installation(i, settings, checkout, announce) for i in installing}
    commit = revision.current(settings.project.root, announce, build_id=build_id)
    _warn_ignored(settings, [image.kind for image in installations], announce)
    _check_requirements(settings, installations, own, announce)
    folders = _Folders(settings, announce)
    apt = apt_context(settings)
    shared = {**apt, **({"wheelhouse": packages.folder} if packages.folder else {})}
    prepared = airflow_tree.prepare(checkout, settings, announce) if checkout else {}
    contents = []
    for image in of_airflow:
        installation = installations.get(image)
        if image in installations:
            airflow = installation.version if installation else settings.airflow_for(image.python)
            first = baseline.select(settings, image.python, image.kind, announce)
            pairs = arguments.arguments(image.python, settings, installation, commit)
            pairs = (("AIRFLOW_BASELINE", first), *pairs)
            named = _named_contexts(image, settings, installation, shared)
        else:
            airflow, named = "", shared
            pairs = arguments.of_other(image.python, settings, image.kind, commit)
        given = _Given(airflow, pairs, named, secrets, commit)
        content = _of_airflow(image, files_of[image.kind], given, folders)
        if installation and installation.method == CHECKOUT:
            content = replace(content, contexts={**content.contexts, **prepared})
        contents.append(content)
    return [*contents, *_own(own, contents, settings, shared, folders)]


class _Given(NamedTuple):
    """What an image gets, as far as its Dockerfile asks for it; see `ImageContent`."""

    airflow: str
    arguments: Pairs
    contexts: Mapping[str, Path]
    secrets: tuple[Secret, ...]
    revision: Revision


def _of_airflow(image: Image, file: Dockerfile, given: _Given, folders: _Folders) -> ImageContent:
    """Return the content of one of Airflow's images, or of what is in the place of one."""
    settings = folders.settings
    root = dockerfiles.context_of(settings, image.kind)
    shipped = dict(_shipped(settings.project)) if root == settings.project.root else {}
    pairs = file.gets(given.arguments)  # a stage may declare fewer than the whole Dockerfile
    named, own_base, needs_base = given.contexts, "", True
    if dockerfiles.is_other(settings, image.kind):
        named = {name: folder for name, folder in named.items() if file.reads(name)}
        shipped.pop(".dockerignore", None)  # which names what Airflow's own Dockerfiles read
        own_base, needs_base = file.base(dict(pairs)), BASE_ARGUMENT in file.arguments
    return ImageContent(
        image=image,
        dockerfile=file,
        root=root,
        airflow=given.airflow,
        arguments=pairs,
        contexts=folders.prepare(file, root, named, shipped),
        secrets=given.secrets,
        revision=given.revision,
        own_base=own_base,
        needs_base=needs_base,
    )


class _Folders:
    """Prepare the folders of build contexts, each once for all Pythons."""

    def __init__(self, settings: Settings, announce: Announce) -> None:
        self.settings = settings
        self._announce = announce
        self._prepared: dict[tuple[str, Path, tuple[tuple[str, Path], ...]], Prepared] = {}

    def prepare(
        self,
        file: Dockerfile,
        root: Path,
        named: Mapping[str, Path],
        shipped: Mapping[str, Path],
    ) -> dict[str, Prepared]:
        """Return the build contexts of a Dockerfile by name; the main one has the empty name.

        The main one also has the files of `shipped`, by path.
        """
        if file.ignore_file:
            shipped = {**shipped, ".dockerignore": file.ignore_file}
        folders = {"": root, **dict(sorted(named.items()))}
        return {
            name: self._prepare(name, folder, {} if name else shipped)
            for name, folder in folders.items()
        }

    def _prepare(self, name: str, folder: Path, shipped: Mapping[str, Path]) -> Prepared:
        key = (name, folder, tuple(shipped.items()))
        if key not in self._prepared:
            settings = self.settings
            # All wheels enter: they are there to be installed.
            everything = name in {"wheels", "wheelhouse"}
            # An own image with files that git does not know would be no build of the commit.
            tracked = name in own_dockerfile.FOLDERS
            patterns = settings.context_untracked, settings.context_ignored
            allowed = Allowed(*patterns, everything, tracked)
            self._prepared[key] = context.prepare(folder, allowed, self._announce, shipped)
        return self._prepared[key]


def _named_contexts(
    image: Image,
    settings: Settings,
    installation: Installation | None,
    shared: Mapping[str, Path],
) -> dict[str, Path]:
    """Return the folders of the named build contexts of an image with a release of Airflow."""
    named = {**shared, **(installation.contexts if installation else {})}
    if lists := requirement_files.read(settings, image.python).files:
        texts = {name: text.encode() for name, text in lists.items()}
        named[requirement_files.CONTEXT] = paths.keep(requirement_files.CONTEXT, texts)
    return named


def _own(
    images: Iterable[Image],
    contents: Iterable[ImageContent],
    settings: Settings,
    shared: Mapping[str, Path],
    folders: _Folders,
) -> list[ImageContent]:
    """Return the content of own images, which follow the images that they stand on."""
    by_name = {(content.image.title, content.image.python): content for content in contents}
    result = []
    for image in images:
        base = by_name[settings.images[image.name].base, image.python]
        chain = own_image.chain(settings.images, image.name)[1:]
        contents_below = [by_name[name, image.python] for name in chain]
        below = [LowerImage(c.image.title, c.dockerfile, c.arguments) for c in contents_below]
        own = own_images.content(image, settings, base.revision, shared, below)
        contexts = folders.prepare(own.dockerfile, own.root, own.contexts, {})
        table = settings.images[image.name]
        for key in own_dockerfile.FOLDERS:
            if key in contexts and not contexts[key].files:
                raise UsageError(
                    f"{table.origins[key]}: nothing of {getattr(table, key)} enters the build: git "
                    "tracks none of its files, or a .dockerignore excludes them"
                )
        content = replace(
            base,
            image=image,
            base=base.image,
            own_base="",
            needs_base=False,
            dockerfile=own.dockerfile,
            root=own.root,
            arguments=own.arguments,
            contexts=contexts,
        )
        by_name[image.name, image.python] = content
        result.append(content)
    return result


def _installation(
    image: Image, settings: Settings, checkout: Workspace | None, announce: Announce
) -> Installation | None:
    """Return how Airflow gets into an image, None for the release in a CI image."""
    if image.kind is ImageKind.PROD:
        return airflow_source.find(settings, image.python, announce)
    return airflow_tree.find(checkout, settings, image.python, announce) if checkout else None


def _secrets(packages: Indexes) -> tuple[Secret, ...]:
    """Return what steps are told of package indexes; credentials are in buildx's memory alone."""
    secrets = []
    if variables := packages.step_variables():
        folder = paths.keep("indexes", {"index.sh": variables.encode()})
        secrets.append(Secret(INDEX, folder / "index.sh"))
    if credentials := packages.netrc():
        secrets.append(Secret(INDEX_CREDENTIALS, variable=VARIABLE, value=credentials))
    return tuple(secrets)


def apt_context(settings: Settings) -> dict[str, Path]:
    """Return the folder with further sources of Debian packages, by the name of its context."""
    folder = apt_sources.folder(_apt_settings(settings))
    return {apt_sources.CONTEXT: folder} if folder else {}


def apt_secrets(settings: Settings) -> tuple[Secret, ...]:
    """Return the script that sets the sources of Debian packages, as a secret."""
    script = apt_sources.script(_apt_settings(settings))
    return (Secret(APT, script),) if script else ()


def _apt_settings(settings: Settings) -> AptSettings:
    if settings.apt_security_mirror and not settings.apt_mirror:
        raise UsageError(f"{settings.origins['apt.security-mirror']}: needs apt.mirror, too")
    return AptSettings(
        settings.apt_mirror,
        settings.apt_security_mirror,
        tuple(settings.path("apt.sources", name) for name in settings.apt_sources),
        settings.apt_environment,
        settings.origins["apt.sources"],
    )


def _shipped(project: Project) -> Mapping[str, Path]:
    """Return the package's files that enter a build because the project has none, by path."""
    if project.root.resolve() == SHIPPED:
        return {}
    files = {path: project.path(path) for path in (".dockerignore", *context.entering(SHIPPED))}
    return {path: file for path, file in files.items() if file == SHIPPED / path}


def _warn_ignored(settings: Settings, kinds: Iterable[ImageKind], announce: Announce) -> None:
    """Warn of settings for the PROD image, if a CI image is built, too."""
    for key, default in (("airflow.from", "release"), ("constraints.location", "")):
        origin = settings.origins[key]
        differs = getattr(settings, key.replace(".", "_")) != default
        if differs and not origin.startswith("--") and ImageKind.CI in kinds:
            other = " (ci.from is for that one)" if key == "airflow.from" else ""
            announce(f"warning: {origin}: does not count for the CI image, only for PROD{other}")


def _check_requirements(
    settings: Settings,
    installations: Mapping[Image, Installation | None],
    on_top: Iterable[Image],
    announce: Announce,
) -> None:
    """Check the additional packages against the constraints; warn of versions that none pins.

    Packages of own images have to satisfy the constraints, and need no pin.

    Raises:
        UsageError: a file of requirements is unusable.
        DependencyError: a requirement excludes a version that the constraints pin.
    """
    origin, warnings = settings.origins["dependencies.python"], dict[tuple[str, ...], str]()
    if origin == loading.REQUIREMENTS:
        announce(f"{origin}: its packages are installed ([dependencies] python = [] for none)")
    for image, install in installations.items():
        file = (
            install.constraints
            if install
            else constraint_files.path(settings.project, image.python)
        )
        own = settings.constraints_location if image.kind is ImageKind.PROD else ""
        name = own or constraint_files.place(file)
        added, lines = requirement_files.read(settings, image.python), constraint_files.lines(file)
        local = install.local if install else ()
        constraints = Constraints(
            name,
            [line for line in lines if normalize(line.partition("==")[0]) not in local],
            install.version if install else settings.airflow_for(image.python),
            _ANOTHER_VERSION + ("" if own else f", or run: {hints.constraints(image.python)}"),
        )
        conflicts.check(added.requirements, constraints, image.python)
        for upper in on_top:
            if (upper.kind, upper.python) == (image.kind, image.python):
                table = settings.images[upper.name]
                of_upper = requirement_files.own_requirements(settings, table, upper.python)
                # Constraints are made without what images on top add.
                as_made = replace(constraints, remedy=_ANOTHER_VERSION)
                conflicts.check(of_upper.requirements, as_made, upper.python)
        tests = settings.ci_test_packages if image.kind is ImageKind.CI else ()
        wanted = (*(text for _, text in added.requirements), *tests)
        limits = (text for _, text in added.limits)
        packages = conflicts.unpinned(wanted, (*lines, *limits), image.python)
        if packages:
            warnings.setdefault((name, *packages), image.python)
    for (name, *packages), python in warnings.items():
        announce(
            f"warning: {', '.join(packages)}: {name} has no version, so the newest is installed: "
            "pin it (NAME==VERSION), or have it in dependencies.python and run: "
            f"{hints.constraints(python)}"
        )
