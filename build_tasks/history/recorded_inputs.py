"""Keep the inputs of an image in the record of its build, and read them from there."""

from __future__ import annotations

from dataclasses import replace

from build_tasks.history.record import BuildRecord
from build_tasks.inputs import dockerfile
from build_tasks.inputs.fingerprint import BASE_ARGUMENT, Inputs, gather
from build_tasks.text.redaction import redact


def recorded(record: BuildRecord) -> Inputs:
    """Return the inputs of the image that a record is of."""
    instructions = [dockerfile.read(kept) for kept in record.instructions]
    return gather(instructions, record.arguments, record.files)


def noted(record: BuildRecord, now: Inputs) -> BuildRecord:
    """Return a record with the inputs of its build, redacted, to be compared with later ones."""
    arguments = {**now.arguments, **({BASE_ARGUMENT: now.base} if now.base else {})}
    return replace(
        record,
        arguments={name: redact(text) for name, text in arguments.items()},
        base=(now.base, record.base[1]),
        files=dict(now.files),
        instructions=tuple(redact(str(one)) for one in now.instructions),
        fingerprint=now.fingerprint,
    )
