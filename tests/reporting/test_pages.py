"""Pages in a real browser: no error, no request, tables that sort, drawings that open; run where
Chromium is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import flowtuple as ft
import jets_made

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--force-prefers-reduced-motion",
]
PROBE = """
<script>
addEventListener("load", () => {
  const first = () => document.querySelector("table.columns tbody tr").cells[0].textContent;
  const names = [...document.querySelectorAll("table.columns")[0].tBodies[0].rows].map(row => row.cells[0].textContent);
  const button = document.querySelector("table.columns thead button");
  button.click(); const up = first(); button.click(); const down = first();
  const field = document.querySelector("input[type=search]");
  field.value = up; field.dispatchEvent(new Event("input"));
  const shown = [...document.querySelectorAll("table.columns")[0].tBodies[0].rows].filter(row => !row.hidden).length;
  const drawing = document.querySelector("button.zoom"), stage = document.getElementById("stage");
  if (drawing) drawing.click();
  const opened = stage.open, wide = stage.querySelector("img").getBoundingClientRect().width;
  stage.dispatchEvent(new WheelEvent("wheel", { deltaY: -400, cancelable: true }));
  const wider = stage.querySelector("img").getBoundingClientRect().width;
  stage.querySelector("button").click();
  const out = document.createElement("pre");
  out.id = "probe";
  const drawings = document.querySelectorAll("img.plot").length;
  out.textContent = JSON.stringify({ rows: names.length, up, down, shown, drawings, opened,
    closed: !stage.open, wide, wider, overflow: document.documentElement.scrollWidth - innerWidth });
  document.body.append(out);
});
</script>
"""


def starts(command: str) -> bool:
    """Whether this is a browser, and no script that says how to install one."""
    done = subprocess.run(
        [command, "--version"], capture_output=True, text=True, timeout=600, check=False
    )
    return done.returncode == 0 and bool(re.search(r"\d+\.\d+", done.stdout))


@cache
def chromium() -> str:
    """The first one that starts."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None and starts(found):
            return found
    pytest.skip("Chromium is not installed")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind."""
    chromium()
    folder, draw = tmp_path_factory.mktemp("pages"), np.random.default_rng(0)
    x = draw.normal(50, 10, 600).astype(np.float32)
    events = {
        "first_long_name_of_a_column": x,
        "y": (x * 2 + draw.normal(0, 1, 600)).astype(np.float32),
        "z": x.astype(np.int32),
    }
    other = {
        name: np.roll(values, 300) + np.float32(1).astype(values.dtype)
        for name, values in events.items()
    }
    np.savez(folder / "events.npz", **events)
    ft.compress(
        folder / "events.npz",
        folder / "e.ftup",
        tolerance={"*": "rel:1e-2"},
        effort="fast",
    )
    ft.report(folder / "events.npz", folder / "e.ftup", folder / "report")
    ft.compare(
        events,
        other,
        folder / "compare",
        tests=["ks", "c2st-trees"],
        options=ft.ComparisonOptions(permutations=50, ratio=True, cuts=["y > 100"]),
    )
    ft.train(events, folder / "m.flow", effort="fast")
    ft.report(events, folder / "m.flow", folder / "train")
    ft.closure(
        jets_made.events(500, 1),
        jets_made.events(500, 2),
        folder / "closure",
        given=["Gen*", "Pileup_nPU"],
    )
    names = {
        "report": "report",
        "compare": "compare",
        "train": "train",
        "closure": "compare",
    }
    return {kind: folder / kind / f"{name}.html" for kind, name in names.items()}


def browse(page: Path, folder: Path, *options: str) -> tuple[str, str]:
    """Return the text of a page in the browser, and the errors of its console."""
    profile = folder / "profile"
    command = [
        chromium(),
        *QUIET,
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        *options,
        page.as_uri(),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=True
    )
    shutil.rmtree(profile, ignore_errors=True)
    return done.stdout, "\n".join(
        line for line in done.stderr.splitlines() if "CONSOLE" in line
    )


@pytest.mark.parametrize("width", [390, 1400], ids=["phone", "desktop"])
@pytest.mark.parametrize("name", ["report", "compare", "train", "closure"])
def test_page(pages: dict[str, Path], tmp_path: Path, name: str, width: int) -> None:
    probed = tmp_path / "page.html"
    probed.write_text(pages[name].read_text().replace("</body>", PROBE + "</body>"))
    text, complaints = browse(
        probed,
        tmp_path,
        "--dump-dom",
        f"--window-size={width},900",
        "--virtual-time-budget=3000",
    )
    assert complaints == ""
    found = json.loads(text.partition('<pre id="probe">')[2].partition("</pre>")[0])
    assert found["rows"] >= 3
    assert found["up"] < found["down"]
    assert 1 <= found["shown"] <= found["rows"]
    assert found["drawings"] >= 1
    assert found["opened"]
    assert found["closed"]
    assert found["wider"] > 1.5 * found["wide"] > 200
    assert found["overflow"] <= 0  # what is wide scrolls in a frame of its own


@pytest.mark.parametrize("name", ["report", "compare", "train", "closure"])
def test_page_fetches_nothing(pages: dict[str, Path], tmp_path: Path, name: str) -> None:
    log = tmp_path / "net.json"
    browse(
        pages[name],
        tmp_path,
        "--dump-dom",
        f"--log-net-log={log}",
        "--virtual-time-budget=1000",
    )
    events = json.loads(log.read_text())["events"]
    asked = {
        event["params"]["url"] for event in events if "url" in event.get("params", {})
    }
    assert not {
        url
        for url in asked
        if url.startswith(("http", "ftp", "ws")) and "google" not in url
    }, asked
    assert "http://" not in pages[name].read_text().replace(
        "http://www.w3.org", ""
    ).replace("http://purl.org", "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_page_follows_the_theme(
    pages: dict[str, Path], tmp_path: Path, theme: str
) -> None:
    from matplotlib.image import imread

    shot = tmp_path / "page.png"
    dark = (
        ["--blink-settings=preferredColorScheme=0"]
        if theme == "dark"
        else ["--blink-settings=preferredColorScheme=1"]
    )
    browse(
        pages["compare"], tmp_path, f"--screenshot={shot}", "--window-size=800,600", *dark
    )
    corner = imread(shot)[5, 5, :3].mean()
    assert corner > 0.9 if theme == "light" else corner < 0.2
