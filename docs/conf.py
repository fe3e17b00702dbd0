"""Configuration of the documentation: `sphinx-build -W --keep-going -n docs docs/_build/html`.

Offline and strict: every reference has to lead to a page here, or at least to something that can
be imported (a type of PyTorch, an internal helper), which is then shown without a link.
"""

import pydoc
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import latex2mathml.converter
import public_names
from docutils.nodes import SkipNode
from sphinx.writers.html5 import HTML5Translator

import counterpoise

project = "Counterpoise"
author = "The Counterpoise authors"
version = release = counterpoise.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
nitpicky = True
# A default that a dataclass makes by a factory is shown as <factory>, which Sphinx cannot parse: it
# then takes the annotation apart at its commas.
nitpick_ignore = [("py:class", "dict[str")]
# Signatures that cannot be evaluated, of inherited fields and of types for checkers alone, are
# shown as they are written, with names that mean nothing outside their module.
nitpick_ignore += [("py:class", name) for name in ("Path", "NDArray", "nn.Module", '"prediction"')]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Formulae in docstrings write |S| for a size or value, which reStructuredText would look up.
_BARS = ("S", "T", "l_m", "P_train - P_val")
rst_epilog = "\n".join(f".. |{each}| replace:: \\|{each}\\|" for each in _BARS)

html_math_renderer = "mathml"  # which browsers draw themselves, without a network

html_theme = "furo"
html_title = f"Counterpoise {version}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False

maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    "Shapes",
    ("Attributes", "params_style"),  # as a list: a directive for each collides with properties
    ("Differs from the official code", "notes_style"),
    ("Differs from the original", "notes_style"),
    ("Differs from the paper", "notes_style"),
    ("Reference", "notes_style"),
]

_generated = Path(__file__).parent / "api" / "generated"
_generated.mkdir(exist_ok=True)
(_generated / "names.rst").write_text(public_names.index_page(), encoding="utf-8")

autosummary_context = {"public": public_names.context()}
_pages = {
    id(getattr(import_module(module), name)): home
    for module, found in public_names.homes().items()
    for name, home in found.items()
    if public_names.is_keyed(getattr(import_module(module), name))
}


def _locate(node):
    """Import what a reference means, seen from the object on whose page it stands."""
    target = node["reftarget"]
    owner = pydoc.locate(Path(node["refdoc"]).name)
    module, name = getattr(owner, "__module__", ""), getattr(owner, "__name__", "")
    for prefix in ("", f"{module}.", f"{module}.{name}.", f"{node.get('py:module')}."):
        # The second way serves modules that their package deletes from itself, as torch.optim does.
        found = pydoc.locate(prefix + target) or _member(prefix + target)
        if found is not None:
            return found
    return None


def _member(path):
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def _resolve(app, env, node, contnode):
    """Lead references by internal or re-exported paths to the public page."""
    if node.get("refdomain") != "py":
        return None
    found = _locate(node)
    if found is None:
        return None  # a warning, and so an error
    if id(found) not in _pages:
        return contnode
    python = env.get_domain("py")
    return python.resolve_xref(
        env, node["refdoc"], app.builder, "obj", _pages[id(found)], node, contnode
    )


def _skip(app, what, name, member, skip, options):
    """Leave out the fields of named tuples, whose docstrings say only 'Alias for field'."""
    return True if type(member).__name__ == "_tuplegetter" else skip


def _describe_constants(app, what, name, member, options, lines):
    """Show the docstring below a constant instead of the one of its type."""
    if what == "data":
        lines[:] = [*public_names.docstring(*name.rsplit(".", 1)).splitlines(), ""]


def _formula(display):
    """Make the visitor that writes a formula as MathML."""

    def visit(translator, node):
        written = latex2mathml.converter.convert(node.astext(), display=display)
        tag = "div" if display == "block" else "span"
        translator.body.append(f'<{tag} class="math">{written}</{tag}>')
        raise SkipNode

    return visit, None


class _Opening(HTML5Translator):
    """Lets the browser open the reports that pages link to, rather than save them."""

    def visit_download_reference(self, node):
        super().visit_download_reference(node)
        self.body[-1] = self.body[-1].replace(' download=""', "")


_written = {}


def _keep(app, what, name, member, options, lines):
    """Remember what stands below an attribute, before Napoleon sees it."""
    _written[name] = list(lines)


def _restore(app, what, name, member, options, lines):
    """Undo that Napoleon reads 'One panel a row: ...' as type and text: types are annotated."""
    if what in ("attribute", "property"):
        lines[:] = _written[name]


_NAMES = "api/generated/counterpoise."
_sidebars = {}


def _shorten_sidebar(app, pagename, templatename, context, doctree):
    """Leave single names out of sidebars, where they were 100,000 links: a page lists them all.

    The pages of names are below the same entry of it, and share what takes longest to make.
    """
    whole = context["toctree"]

    def shortened(**options):
        key = _NAMES if pagename.startswith(_NAMES) else pagename
        if key not in _sidebars:
            _sidebars[key] = whole(**{**options, "maxdepth": 2})
        return _sidebars[key]

    context["toctree"] = shortened


def setup(app):
    """Connect the handlers above."""
    app.set_translator("html", _Opening)
    app.add_html_math_renderer("mathml", _formula("inline"), _formula("block"))
    app.connect("missing-reference", _resolve)
    app.connect("html-page-context", _shorten_sidebar, priority=400)  # before the theme makes it
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _describe_constants)
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _restore, priority=600)
