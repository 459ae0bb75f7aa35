"""What the builds of a run may read and write of caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from build_tasks.config.settings import Settings
from build_tasks.errors import UsageError
from build_tasks.model import cache, matrix
from build_tasks.model.cache import CacheImports, CachePlan, CachePolicy
from build_tasks.model.cache_backends import Backend, BackendType
from build_tasks.model.matrix import Build, Names
from build_tasks.plan import revision, trust
from build_tasks.plan.trust import CIRun


def judge(settings: Settings) -> CIRun:
    """Return what is known of this run: of the CI system's variables, and of the settings."""
    return trust.judge(os.environ, trusted=settings.trusted, place=settings.origins["trusted"])


def settle(
    settings: Settings,
    run: CIRun,
    *,
    writes: bool,
    checkout: Path,
    announce: Callable[[str], None],
) -> CachePolicy:
    """Return what the builds of a run may read and write.

    A build reads the references of its own branch, of the branch that this one is for, and of the
    main line, in this order, and writes that of its own branch alone. A run that is not trusted
    reads what trusted runs wrote, and writes nothing. Where neither a person, the CI system nor git
    names a branch, no cache is written: that of the main line would be somebody else's.

    Args:
        settings: the effective settings.
        run: what is known of the run.
        writes: the cache is to be written.
        checkout: the folder whose branch counts where neither settings nor CI name one.
        announce: is told why a cache is not written.
    """
    main = settings.branch
    base = settings.cache_base or run.base
    own = settings.cache_branch or run.branch
    writes = writes and run.trusted
    if writes and not own and not run.no_cache:
        # A person at work on a branch must not write over the cache of the one it comes from.
        own = revision.branch(checkout)
    elsewhere = settings.cache_to is not None and "{branch}" not in settings.cache_to.value
    if writes and not own and not elsewhere:
        reason = run.no_cache or "no branch is checked out"
        announce(f"caches are not written: {reason}: name a branch with --cache-branch")
        writes = False
    read = {
        CacheImports.ALL: (own, base, main) if run.trusted else (base, main),
        CacheImports.MAIN: (main,),
        CacheImports.NONE: (),
    }[settings.cache_imports]
    return CachePolicy(
        mode=settings.cache_mode,
        read=tuple(dict.fromkeys(filter(None, read))),
        write=(own or main) if writes else "",
        sources=settings.cache_from if run.trusted and read else (),
        target=settings.cache_to,
        compression=settings.output_compression,
    )


def plan(policy: CachePolicy, names: Names, build: Build) -> CachePlan:
    """Return which caches one build reads, and which one it writes.

    Args:
        policy: what the run may read and write.
        names: where images and caches live.
        build: the build.
    """
    words = {
        "identity": build.identity,
        "kind": build.kind.value,
        "python": build.python,
        "architecture": build.platform.architecture,
        "branch": matrix.path_safe(policy.write or names.branch),
    }
    return cache.plan(policy, lambda branch: names.for_branch(branch).cache(build), words)


def refuse_inline(exports: Iterable[Backend | None], place: str) -> None:
    """Raise UsageError if a cache would be part of an image that is not kept.

    Args:
        exports: the place that each build writes to.
        place: where that was set.
    """
    if any(target and target.type is BackendType.INLINE for target in exports):
        raise UsageError(
            f"{place}: type=inline: the cache is part of the image, and this keeps no image: "
            "add it to a build with --push, or choose another type"
        )


def refuse_clobbering(exports: Iterable[tuple[str, Backend | None]], place: str) -> None:
    """Raise UsageError if two builds would write one cache: the last would win.

    Args:
        exports: the identity of each build, and the place that it writes to.
        place: where that was set.
    """
    writers: dict[str, str] = {}
    for identity, target in exports:
        if target is None or target.type is BackendType.INLINE:
            continue
        other = writers.setdefault(target.value, identity)
        if other != identity:
            raise UsageError(
                f"{place}: {other} and {identity} would write the same cache: "
                "put {identity} into it"
            )
