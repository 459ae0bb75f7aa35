"""Edits of a small project, and what each of them changes for BuildKit.

What is said here was measured: `tests/engine/test_edits.py` makes each edit on the real engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DOCKERFILE = """\
# syntax of nothing
ARG BASE_IMAGE
ARG OUTER=o
FROM scratch AS files
COPY files/ /files/

FROM ${BASE_IMAGE} AS tools
ARG SALT
RUN echo tools > /tools
RUN echo more > /more

FROM ${BASE_IMAGE} AS unused
RUN echo unused > /unused

FROM ${BASE_IMAGE} AS main
ARG SALT
ARG WORD=one
ARG FLAG=yes
# a comment
RUN echo ${WORD} \\
    # within
    && echo two > /two
ENV LEVEL=1 MODE=fast
USER root
RUN <<EOF
echo heredoc > /h
# in the heredoc
EOF
WORKDIR /opt/app
USER 1000
COPY data/a.txt /a.txt
COPY data/b.txt /b.txt
RUN --mount=type=bind,source=constraints/one.txt,target=/c \\
    --mount=type=cache,id=one,target=/var/x,uid=1000 \\
    cat /c > /tmp/versions
COPY --link --chmod=755 --from=tools /tools /tools
COPY --from=files /files/ /files/
COPY <<EOF /note
note ${WORD}
EOF
LABEL one=1 two=2
EXPOSE 80
CMD ["sh", "-c", "true"]
ENTRYPOINT ["/usr/bin/env"]
ARG BUILD_ID=""
ARG COMMIT_SHA=""
ENV BUILD_ID=${BUILD_ID} COMMIT_SHA=${COMMIT_SHA}
"""
IGNORED = """\
*
!constraints
!data
!files
**/*.pyc
"""
FILES = {
    "constraints/one.txt": "1\n",
    "constraints/two.txt": "2\n",
    "data/a.txt": "a\n",
    "data/b.txt": "b\n",
    "data/c.txt": "c\n",
    "files/list.txt": "l\n",
    "other/x": "x\n",
    ".dockerignore": IGNORED,
}
_BIND = "--mount=type=bind,source=constraints/one.txt,target=/c"
_CACHE = "--mount=type=cache,id=one,target=/var/x,uid=1000"
#: The base image and the salt are the test's own.
ARGUMENTS = {"WORD": "one", "COMMIT_SHA": "abc"}


@dataclass(frozen=True)
class Edit:
    """An edit and what comes of it.

    Args:
        name: what it is called.
        replaced: texts of the Dockerfile, and what takes their places.
        files: files that are written; None removes one.
        executable: the files become executable.
        arguments: the build's arguments that differ.
        changes: a step runs again, or the image is another one.
        why: the kinds of the reasons why steps run again; empty if none does.
        unseen: it changes nothing, which only BuildKit can know: the check may say otherwise.
    """

    name: str
    replaced: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str | None] = field(default_factory=dict)
    executable: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    changes: bool = False
    why: tuple[str, ...] = ()
    unseen: bool = False

    def dockerfile(self) -> str:
        """Return the Dockerfile after the edit."""
        text = DOCKERFILE
        for before, now in self.replaced:
            assert before in text, before
            text = text.replace(before, now, 1)
        return text


EDITS = (
    Edit("comment", (("# a comment", "# another"),)),
    Edit("comment-removed", (("# a comment\n", ""),)),
    Edit("comment-within", (("    # within\n", "    # inside\n"),)),
    Edit("comment-trailing-added", (("EXPOSE 80", "# x\n\n\nEXPOSE 80"),)),
    Edit("syntax-comment", (("# syntax of nothing\n", ""),)),
    Edit("check-directive", (("# syntax of nothing", "# check=skip=all"),)),
    Edit("escape-directive", (("# syntax of nothing", "# escape=\\"),)),
    Edit("blank-lines", (("\nFROM ${BASE_IMAGE} AS main", "\n\n\nFROM ${BASE_IMAGE} AS main"),)),
    Edit("trailing-space", (("USER 1000", "USER 1000   "),)),
    Edit("indent", (("USER 1000", "   USER 1000"),)),
    Edit("lower-case", (("USER 1000", "user 1000"),)),
    Edit("lower-case-run", (("RUN echo tools", "run echo tools"),)),
    Edit("lower-as", (("AS tools", "as tools"),)),
    Edit("copy-spaces", (("COPY data/a.txt /a.txt", "COPY data/a.txt    /a.txt"),)),
    Edit("copy-tab", (("COPY data/a.txt /a.txt", "COPY\tdata/a.txt\t/a.txt"),)),
    Edit("copy-continued", (("COPY data/a.txt /a.txt", "COPY data/a.txt \\\n   /a.txt"),)),
    Edit("copy-json", (("COPY data/a.txt /a.txt", 'COPY ["data/a.txt", "/a.txt"]'),)),
    Edit("copy-dot", (("COPY data/a.txt /a.txt", "COPY ./data/a.txt /a.txt"),)),
    Edit(
        "copy-flags-order",
        (("--link --chmod=755 --from=tools", "--from=tools --chmod=755 --link"),),
    ),
    Edit("copy-chmod-0755", (("--chmod=755", "--chmod=0755"),)),
    Edit("copy-quotes", (("COPY data/a.txt /a.txt", 'COPY "data/a.txt" "/a.txt"'),)),
    Edit("run-leading-spaces", (("RUN echo tools", "RUN     echo tools"),)),
    Edit(
        "run-inner-spaces",
        (("echo tools > /tools", "echo  tools > /tools"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "run-reindent",
        (("    && echo two", "        && echo two"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "run-joined",
        (
            (
                "RUN echo ${WORD} \\\n    # within\n    && echo two",
                "RUN echo ${WORD}     && echo two",
            ),
        ),
    ),
    Edit(
        "run-heredoc-comment",
        (("# in the heredoc", "# in a heredoc"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "run-heredoc-name",
        (
            (
                "RUN <<EOF\necho heredoc > /h\n# in the heredoc\nEOF",
                "RUN <<END\necho heredoc > /h\n# in the heredoc\nEND",
            ),
        ),
    ),
    Edit(
        "run-json",
        (("RUN echo more > /more", 'RUN ["/bin/sh", "-c", "echo more > /more"]'),),
        unseen=True,
    ),
    Edit(
        "mount-order",
        (
            (
                f"{_BIND} \\\n    {_CACHE}",
                f"{_CACHE} \\\n    {_BIND}",
            ),
        ),
    ),
    Edit(
        "mount-option-order",
        (("type=cache,id=one,target=/var/x", "target=/var/x,type=cache,id=one"),),
    ),
    Edit(
        "mount-src", (("source=constraints/one.txt,target=/c", "src=constraints/one.txt,dst=/c"),)
    ),
    Edit("mount-cache-id", (("id=one", "id=two"),)),
    Edit(
        "mount-cache-new",
        (
            (
                "--mount=type=cache,id=one",
                "--mount=type=cache,id=n,target=/var/y --mount=type=cache,id=one",
            ),
        ),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "mount-secret-new",
        (
            (
                "--mount=type=cache,id=one",
                "--mount=type=secret,id=s,required=false --mount=type=cache,id=one",
            ),
        ),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "network-none",
        (("RUN echo tools", "RUN --network=none echo tools"),),
        changes=True,
        why=("instruction",),
    ),
    Edit("env-spaces", (("ENV LEVEL=1 MODE=fast", "ENV LEVEL=1    MODE=fast"),)),
    Edit("env-quoted", (("ENV LEVEL=1", 'ENV LEVEL="1"'),)),
    Edit("env-reflowed", (("ENV LEVEL=1 MODE=fast", "ENV LEVEL=1 \\\n    MODE=fast"),)),
    Edit("env-split", (("ENV LEVEL=1 MODE=fast", "ENV LEVEL=1\nENV MODE=fast"),)),
    Edit(
        "env-swapped",
        (("ENV LEVEL=1 MODE=fast", "ENV MODE=fast LEVEL=1"),),
        changes=True,
        why=("order",),
    ),
    Edit("env-value", (("LEVEL=1", "LEVEL=2"),), changes=True, why=("environment",)),
    Edit("env-added", (("MODE=fast", "MODE=fast MORE=1"),), changes=True, why=("environment",)),
    Edit("env-removed", ((" MODE=fast", ""),), changes=True, why=("environment",)),
    Edit("env-old-form", (("ENV LEVEL=1 MODE=fast", "ENV LEVEL 1\nENV MODE fast"),)),
    Edit(
        "env-moved-down",
        (
            ("ENV LEVEL=1 MODE=fast\n", ""),
            ("EXPOSE 80", "ENV LEVEL=1 MODE=fast\nEXPOSE 80"),
        ),
        changes=True,
        why=("environment",),
    ),
    Edit("arg-default-overridden", (("ARG WORD=one", "ARG WORD=two"),)),
    Edit("arg-default-used", (("ARG FLAG=yes", "ARG FLAG=no"),), changes=True, why=("argument",)),
    Edit(
        "arg-swapped",
        (("ARG WORD=one\nARG FLAG=yes", "ARG FLAG=yes\nARG WORD=one"),),
        changes=True,
        why=("order",),
    ),
    Edit(
        "arg-swapped-late",
        (('ARG BUILD_ID=""\nARG COMMIT_SHA=""', 'ARG COMMIT_SHA=""\nARG BUILD_ID=""'),),
    ),
    Edit("arg-outer-swapped", (("ARG BASE_IMAGE\nARG OUTER=o", "ARG OUTER=o\nARG BASE_IMAGE"),)),
    Edit("arg-outer-value", (("ARG OUTER=o", "ARG OUTER=p"),)),
    Edit("arg-joined", (("ARG WORD=one\nARG FLAG=yes", "ARG WORD=one FLAG=yes"),)),
    Edit("arg-new-unset", (("ARG FLAG=yes", "ARG FLAG=yes\nARG NEVER"),)),
    Edit(
        "arg-new-empty",
        (("ARG FLAG=yes", 'ARG FLAG=yes\nARG EMPTY=""'),),
        changes=True,
        why=("argument",),
    ),
    Edit("arg-new-late", (("ARG BUILD_ID", "ARG LATER=1\nARG BUILD_ID"),)),
    Edit("arg-removed", (("ARG FLAG=yes\n", ""),), changes=True, why=("argument",)),
    Edit(
        "arg-moved-below-run",
        (
            ("ARG FLAG=yes\n", ""),
            ("USER root", "ARG FLAG=yes\nUSER root"),
        ),
        changes=True,
        why=("argument",),
    ),
    Edit("arg-quoted", (("ARG FLAG=yes", 'ARG FLAG="yes"'),)),
    Edit("arg-given", arguments={"WORD": "three"}, changes=True, why=("argument",)),
    Edit("arg-given-commit", arguments={"COMMIT_SHA": "def"}),
    Edit("arg-given-build", arguments={"BUILD_ID": "12"}),
    Edit("arg-given-undeclared", arguments={"NOBODY": "1"}),
    Edit(
        "user-above-workdir",
        (("WORKDIR /opt/app\nUSER 1000", "USER 1000\nWORKDIR /opt/app"),),
        changes=True,
        why=("instruction",),
    ),
    Edit("user-value", (("USER 1000", "USER 1001"),), changes=True, why=("instruction",)),
    Edit("user-group", (("USER 1000", "USER 1000:0"),), changes=True, why=("instruction",)),
    Edit(
        "user-moved-over-copy",
        (("USER 1000\nCOPY data/a.txt /a.txt", "COPY data/a.txt /a.txt\nUSER 1000"),),
    ),
    Edit("user-first-changed", (("USER root", "USER 0"),), changes=True, why=("instruction",)),
    Edit(
        "workdir-value",
        (("WORKDIR /opt/app", "WORKDIR /opt/other"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "workdir-slash",
        (("WORKDIR /opt/app", "WORKDIR /opt/app/"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "workdir-twice",
        (("WORKDIR /opt/app", "WORKDIR /opt\nWORKDIR app"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "shell",
        (("USER root", 'SHELL ["/bin/bash", "-c"]\nUSER root'),),
        changes=True,
        why=("instruction",),
    ),
    Edit("shell-at-end", (("EXPOSE 80", 'SHELL ["/bin/bash", "-c"]\nEXPOSE 80'),), changes=True),
    Edit(
        "copies-swapped",
        (
            (
                "COPY data/a.txt /a.txt\nCOPY data/b.txt /b.txt",
                "COPY data/b.txt /b.txt\nCOPY data/a.txt /a.txt",
            ),
        ),
        changes=True,
        why=("moved",),
    ),
    Edit(
        "runs-swapped",
        (
            (
                "RUN echo tools > /tools\nRUN echo more > /more",
                "RUN echo more > /more\nRUN echo tools > /tools",
            ),
        ),
        changes=True,
        why=("moved",),
    ),
    Edit("copy-removed", (("COPY data/a.txt /a.txt\n", ""),), changes=True, why=("gone",)),
    Edit(
        "run-removed",
        (("RUN echo tools > /tools\nRUN echo more > /more", "RUN echo tools > /tools"),),
        unseen=True,
    ),
    Edit(
        "run-removed-first",
        (
            ("RUN echo tools > /tools\nRUN echo more > /more", "RUN echo more > /more"),
            (
                "COPY --link --chmod=755 --from=tools /tools /tools",
                "COPY --link --chmod=755 --from=tools /more /tools",
            ),
        ),
        changes=True,
        why=("instruction",),
    ),
    Edit("run-added", (("USER 1000", "RUN echo added\nUSER 1000"),), changes=True, why=("new",)),
    Edit(
        "run-added-last", (("EXPOSE 80", "RUN echo last\nEXPOSE 80"),), changes=True, why=("new",)
    ),
    Edit(
        "run-duplicated",
        (("RUN echo more > /more", "RUN echo more > /more\nRUN echo more > /more"),),
        changes=True,
        why=("new",),
    ),
    Edit("unused-stage-edit", (("echo unused", "echo still unused"),)),
    Edit(
        "unused-stage-removed", (("FROM ${BASE_IMAGE} AS unused\nRUN echo unused > /unused\n", ""),)
    ),
    Edit(
        "unused-stage-added",
        (
            (
                "FROM ${BASE_IMAGE} AS main",
                "FROM scratch AS extra\nCOPY data /\n\nFROM ${BASE_IMAGE} AS main",
            ),
        ),
    ),
    Edit("unread-step-of-a-stage", (("RUN echo more > /more\n", ""),), unseen=True),
    Edit(
        "stage-renamed",
        (
            ("AS tools", "AS toolbox"),
            ("--from=tools", "--from=toolbox"),
        ),
    ),
    Edit("stage-renamed-main", (("AS main", "AS final"),)),
    Edit(
        "stages-swapped",
        (
            ("FROM scratch AS files\nCOPY files/ /files/\n\n", ""),
            (
                "FROM ${BASE_IMAGE} AS unused",
                "FROM scratch AS files\nCOPY files/ /files/\n\nFROM ${BASE_IMAGE} AS unused",
            ),
        ),
    ),
    Edit("from-index", (("--from=tools", "--from=1"),)),
    Edit(
        "from-platform",
        (("FROM ${BASE_IMAGE} AS tools", "FROM --platform=linux/amd64 ${BASE_IMAGE} AS tools"),),
        unseen=True,
    ),
    Edit("from-plain-var", (("FROM ${BASE_IMAGE} AS tools", "FROM $BASE_IMAGE AS tools"),)),
    Edit("label-value", (("one=1", "one=2"),), changes=True),
    Edit("label-order", (("one=1 two=2", "two=2 one=1"),)),
    Edit("label-split", (("LABEL one=1 two=2", "LABEL one=1\nLABEL two=2"),)),
    Edit("label-added", (("two=2", "two=2 three=3"),), changes=True),
    Edit("expose-tcp", (("EXPOSE 80", "EXPOSE 80/tcp"),)),
    Edit("expose-value", (("EXPOSE 80", "EXPOSE 81"),), changes=True),
    Edit("cmd-spaces", (('CMD ["sh", "-c", "true"]', 'CMD [ "sh","-c","true" ]'),)),
    Edit("cmd-value", (('"true"', '"false"'),), changes=True),
    Edit(
        "cmd-entrypoint-swapped",
        (
            (
                'CMD ["sh", "-c", "true"]\nENTRYPOINT ["/usr/bin/env"]',
                'ENTRYPOINT ["/usr/bin/env"]\nCMD ["sh", "-c", "true"]',
            ),
        ),
    ),
    Edit(
        "cmd-replaced-above",
        (('CMD ["sh", "-c", "true"]', 'CMD ["nothing"]\nCMD ["sh", "-c", "true"]'),),
    ),
    Edit("healthcheck", (("EXPOSE 80", "HEALTHCHECK CMD true\nEXPOSE 80"),), changes=True),
    Edit("stopsignal", (("EXPOSE 80", "STOPSIGNAL SIGINT\nEXPOSE 80"),), changes=True),
    Edit("volume", (("EXPOSE 80", "VOLUME /v\nEXPOSE 80"),), changes=True),
    Edit("volume-json", (("EXPOSE 80", 'VOLUME ["/v"]\nEXPOSE 80'),), changes=True),
    Edit("onbuild", (("EXPOSE 80", "ONBUILD RUN true\nEXPOSE 80"),), changes=True),
    Edit(
        "heredoc-copy-content",
        (("note ${WORD}", "nota ${WORD}"),),
        changes=True,
        why=("instruction",),
    ),
    Edit("heredoc-copy-brace", (("note ${WORD}", "note $WORD"),)),
    Edit("heredoc-copy-literal", (("note ${WORD}", "note one"),), unseen=True),
    Edit(
        "heredoc-copy-dest",
        (("/note", "/notes"),),
        changes=True,
        why=("instruction",),
    ),
    Edit(
        "file-read",
        files={"data/a.txt": "edited\n"},
        changes=True,
        why=("content",),
    ),
    Edit(
        "file-mode",
        files={"data/a.txt": "a\n"},
        executable=True,
        changes=True,
        why=("mode",),
    ),
    Edit("file-not-read", files={"data/c.txt": "edited\n"}),
    Edit("file-new-not-read", files={"data/d.txt": "new\n"}),
    Edit(
        "file-new-in-folder",
        files={"files/new.txt": "new\n"},
        changes=True,
        why=("content",),
    ),
    Edit(
        "file-gone-in-folder",
        files={"files/other.txt": "o\n", "files/list.txt": None},
        changes=True,
        why=("content",),
    ),
    Edit(
        "file-constraint",
        files={"constraints/one.txt": "11\n"},
        changes=True,
        why=("content",),
    ),
    Edit("file-constraint-other", files={"constraints/two.txt": "22\n"}),
    Edit("file-ignored", files={"data/x.pyc": "x"}),
    Edit("file-outside", files={"other/x": "y"}),
    Edit(
        "ignore-comment",
        files={".dockerignore": "# hello\n*\n!constraints\n!data\n!files\n**/*.pyc\n"},
    ),
    Edit("ignore-reordered", files={".dockerignore": "*\n!files\n!data\n!constraints\n**/*.pyc\n"}),
    Edit(
        "ignore-unread",
        files={".dockerignore": "*\n!constraints\n!data\n!files\n**/*.pyc\ndata/c.txt\n"},
    ),
    Edit(
        "ignore-lets-in-unread",
        files={".dockerignore": "*\n!constraints\n!data\n!files\n**/*.pyc\n!other\n"},
    ),
    Edit("ignore-slash", files={".dockerignore": "*\n!constraints\n!/data/\n!files\n**/*.pyc\n"}),
)
