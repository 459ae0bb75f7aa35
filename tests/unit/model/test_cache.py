from __future__ import annotations

from build_tasks.model import cache_backends
from build_tasks.model.cache import CachePlan


def test_left_out_import_keeps_its_reason() -> None:
    one, two = cache_backends.registry("r/a:1"), cache_backends.registry("r/b:2")
    left = CachePlan((one, two), two).without({"r/b:2": "gone"}).without({"r/a:1": "silent"})
    assert left == CachePlan((), two, left_out=(("r/b:2", "gone"), ("r/a:1", "silent")))
