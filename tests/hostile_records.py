"""Records of any text, and of a text that is meant to break a document."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from build_tasks.history.record import BuildRecord, CacheUse, Step, StepKind

#: What is meant to break a form, in one text.
EVIL = (
    "</script><script>alert(1)</script> --> ]]> & \" ' <b>| `x` ```` \x1b[31mred\x1b[0m \x00\x08 "
    "{{ 7 * 7 }} [link](x) @someone #1 \ud800 \ufffe"
)


def evil() -> BuildRecord:
    """Return a record with that text wherever a text can stand."""
    step = Step("d", EVIL, StepKind.STEP, EVIL, EVIL, 2, 3, log=(EVIL, EVIL), error=EVIL)
    step = replace(step, started=True, intervals=((1.0, 5.0), (6.0, 7.0)))
    return BuildRecord(
        *(
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            9.0,
            "failed",
            EVIL,
            EVIL,
            EVIL,
            EVIL,
            (EVIL,),
            EVIL,
            (EVIL,),
            EVIL,
        ),
        output=EVIL,
        builder=EVIL,
        command=EVIL,
        base=(EVIL, EVIL),
        steps=(step,),
        imports=(CacheUse(EVIL, EVIL),),
        export=CacheUse(EVIL, EVIL),
        warnings=(EVIL,),
    )


TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
ANY = st.builds(
    BuildRecord,
    identity=TEXT,
    began=TEXT | st.just("2026-11-24T02:17:04+00:00"),
    seconds=st.floats(min_value=0, max_value=1e6),
    outcome=st.sampled_from(["built", "failed", "cancelled", "skipped"]),
    failure=TEXT,
    message=TEXT,
    kind=TEXT,
    platforms=st.lists(TEXT, max_size=2).map(tuple),
    digest=TEXT,
    steps=st.lists(
        st.builds(
            Step,
            digest=TEXT,
            name=TEXT,
            kind=st.sampled_from(StepKind),
            stage=TEXT,
            number=st.integers(0, 20),
            started=st.booleans(),
            cached=st.booleans(),
            error=TEXT,
            log=st.lists(TEXT, max_size=3).map(tuple),
            intervals=st.lists(
                st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)).map(
                    lambda two: (min(two), max(two))
                ),
                max_size=3,
            ).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    imports=st.lists(st.builds(CacheUse, reference=TEXT, error=TEXT), max_size=2).map(tuple),
)
