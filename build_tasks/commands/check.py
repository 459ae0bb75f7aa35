"""Whether images are current, and why their builds were not cached."""

from __future__ import annotations

import json

from build_tasks import console
from build_tasks.commands.build import whole_matrix
from build_tasks.commands.output import say
from build_tasks.config.options import Options
from build_tasks.errors import RegistryError, StaleError, UsageError
from build_tasks.history.record import BuildRecord


def check_image(options: Options) -> None:
    """Say whether images are what a build would make now, and if not, what changed; build none."""
    from build_tasks.check import up_to_date  # noqa: PLC0415 - start-up time

    if options.flag("local") and options.flag("remote"):
        raise UsageError("--local --remote: choose one of them, or leave out both")
    verdicts = up_to_date.check(
        whole_matrix(options), options.settings(), find_record=_remember, announce=say
    )
    if options.flag("json"):
        console.answer(json.dumps([one.data for one in verdicts], indent=2))
    else:
        for one in verdicts:
            console.answer("\n".join(one.lines))
    if options.flag("fail"):
        stale = [one.identity for one in verdicts if one.stale]
        if stale:
            raise StaleError(f"out of date: {', '.join(stale)}")
        unknown = [one.identity for one in verdicts if not one.current]
        if unknown:
            raise RegistryError(f"nobody knows whether these are current: {', '.join(unknown)}")


def explain_image(options: Options) -> None:
    """Say why the last build, or the one that is named, ran steps that a build before had made."""
    from build_tasks.history import journal  # noqa: PLC0415 - start-up time
    from build_tasks.history.explain import explain, explanation  # noqa: PLC0415 - start-up time

    records = journal.find(options.text("to") or journal.LAST, say)
    given = options.text("from")
    earlier = {one.identity: one for one in journal.find(given, say)} if given else {}
    missing = [one.identity for one in records if given and one.identity not in earlier]
    if missing:
        raise UsageError(f"--from {given}: has no build of {', '.join(missing)}")
    found = [
        explain(earlier.get(one.identity) or journal.previous(one, say), one) for one in records
    ]
    if options.flag("json"):
        console.answer(json.dumps([one.data for one in found], indent=2))
        return
    for one in found:
        for line in explanation.lines(one):
            console.answer(line)
    if not any(one.ran for one in found):
        say("nothing missed the cache")


def _remember(identity: str, fingerprint: str) -> BuildRecord | None:
    from build_tasks.history import journal  # noqa: PLC0415 - start-up time

    kept = journal.by_identity(identity, say)
    return next((one for one in kept if one.fingerprint == fingerprint), None)
