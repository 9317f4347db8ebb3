"""Reports and the pages of a server in a browser: long names of columns stay within them."""

import asyncio
import re
import shutil
import subprocess

import numpy as np
import pytest

from chainrule import serve, tabular

pytest.importorskip("starlette")

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium")

NAME = "how_often_did_you_use_the_service_in_the_last_twelve_months_" * 3

MEASURE = """<script>document.title = [
  Math.max(...[...document.querySelectorAll("table, .wide")].map(
    (part) => part.scrollWidth - part.clientWidth), 0),
  Math.max(...[...document.querySelectorAll("input")].map((part) => part.clientHeight), 0),
].join(" ")</script>"""


def page_of(app, path):
    """The text that an ASGI application answers."""
    said = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message.get("body", b""))

    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"here")]}
    scope |= {"scheme": "http", "server": ("here", 80), "query_string": b"", "root_path": ""}
    asyncio.run(app(scope, receive, send))
    return b"".join(said).decode()


def measured(page, path):
    """How many pixels of tables can be scrolled to, and the height of the highest field."""
    path.write_text(page + MEASURE, encoding="utf-8")
    options = ("headless=new", "no-sandbox", "disable-gpu", "window-size=1000,800", "dump-dom")
    command = [
        BROWSER,
        *(f"--{option}" for option in options),
        f"--user-data-dir={path.parent / 'user'}",
        path.as_uri(),
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return map(int, re.search(r"<title>(\d+) (\d+)</title>", found).groups())


def test_long_names_of_columns(tmp_path):
    rows = np.arange(60)
    table = {NAME: rows * 7 % 30, "age": rows % 11, "town": ["Bern", "Zug"] * 30}
    model = tabular.fit(table, rows % 5, "regression", epochs=2)
    tabular.write_report(tmp_path / "report.html", model, table, rows % 5)
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    scrolled, _ = measured(report, tmp_path / "page.html")
    assert scrolled == 0
    app = serve.make_app(serve.ServedTable(model))
    scrolled, _ = measured(page_of(app, "/docs"), tmp_path / "page.html")
    assert scrolled == 0
    _, height = measured(page_of(app, "/"), tmp_path / "page.html")
    assert 20 < height < 60
