"""The page in a real browser, on a phone and on a desktop."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tauscope.report.comparison import comparison_page

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--enable-logging=stderr", "--virtual-time-budget=3000",
)  # fmt: skip
WIDTHS = (390, 1280)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")

# A page of the width of a phone is only to be had in a frame: no window is narrower than 500 px.
LOOK = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(one => one.open = true);
  const width = document.documentElement.clientWidth, pictures = [...document.images];
  const wide = one => !one.closest(".scroll") && one.getBoundingClientRect().right > width + 0.5;
  parent.postMessage({
    width, needed: document.documentElement.scrollWidth, pictures: pictures.length,
    drawn: pictures.filter(one => one.naturalWidth > 0 && one.clientWidth > 100 && one.clientWidth <= width).length,
    wide: [...document.querySelectorAll("body *")].filter(wide).map(one => one.outerHTML.slice(0, 80)),
    boxes: [...document.querySelectorAll(".scroll")].filter(one => getComputedStyle(one).overflowX != "auto").length,
    small: [...document.querySelectorAll("p, td, th, dd, figcaption, a")]
      .filter(one => parseFloat(getComputedStyle(one).fontSize) < 14).length,
  }, "*");
});
</script></body>"""
FRAMES = """<!doctype html><title></title><script>
const seen = {};
addEventListener("message", event => {
  seen[event.data.width] = event.data;
  document.title = JSON.stringify(seen);
});
</script>"""


def look(page: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what a page looks like at each width, and what the browser's console says."""
    (folder / "page.html").write_text(page.replace("</body>", LOOK))
    frames = "".join(
        f'<iframe src="page.html" width="{width}" height="800" style="border:0"></iframe>' for width in WIDTHS
    )
    (folder / "frames.html").write_text(FRAMES + frames)
    options = [*FLAGS, "--window-size=2000,900", f"--user-data-dir={folder / 'user'}", "--dump-dom"]
    command = [str(CHROMIUM), *options, (folder / "frames.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.+?)</title>", done.stdout)
    assert title, f"the page did not answer: {done.stderr[-2000:]}"
    return json.loads(html.unescape(title[1])), re.findall(r"CONSOLE.*", done.stderr)


@pytest.mark.parametrize(("kind", "least"), [("run", 16), ("trials", 17), ("reproduction", 1), ("comparison", 5)])
def test_the_page_is_whole_and_fits(kind, least, request, tmp_path):
    if kind == "run":
        page = request.getfixturevalue("full_page")
    elif kind == "trials":
        page = request.getfixturevalue("trials_page")
    elif kind == "reproduction":
        page = (request.getfixturevalue("tiny_reproduction") / "results" / "index.html").read_text()
    else:
        page = comparison_page(request.getfixturevalue("several_runs"))
    seen, console = look(page, tmp_path)
    assert console == []
    assert list(map(int, seen)) == list(WIDTHS)
    for width, one in seen.items():
        assert one["pictures"] == page.count("<img ") >= least
        assert one["drawn"] == one["pictures"]
        assert one["needed"] <= int(width)
        assert one["wide"] == []
        assert one["boxes"] == one["small"] == 0


def test_the_look_notices_what_is_wrong(tmp_path):
    broken = (
        "<!doctype html><html><body><img src='data:image/png;base64,AAAA' width=200><p style='font-size:9px'>small</p>"
        "<div style='width:3000px'>wide</div><script>console.error('wrong')</script></body></html>"
    )
    seen, console = look(broken, tmp_path)
    assert "wrong" in console[0]
    for width, one in seen.items():
        assert one["drawn"] < one["pictures"]
        assert one["needed"] > int(width)
        assert one["wide"]
        assert one["small"] == 1
