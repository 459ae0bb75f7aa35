"""The image and the programs in it are for its platform."""

from __future__ import annotations

from build_tasks.verify.inventory import MACHINES, File
from build_tasks.verify.plugin import FOREIGN, expect
from build_tasks.verify.target import Target

pytestmark = FOREIGN


def test_the_manifest_is_for_the_platform(target: Target) -> None:
    platform, expected = target.image.platform, target.build.platform
    expect(platform == expected, f"the image says {platform}, not {expected}")


def test_the_payload_is_for_the_platform(target: Target, files: list[File]) -> None:
    """An image for arm64 may contain programs for amd64: BuildKit trusts the base image."""
    platform = target.build.platform
    programs = [file for file in files if file.machine is not None and _runs(file.path)]
    expect(programs, "the image contains no program")
    other = [file.path for file in programs if file.machine != MACHINES[platform]]
    names = {number: name.value for name, number in MACHINES.items()}
    machines = {names.get(file.machine or 0, f"e_machine {file.machine}") for file in programs}
    expect(
        not other,
        f"{len(other)} of {len(programs)} programs and libraries are not for {platform} "
        f"but {', '.join(sorted(machines))}: {', '.join(other[:3])}",
    )


def _runs(path: str) -> bool:
    """Return whether the system or Python runs a file, unlike tools in packages."""
    system = ("bin/", "sbin/", "lib/", "lib64/", "usr/bin/", "usr/sbin/", "usr/lib/", "usr/local/")
    return path.startswith(system) or (path.startswith("opt/") and ".cpython-" in path)
