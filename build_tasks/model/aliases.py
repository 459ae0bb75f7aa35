"""Type aliases: names for the shapes of plain data."""

from __future__ import annotations

from collections.abc import Mapping

#: Names and values, in order.
Pairs = tuple[tuple[str, str], ...]
#: Hashes of files as `MODE SHA`, by path; files of a named context as `CONTEXT:PATH`.
FileHashes = Mapping[str, str]
