"""Check whether images are up to date, and explain why builds ran steps."""

from __future__ import annotations

from build_tasks.check import up_to_date
from build_tasks.commands.build import whole_matrix
from build_tasks.commands.output import show_json
from build_tasks.config.options import Options
from build_tasks.console import answer, message
from build_tasks.errors import RegistryError, StaleError, UsageError
from build_tasks.history import journal
from build_tasks.history.explain import explain, explanation
from build_tasks.history.record import BuildRecord


def check_image(options: Options) -> None:
    """Check whether images are up to date, and print what changed; build nothing."""
    if options.flag("local") and options.flag("remote"):
        raise UsageError("--local --remote: give at most one of them")
    verdicts = up_to_date.check(
        whole_matrix(options), options.settings(), find_record=recorded, announce=message
    )
    if options.flag("json"):
        show_json([verdict.data for verdict in verdicts])
    else:
        for verdict in verdicts:
            answer("\n".join(verdict.lines))
    if options.flag("fail"):
        stale = [verdict.identity for verdict in verdicts if verdict.stale]
        if stale:
            raise StaleError(f"out of date: {', '.join(stale)}")
        unknown = [verdict.identity for verdict in verdicts if not verdict.current]
        if unknown:
            raise RegistryError(f"cannot tell whether up to date: {', '.join(unknown)}")


def explain_image(options: Options) -> None:
    """Explain why a build, by default the last one, ran steps that an earlier build had run."""
    records = journal.find(options.text("record") or journal.LAST, message)
    base = options.text("from")
    earlier = {record.identity: record for record in journal.find(base, message)} if base else {}
    missing = [record.identity for record in records if base and record.identity not in earlier]
    if missing:
        raise UsageError(f"--from {base}: has no build of {', '.join(missing)}")
    explanations = [
        explain(earlier.get(record.identity) or journal.previous(record, message), record)
        for record in records
    ]
    if options.flag("json"):
        show_json([item.data for item in explanations])
        return
    for item in explanations:
        for line in (
            *(f"{item.identity}: {text}" for text in item.reuse),
            *explanation.lines(item),
        ):
            answer(line)
    if not any(item.ran or (item.reuse and not item.steps) for item in explanations):
        message("all steps were cached")


def recorded(identity: str, fingerprint: str) -> BuildRecord | None:
    """Return the record of the build that had these inputs, None if there is none."""
    records = journal.by_identity(identity, message)
    return next((record for record in records if record.fingerprint == fingerprint), None)
