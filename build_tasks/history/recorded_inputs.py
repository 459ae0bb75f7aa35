"""Store the inputs of a build in its record, and read them from it."""

from __future__ import annotations

from dataclasses import replace

from build_tasks.history.record import BuildRecord
from build_tasks.inputs import dockerfile
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, Inputs, gather
from build_tasks.text.redaction import redact


def recorded(record: BuildRecord) -> Inputs:
    """Return the inputs of a recorded build."""
    instructions = [dockerfile.read(kept) for kept in record.instructions]
    return gather(instructions, record.arguments, record.files)


def noted(record: BuildRecord, now: Inputs) -> BuildRecord:
    """Add the inputs of a build to its record, redacted."""
    arguments = {**now.arguments, **({BASE_ARGUMENT: now.base} if now.base else {})}
    return replace(
        record,
        arguments={name: redact(text) for name, text in arguments.items()},
        base=(now.base, record.base[1]),
        files=dict(now.files),
        instructions=tuple(redact(str(line)) for line in now.instructions),
        fingerprint=now.fingerprint,
    )
