"""Which caches the builds of a run read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from build_tasks.config.settings import ROOT, Settings
from build_tasks.errors import UsageError
from build_tasks.model import cache, matrix
from build_tasks.model.build import Output
from build_tasks.model.cache import CacheImports, CachePlan, CachePolicy
from build_tasks.model.cache_backends import BackendType
from build_tasks.model.matrix import Build, ImageKind, Names, Platform
from build_tasks.plan import revision
from build_tasks.plan.selection import Image
from build_tasks.plan.trust import CIRun


def resolve(
    settings: Settings, run: CIRun, *, write: bool, announce: Callable[[str], None]
) -> CachePolicy:
    """Return what the builds of a run may read and write.

    A build reads the caches of its own branch, of the branch that it will be merged into, and of
    the main branch, in this order. It writes that of its own branch alone. An untrusted run reads
    what trusted runs wrote, and writes nothing. Without any branch, from settings, CI or git, no
    cache is written.

    Args:
        settings: the effective settings.
        run: what the CI system says of the run.
        write: the cache is to be written.
        announce: takes the reason why a cache is not written.
    """
    main = settings.branch
    base = settings.cache_base or run.base
    own = settings.cache_branch or run.branch
    write = write and run.trusted
    if write and not own and not run.no_cache:
        own = revision.branch(ROOT)
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
    """Return the caches of one build."""
    placeholders = {
        "identity": build.identity,
        "kind": build.kind.value,
        "python": build.python,
        "architecture": build.platform.architecture,
        "branch": matrix.path_safe(policy.write or names.branch),
    }
    return cache.plan(policy, lambda branch: names.for_branch(branch).cache(build), placeholders)


def check_export(
    policy: CachePolicy, settings: Settings, images: Iterable[Image], output: Output
) -> None:
    """Raise UsageError if a configured cache cannot be written, or two builds would write it.

    Args:
        policy: what the run may write.
        settings: the effective settings.
        images: the images of the run.
        output: the output of the build of each platform.
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
    for kind, python in images:
        # Without platforms there is one, the engine's own, which is not known yet.
        for platform in settings.platforms or (Platform.AMD64,):
            slim = kind is ImageKind.PROD and settings.prod_slim
            build = Build(kind, python, platform, slim=slim)
            name = build.identity if settings.platforms else build.image_identity
            export = plan(policy, Names("", "", settings.branch), build).export
            other = writers.setdefault(str(export), name)
            if other != name:
                raise UsageError(
                    f"{place}: {other} and {name} would write the same cache: put {{identity}} "
                    "into it"
                )
