"""Reports and the pages of a server in a browser: long names of columns stay within them."""

import asyncio
import html
import json
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


SEND = """<script>
  window.fetch = (url, options) => { document.title = options.body; throw new Error("sent"); };
  document.querySelector("select").selectedIndex = %d;
  document.querySelector("form").requestSubmit();
</script>"""


def title_of(page, path):
    """The title that a page has given itself."""
    path.write_text(page, encoding="utf-8")
    options = ("headless=new", "no-sandbox", "disable-gpu", "window-size=1000,800", "dump-dom")
    command = [
        BROWSER,
        *(f"--{option}" for option in options),
        f"--user-data-dir={path.parent / 'user'}",
        path.as_uri(),
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return html.unescape(re.search(r"<title>(.*)</title>", found)[1])


def measured(page, path):
    """How many pixels of tables can be scrolled to, and the height of the highest field."""
    return map(int, title_of(page + MEASURE, path).split())


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


def test_the_form_sends_values_as_the_model_knows_them(tmp_path):
    """With their blanks, and from a column whose name is a word of the page's language."""
    values = [" Lead", "a  b", "c\r\nd"]
    table = {"elements": values * 20, "how\r\nmany": np.arange(60) % 7}
    model = tabular.fit(table, np.arange(60) % 5, "regression", epochs=2)
    page = page_of(serve.make_app(serve.ServedTable(model)), "/")
    for number, value in enumerate(values, 1):
        sent = json.loads(title_of(page + SEND % number, tmp_path / "page.html"))
        assert sent == {"rows": [{"elements": value, "how\r\nmany": None}]}
