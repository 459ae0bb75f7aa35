"""The image is for its platform, and so is what lies in it."""

from __future__ import annotations

from build_tasks.verify import inventory
from build_tasks.verify.inventory import MACHINES, File
from build_tasks.verify.plugin import expect
from build_tasks.verify.target import Target


def test_the_manifest_is_for_the_platform(target: Target) -> None:
    said = target.image.platform
    expect(said == target.platform.value, f"the image says {said}, not {target.platform}")


def test_the_payload_is_for_the_platform(target: Target, files: list[File]) -> None:
    """An image may say arm64 and be full of amd64: BuildKit believes its base."""
    wanted = MACHINES[target.platform]
    programs = [file for file in files if file.machine is not None and _runs(file.path)]
    expect(programs, "there is no program in the image")
    other = [file.path for file in programs if file.machine != wanted]
    names = {number: platform.value for platform, number in MACHINES.items()}
    has = ", ".join(sorted({names.get(n, f"e_machine {n}") for n in inventory.machines(programs)}))
    expect(
        not other,
        f"{len(other)} of {len(programs)} programs and libraries are not for {target.platform} "
        f"but {has}: {', '.join(other[:3])}",
    )


def _runs(path: str) -> bool:
    """Whether the system or Python itself runs this; packages may carry aids for other machines."""
    system = ("bin/", "sbin/", "lib/", "lib64/", "usr/bin/", "usr/sbin/", "usr/lib/", "usr/local/")
    return path.startswith(system) or (path.startswith("opt/") and ".cpython-" in path)
