"""Which caches the builds of a run read and write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model import cache_backends, matrix
from build_tasks.model.build import Output
from build_tasks.model.cache import CacheImports, CacheMode, CachePlan, Compression
from build_tasks.model.cache_backends import Backend, BackendType
from build_tasks.model.matrix import Build, Names, Platform
from build_tasks.plan import revision
from build_tasks.plan.selection import Image
from build_tasks.plan.trust import CIRun
from build_tasks.process import Announce


@dataclass(frozen=True)
class CachePolicy:
    """What all builds of one run may read and write.

    Args:
        read: branches whose caches are read, in order.
        write: the branch whose cache is written; empty for none.
        sources: caches to read instead of those of the branches.
        target: the cache to write instead of that of the branch.
    """

    mode: CacheMode = CacheMode.REGISTRY
    read: tuple[str, ...] = ()
    write: str = ""
    sources: tuple[Backend, ...] = ()
    target: Backend | None = None
    compression: Compression = Compression.ZSTD


def resolve(settings: Settings, run: CIRun, *, write: bool, announce: Announce) -> CachePolicy:
    """Return what the builds of a run may read and write.

    A build reads the caches of its own branch, of the branch that it will be merged into, and of
    the main branch, in this order. It writes that of its own branch alone. An untrusted run reads
    what trusted runs wrote, and writes nothing. Without any branch, from settings, CI or git, no
    cache is written: this is announced.
    """
    main = settings.branch
    base = settings.cache_base or run.base
    own = settings.cache_branch or run.branch
    write = write and run.trusted
    if write and not own and not run.no_cache:
        own = revision.branch(settings.project.root)
    has_fixed_target = settings.cache_to is not None and "{branch}" not in settings.cache_to.value
    if write and not own and not has_fixed_target:
        reason = run.no_cache or "no branch is checked out"
        announce(f"caches are not written: {reason}: name a branch with --cache-branch")
        write = False
    read = {
        CacheImports.ALL: (own, base, main) if run.trusted else (base, main),
        CacheImports.MAIN: (main,),
        CacheImports.NONE: (),
    }[settings.cache_imports]
    return CachePolicy(
        mode=settings.cache_mode,
        read=tuple(dict.fromkeys(filter(None, read))),
        write=(own or main) if write else "",
        sources=settings.cache_from if run.trusted and read else (),
        target=settings.cache_to,
        compression=settings.output_compression,
    )


def plan(policy: CachePolicy, names: Names, build: Build) -> CachePlan:
    """Return the caches of one build.

    A build always reads its caches: BuildKit fetches only the layers that it needs.
    """
    placeholders = {
        "identity": build.identity,
        "kind": build.image_name,
        "python": build.python,
        "architecture": build.platform.architecture,
        "branch": matrix.path_safe(policy.write or names.branch),
    }

    def of_branch(branch: str) -> Backend:
        return cache_backends.registry(replace(names, branch=branch).cache(build))

    imports: list[Backend] = []
    if policy.mode is CacheMode.REGISTRY:
        imports = [source.for_build(placeholders) for source in policy.sources]
        imports = imports or [of_branch(branch) for branch in policy.read]
    export = None
    if policy.write:
        target = policy.target or of_branch(policy.write)
        export = target.for_build(placeholders).for_export(policy.compression.attributes)
    enabled = policy.mode is not CacheMode.DISABLED
    return CachePlan(tuple(dict.fromkeys(imports)), export, enabled=enabled)


def written(settings: Settings, names: Names, build: Build) -> str:
    """Return the registry reference that trusted builds of a branch write their cache to.

    Empty if the cache is in no registry. The branch is that of the names.
    """
    policy = CachePolicy(write=names.branch, target=settings.cache_to)
    export = plan(policy, names, build).export
    return export.reference if export and export.type is BackendType.REGISTRY else ""


def check_export(
    policy: CachePolicy, settings: Settings, images: Iterable[Image], output: Output
) -> None:
    """Raise UsageError if a configured cache cannot be written, or two builds would write it.

    `output` is that of the build of each platform.
    """
    if not policy.write or policy.target is None:
        return
    place = settings.origins["cache.to"]
    if policy.target.type is BackendType.INLINE:
        if output is Output.NONE:
            raise UsageError(
                f"{place}: type=inline: the cache is part of the image, and this keeps no image: "
                "add it to a build with --push, or choose another type"
            )
        return
    writers: dict[str, str] = {}
    for image in images:
        # Without platforms there is one, the engine's own, which is not known yet.
        for platform in settings.platforms or (Platform.AMD64,):
            build = image.build(platform)
            name = build.identity if settings.platforms else build.image_identity
            export = plan(policy, Names("", "", settings.branch), build).export
            other = writers.setdefault(str(export), name)
            if other != name:
                raise UsageError(
                    f"{place}: {other} and {name} would write the same cache: put {{identity}} "
                    "into it"
                )
