"""Which images the builds of a run may take instead of making the same again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from build_tasks.config.settings import Settings
from build_tasks.model.build import Candidate, ImageOutput, Output, ReusePlan
from build_tasks.model.cache import CacheMode
from build_tasks.model.matrix import Build, Names
from build_tasks.plan import cache_policy
from build_tasks.plan.trust import CIRun
from build_tasks.process import Announce


def resolve(
    settings: Settings, run: CIRun, requested: ImageOutput, platforms: int, announce: Announce
) -> tuple[str, ...]:
    """Return the branches whose images the builds of a run may take, in order.

    As for caches, these are the branch that the run's own branch will be merged into, and the main
    branch; what trusted runs pushed there does not depend on whether this run is trusted.

    Args:
        settings: the settings.
        run: what is known of the run.
        requested: what happens to the image.
        platforms: the number of platforms.
        announce: is told why nothing is reused although the settings say so.
    """
    base, main = settings.cache_base or run.base, settings.branch
    branches = {"none": (), "main": (main,), "all": (base, main)}[settings.reuse_from]
    if not branches:
        return ()
    reason = ""
    if settings.cache_mode is CacheMode.DISABLED:
        reason = "--cache-mode disabled makes every step run"
    elif requested.sbom:
        reason = "--sbom: an image that is taken gets none"
    elif requested.kind is Output.LOAD and platforms > 1:
        reason = "several platforms are loaded from the builder's cache"
    elif requested.kind not in {Output.LOAD, Output.PUSH}:
        reason = "only --load and --push can take an image"
    if reason:
        announce(f"no image is reused: {reason}")
        return ()
    return tuple(dict.fromkeys(filter(None, branches)))


def plan(
    branches: Iterable[str], settings: Settings, names: Names, build: Build, own: Iterable[str]
) -> ReusePlan:
    """Return the images that one build may take: its `own` ones by tag, and those of branches."""
    candidates = [Candidate(reference) for reference in own]
    for branch in branches:
        of_branch = replace(names, branch=branch)
        reference = f"{of_branch.image(build)}:{build.tag}"
        candidates.append(Candidate(reference, cache_policy.written(settings, of_branch, build)))
    return ReusePlan(tuple(candidates), float(settings.reuse_deadline))
