"""The page of a run, in a real browser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import records
from chromium import Page

from build_tasks.history.record import BuildRecord, Step, StepKind
from build_tasks.report import page as page_report

RUN = records.run()
SHOWN = "[...document.querySelectorAll('.build')].filter((one) => one.checkVisibility())"
NAMES = f"{SHOWN}.map((one) => one.dataset.name)"
TIP = "document.getElementById('tip').checkVisibility() && document.getElementById('tip').innerText"


def opened(page: Page, folder: Path, some: list[BuildRecord], **size: Any) -> Page:
    file = folder / "report.html"
    file.write_text(page_report.html(some), encoding="utf-8")
    page.open(file.as_uri(), **size)
    return page


def choose(page: Page, name: str, value: str) -> list[str]:
    page.ask(f"document.querySelector('[name={name}][value=\"{value}\"]').click()")
    names: list[str] = page.ask(NAMES)
    return names


def wide(page: Page) -> list[float]:
    """Return the width of each build's timeline that its marks take, in parts of the whole."""
    found: list[float] = page.ask(
        f"""{SHOWN}.map((one) => {{
            const lane = one.querySelector('.lane').getBoundingClientRect();
            const marks = [...one.querySelectorAll('.mark')].map((m) => m.getBoundingClientRect());
            const ends = Math.max(...marks.map((m) => m.right));
            return (ends - Math.min(...marks.map((m) => m.left))) / lane.width;
        }})"""
    )
    return found


def test_a_run_opens_without_console_messages_or_requests(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    assert page.ask(NAMES) == [one.identity for one in RUN]
    assert page.ask("document.querySelector('.count').value") == "24 of 24"
    assert page.said == []
    assert page.asked == [(tmp_path / "report.html").as_uri()]
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_filters_select_builds(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    assert len(choose(page, "kind", "prod")) == 12
    assert choose(page, "python", "3.9") == ["prod-3.9-amd64", "prod-3.9-arm64"]
    assert len(choose(page, "python", "3.14")) == 4
    assert choose(page, "platform", "linux/arm64") == ["prod-3.9-arm64", "prod-3.14-arm64"]
    assert page.ask("document.querySelector('.count').value") == "2 of 24"
    assert choose(page, "outcome", "failed") == []
    assert page.ask("document.querySelector('.none').checkVisibility()")
    page.ask("document.querySelector('[type=reset]').click()")
    assert len(page.ask(f"new Promise((done) => setTimeout(() => done({NAMES}), 50))")) == 24
    page.ask("document.querySelector('[name=q]').focus()")
    page.call("Input.insertText", text="3.13-AMD")
    assert page.ask(NAMES) == ["ci-3.13-amd64", "prod-3.13-amd64"]
    assert page.said == []


def test_a_link_restores_the_view(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    choose(page, "python", "3.11")
    choose(page, "align", "full")
    page.ask("document.querySelector('[name=sort]').value = 'took'")
    there = choose(page, "kind", "ci")
    address = page.ask("location.href")
    page.open("about:blank")
    page.open(address)
    assert page.ask(NAMES) == there == ["ci-3.11-arm64", "ci-3.11-amd64"]
    assert page.ask("document.body.dataset.align") == "full"
    page.open("about:blank")
    page.open(f"{address.partition('#')[0]}#sort=nonsense&kind=x&y=[]")
    assert len(page.ask(NAMES)) == 24
    assert page.said == []


def test_the_timeline_has_three_scales(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    slowest = max(one.seconds for one in RUN)
    whole = 886.0
    for part, one in zip(wide(page), RUN, strict=True):
        assert part == pytest.approx(one.seconds / whole, abs=0.01)
    choose(page, "align", "zero")
    for part, one in zip(wide(page), RUN, strict=True):
        assert part == pytest.approx(one.seconds / slowest, abs=0.01)
    choose(page, "align", "full")
    assert min(wide(page)) > 0.95
    assert max(wide(page)) <= 1.001


def test_the_keyboard_reaches_every_step(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    focused = "document.activeElement.getAttribute('aria-label')"
    page.ask("document.querySelector('[data-name=\"ci-3.11-amd64\"] .name').focus()")
    page.key("Tab")
    assert page.ask(focused).startswith(
        "[main 6/10] install the baseline of Python packages\nran 1 min 6 s, at "
    )
    assert page.ask(TIP) == page.ask(focused)
    page.key("ArrowRight")
    assert page.ask(focused).startswith("[main 7/10] ")
    assert page.ask(TIP) == page.ask(focused)
    page.key("ArrowDown")
    assert page.ask("document.activeElement.closest('.build').dataset.name") == "ci-3.11-arm64"
    page.key("Escape")
    assert page.ask(TIP) is False
    page.key("Tab")
    assert page.ask("document.activeElement.className") == "name"


def test_hovering_shows_a_tooltip(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN, height=1400)
    at = page.ask(
        "(({x, y, width, height}) => ({x: x + width / 2, y: y + height / 2}))"
        "(document.querySelector('.mark.failed').getBoundingClientRect())"
    )
    page.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
    assert page.ask(TIP).splitlines()[2] == "exit code: 1"
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    assert page.ask(TIP) is False


def test_a_build_opens_with_its_log(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    details = "document.querySelector('.build.failed .details')"
    assert page.ask(f"{details}.checkVisibility()") is False
    page.ask("document.querySelector('.build.failed .name').focus()")
    page.key("Enter")
    assert page.ask(f"{details}.checkVisibility()") is True
    assert page.ask("document.activeElement.ariaExpanded") == "true"
    assert page.ask(f"{details}.querySelector('pre').innerText").splitlines() == [
        *records.FAILED_LOG
    ]
    page.key("Enter")
    assert page.ask(f"{details}.checkVisibility()") is False


def test_markup_in_a_log_is_text(page: Page, tmp_path: Path) -> None:
    evil = (
        "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title=1\">"
    )
    step = Step("d", evil, StepKind.STEP, evil, "", 2, 3, log=(evil,), error=evil, started=True)
    step = replace(step, intervals=((0.0, 2.0),))
    record = BuildRecord(evil, evil, seconds=3.0, outcome="failed", message=evil, steps=(step,))
    opened(page, tmp_path, [record, record])
    page.ask("document.querySelectorAll('.build .name').forEach((one) => one.click())")
    assert page.ask("document.title").endswith("builds")
    assert page.ask("document.querySelector('pre').innerText") == evil
    assert page.ask("document.images.length") == 0
    assert page.said == []
    # Were a text not escaped, the page's policy would still not let it run.
    page.ask(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'owned = 1'}))"
    )
    assert page.ask("typeof owned") == "undefined"
    assert "Content Security Policy" in page.said[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(page: Page, tmp_path: Path, scheme: str) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 between a text and what it stands on (1.4.3)."""
    page.media(prefers_color_scheme=scheme)
    opened(page, tmp_path, RUN)
    page.ask("document.querySelector('.build.failed .name').click()")
    poor = page.ask(
        """(() => {
            const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
            const pen = canvas.getContext('2d', {willReadFrequently: true});
            const light = (layers) => {
                pen.clearRect(0, 0, 1, 1);
                for (const layer of layers) { pen.fillStyle = layer; pen.fillRect(0, 0, 1, 1); }
                const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
                    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const poor = [];
            const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (texts.nextNode()) {
                const own = texts.currentNode.parentElement;
                if (!texts.currentNode.data.trim() || !own.checkVisibility()) continue;
                const layers = [];
                for (let at = own; at; at = at.parentElement)
                    layers.unshift(getComputedStyle(at).backgroundColor);
                const under = light(layers);
                const over = light([...layers, getComputedStyle(own).color]);
                const ratio = (Math.max(under, over) + 0.05) / (Math.min(under, over) + 0.05);
                if (ratio < 4.5) poor.push([texts.currentNode.data, own.className, ratio]);
            }
            return poor;
        })()"""
    )
    assert poor == []


def test_every_control_has_a_name(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "checkbox", "radio", "searchbox", "combobox", "link", "image"}
    found = [one for one in nodes if one.get("role", {}).get("value") in controls]
    assert len(found) > 24 * 15
    assert [one for one in found if not one["name"].get("value")] == []


def test_the_page_fits_a_small_screen(page: Page, tmp_path: Path) -> None:
    opened(page, tmp_path, RUN, width=380, height=800)
    assert page.ask("document.documentElement.scrollWidth") <= 380
    assert page.ask("document.querySelector('.lane').getBoundingClientRect().width") > 300


def test_the_page_is_readable_without_scripts(page: Page, tmp_path: Path) -> None:
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    opened(page, tmp_path, RUN)
    assert page.ask("document.querySelectorAll('.build').length") == 24
    assert page.ask("document.querySelector('.tools').checkVisibility()") is False
    assert wide(page)[-5] == pytest.approx(RUN[-5].seconds / 886, abs=0.01)
