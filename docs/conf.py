"""How Sphinx builds the documentation: `make docs`."""

import importlib
import json
import os
import re
import shutil
from pathlib import Path

import myst_nb.core.render

import chainrule

HERE = Path(__file__).parent

project = "chainrule"
author = "the authors of chainrule"
copyright = "the authors of chainrule, under the Apache License 2.0"
version = release = chainrule.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas without a network
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "chainrule"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_selector = "div.cell_input pre, div.highlight-python pre, div.highlight-default pre"

# Pages. Every one is run from its beginning at every build, and an error ends the build.
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_output_stderr = "error"
nb_merge_streams = True


def join_streams(outputs):
    """What a cell prints comes in parts, cut anywhere: myst-nb would end a line after each."""
    streams, joined = {}, []
    for output in outputs:
        name = output.get("name")  # of a stream alone
        if name in streams:
            streams[name]["text"] += output["text"]
            continue
        joined.append(output)
        if name is not None:
            streams[name] = output
    return joined


myst_nb.core.render.coalesce_streams = join_streams
os.environ["MATPLOTLIBRC"] = str(HERE / "matplotlibrc")  # the pages' kernels inherit it

# The reference, from the docstrings. A page's links must lead somewhere; a docstring's backticks
# are links where they can be, and code where not.
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), ("py:exc", ".*")]
toc_object_entries_show_parents = "hide"
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
python_maximum_signature_line_length = 240  # beyond it, one argument a line
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False  # one entry may name several arguments
napoleon_custom_sections = ["Shapes", ("Attributes", "params_style")]


# Markup in docstrings: ``code``, `names`, *titles*. Any other star or bar is part of a formula.
MARKED_UP = re.compile(
    r"(``.+?``|`[^`\n]+`|(?<![\w*])\*(?=[^\s*])[^*]*?(?<=[^\s*])\*(?![\w*]))|([*|])"
)


def mark_up(app, what, name, obj, options, lines):
    """Make reStructuredText of a docstring's plain formulas."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines))
    lines[:] = "\n\n".join(map(_marked_up, paragraphs)).splitlines()


def _marked_up(paragraph):
    lines = paragraph.splitlines()
    if any(">>>" in line for line in lines):
        return paragraph
    if lines and all(" <- " in line for line in lines):  # the rule of an optimiser
        indent = re.match(" *", lines[0]).group()
        return "\n".join([f"{indent}.. code-block:: text", "", *("    " + line for line in lines)])
    # "Raises: As `fit`." names no error, as a section of that name would have to.
    paragraph = re.sub(r"^( *)Raises:\n +As (`[\w.]+`)\.", r"\1Raises what \2 raises.", paragraph)
    return MARKED_UP.sub(lambda found: found[1] or "\\" + found[2], paragraph)


def write_signature(app, what, name, obj, options, signature, returns):
    """Leave out what is private, and give a function or class as a default by its name.

    A class that needs a private argument is made by a function alone: its entry has no arguments.
    """
    if signature is None:
        return None
    signature = re.sub(r", _\w+=[^,()]+", "", signature)
    signature = re.sub(r"<(?:function|class) '?(?:\w+\.)*(\w+)[^>]*>", r"\1", signature)
    return ("" if re.search(r"[( ]_\w+[,)]", signature) else signature), returns


def list_operations(text):
    """Put an entry for each public function or class of a file of `chainrule.ops`, in the order of
    their blocks, in the place of the line ".. operations:: file"."""
    return re.sub(r"^\.\. operations:: (\w+)$", _entries, text, flags=re.MULTILINE)


def _entries(found):
    module = importlib.import_module(f"chainrule.ops.{found[1]}")
    entries = []
    for name, value in vars(module).items():
        if name in module.__all__ and isinstance(value, type):
            entries.append(f".. autoclass:: chainrule.{name}\n   :members:")
        elif name in module.__all__ and callable(value):
            entries.append(f".. autofunction:: chainrule.{name}")
    return "\n".join(entries)


def _read(app, page, source):
    source[0] = list_operations(source[0])


# Notebooks. Each page with code can be had as a notebook, without outputs, to run and to change.
CELL = re.compile(
    r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)\n?(.*?)^```\n", re.MULTILINE | re.DOTALL
)
INCLUDED = re.compile(r"^```\{literalinclude\} (\S+)\n:lines: (\d+)-\n```\n", re.MULTILINE)
DOWNLOAD = re.compile(r"\{download\}`([^`]+)`")
ROLE = re.compile(r"\{(\w+)\}`~?([^`<]+?)(?:\s*<([^`>]+)>)?`")


def make_notebook(text, folder=HERE):
    """The Jupyter notebook, as a dict, of a page of text and code cells in a folder."""
    text = INCLUDED.sub(lambda found: _included(folder / found[1], int(found[2])), text)
    text = re.sub(r"\A---\n.*?^---\n", "", text, flags=re.MULTILINE | re.DOTALL)
    cells, place = [], 0
    for found in CELL.finditer(text):
        cells += _text_cell(text[place : found.start()])
        if "remove-cell" not in found[1]:
            cells.append(_cell("code", found[2], execution_count=None, outputs=[]))
        place = found.end()
    cells += _text_cell(text[place:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _included(path, first):
    """The lines of a file from the first on, as a block of code."""
    lines = path.read_text(encoding="utf-8").splitlines()[first - 1 :]
    return "\n".join(["```python", *lines, "```", ""])


def _text_cell(text):
    """Roles and directives are Sphinx's alone: a title, a name, or nothing is left of them."""
    blocks = r"^```\{(?:toctree|eval-rst)\}.*?^```\n"
    text = re.sub(blocks, "", text, flags=re.MULTILINE | re.DOTALL)
    text = DOWNLOAD.sub(r"`\1` (to be put beside this notebook)", text)
    text = re.sub(r"^\(\w+\)=\n", "", text, flags=re.MULTILINE)
    text = ROLE.sub(_plain, text)
    return [_cell("markdown", text)] if text.strip() else []


def _plain(role):
    kind, shown, _ = role.groups()
    return f"*{shown.split('/')[-1].replace('_', ' ')}*" if kind in ("doc", "ref") else f"`{shown}`"


def _cell(kind, source, **more):
    return {
        "cell_type": kind,
        "metadata": {},
        "source": source.strip().splitlines(keepends=True),
        **more,
    }


def offer_notebook(app, page, template, context, doctree):
    """Write the notebook of a page beside it, and a link to it under the page's title."""
    source = HERE / f"{page}.md"
    if not source.exists() or "{code-cell}" not in (text := source.read_text(encoding="utf-8")):
        return
    target = Path(app.outdir, f"{page}.ipynb")
    target.parent.mkdir(parents=True, exist_ok=True)
    notebook = json.dumps(make_notebook(text, source.parent), indent=1, ensure_ascii=False)
    target.write_text(notebook + "\n", "utf-8")
    link = f'<a href="{target.name}" download>This page as a notebook</a>'
    for name in dict.fromkeys(DOWNLOAD.findall(text)):  # the notebook reads it from its folder
        shutil.copyfile(source.parent / name, target.parent / name)
        link += f', with <a href="{name}" download>{name}</a> beside it'
    link = f'<p class="notebook">{link}</p>'
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


# Where lines end. A line must not begin with the full stop of a formula; a path may be cut at its
# slashes, so that a table of paths is as wide as the page.
FORMULA = re.compile(r'<span class="math notranslate nohighlight">[^<]*</span>[.,:;!?)]+')
PATH = re.compile(r'(?<=<span class="pre">)(?:\w+/)+[\w.]*(?=</span>)')


def break_lines(app, page, template, context, doctree):
    """Keep punctuation on the line of its formula, and allow a new line within a path."""
    if "body" in context:
        body = FORMULA.sub(r'<span class="formula">\g<0></span>', context["body"])
        context["body"] = PATH.sub(lambda path: path[0].replace("/", "/<wbr>"), body)


# The step of one network, played: a page of its own, to which `course/one_network` links.
PLAYED = "course/one_network_step.html"


def play_step(app):
    """Run the cells of the page up to its `explanation`, and write what plays that."""
    page = HERE / "course" / "one_network.md"
    if app.builder.format != "html" or not page.exists():
        return
    names = {}
    for found in CELL.finditer(page.read_text(encoding="utf-8")):
        exec(found[2], names)
        if "explanation" in names:
            break
    target = Path(app.outdir, PLAYED)
    target.parent.mkdir(parents=True, exist_ok=True)
    names["explanation"].to_html(target)


def setup(app):
    app.connect("builder-inited", play_step)
    app.connect("html-page-context", offer_notebook)
    app.connect("html-page-context", break_lines)
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", mark_up, priority=100)  # before napoleon
    app.connect("autodoc-process-signature", write_signature)
