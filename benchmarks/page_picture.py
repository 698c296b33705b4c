"""The picture of the README: the page of `birnn serve`, with a text and its answer.

    .venv/bin/python benchmarks/page_picture.py drugs/ "Lithium can lead to tremor."

Writes ``docs/figures/page.png``; Chromium and birnn[dev] are needed.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).resolve().parents[1] / "docs" / "figures" / "page.png"
WIDTH, SCALE = 820, 2  # pixels of the page's layout; of the picture for each of these


def photograph(address: str, text: str) -> bytes:
    """The page after a text was read, without what stands below the answer's last part."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 600}, device_scale_factor=SCALE)
        page.goto(address)
        page.fill("textarea", text)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Which half decided").wait_for()
        page.wait_for_timeout(500)  # until what fades in stands
        page.evaluate("document.activeElement.blur()")
        below = page.get_by_text("Numbers", exact=True).bounding_box()
        height = below["y"] if below else 900
        taken = page.screenshot(
            full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}
        )
        browser.close()
    return taken


def main() -> None:
    """Serve the model, photograph its page, write the picture with a palette."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="folder of the model")
    parser.add_argument("text", help="what is typed")
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "birnn", "serve", chosen.model, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            address = server.stderr.readline().split(" at ")[1].split()[0]
            taken = photograph(address, chosen.text)
        finally:
            server.terminate()
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").quantize(64).save(OUT, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
