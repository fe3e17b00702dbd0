"""The documentation forgets no public name, and the files around it agree with the package."""

import ast
import hashlib
import importlib.util
import inspect
import re
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path
from types import ModuleType

import jinja2
import pytest
import yaml

import counterpoise
from counterpoise.methods.shared.reminders import _CALLS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def public():
    """What the documentation's configuration reads the public names with."""
    spec = importlib.util.spec_from_file_location("names", ROOT / "docs" / "public_names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_public_name_and_module_is_listed_in_the_reference(public):
    assert "\n   counterpoise\n" in (ROOT / "docs" / "api" / "index.md").read_text()
    environment = jinja2.Environment(autoescape=False)  # it renders no HTML
    environment.filters["underline"] = str
    folder = ROOT / "docs" / "_templates" / "autosummary"
    template = environment.from_string((folder / "module.rst").read_text())
    listed = set()
    for module in public.modules():
        page = template.render(fullname=module, public=public.context())
        entries = re.findall(r"^   ([\w.]+)$", page, re.MULTILINE)
        listed |= {f"{module}.{entry}" for entry in entries}
    pages = {home for found in public.homes().values() for home in found.values()}
    assert listed == pages | set(public.modules()[1:])


def test_every_public_module_says_what_it_is_and_what_it_exports(public):
    for name in public.modules():
        module = import_module(name)
        assert (module.__doc__ or "").strip(), f"{name} has no docstring"
        assert len(set(module.__all__)) == len(module.__all__), f"{name}.__all__ repeats a name"
        missing = [each for each in module.__all__ if not hasattr(module, each)]
        assert not missing, f"{name}.__all__ names {missing}, which do not exist"


def test_every_public_name_has_a_docstring_of_its_own(public):
    bare = [
        f"{module}.{name}"
        for module in public.modules()
        for name in public.names(module)
        if not public.docstring(module, name).strip()
    ]
    assert not bare, f"no docstring: {bare}"


def test_every_public_class_documents_its_public_methods(public):
    bare = []
    for module, found in public.homes().items():
        for name in found:
            value = getattr(import_module(module), name)
            members = vars(value) if isinstance(value, type) else {}
            for attribute, member in members.items():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if inspect.isfunction(function) and not attribute.startswith("_"):
                    ours = function.__module__.startswith("counterpoise")
                    bare += (
                        [f"{module}.{name}.{attribute}"] if ours and not function.__doc__ else []
                    )
    assert not bare, f"no docstring: {bare}"


def test_every_public_name_has_one_page(public):
    homes = public.homes()
    pages = {home for found in homes.values() for home in found.values()}
    assert {f"counterpoise.{name}" for name in public.names("counterpoise")} <= pages
    for home in pages:
        module, name = home.rsplit(".", 1)
        assert homes[module][name] == home
    for module, found in homes.items():
        for name, home in found.items():
            there = getattr(import_module(home.rsplit(".", 1)[0]), name)
            assert there is getattr(import_module(module), name)


def test_one_page_has_every_name_once(public):
    parts = re.split(r"^\.\. py:currentmodule:: (.+)$", public.index_page(), flags=re.MULTILINE)
    listed = [
        f"{module}.{name}"
        for module, table in zip(parts[1::2], parts[2::2], strict=True)
        for name in re.findall(r"^   (\w+)$", table, re.MULTILINE)
    ]
    homes = public.homes()
    assert sorted(listed) == sorted({home for pages in homes.values() for home in pages.values()})


def test_modules_are_told_from_names(public):
    assert "counterpoise.absence" in public.modules()
    assert "absence" not in public.names("counterpoise")
    assert isinstance(counterpoise.absence, ModuleType)


def test_the_docstring_of_a_constant_is_the_one_below_it(public):
    assert public.docstring("counterpoise.models", "FUSIONS").startswith("Names of fusions")
    assert public.docstring("counterpoise.scores", "Criterion") != ""


def test_a_signature_is_no_docstring(public, monkeypatch):
    monkeypatch.setattr(counterpoise.Output, "__doc__", "Output(logits: Tensor, raw: Any)")
    assert public.docstring("counterpoise", "Output") == ""


def warnings_of(path):
    """Yield the constant words of each warning in a file, the rest of them as dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        if called == "warn" and not isinstance(node.args[0], (ast.Name, ast.Attribute)):
            parts = [each for each in ast.walk(node.args[0]) if isinstance(each, ast.expr)]
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "..."
                for part in sorted(parts, key=lambda each: (each.lineno, each.col_offset))
                if isinstance(part, ast.FormattedValue)
                or (isinstance(part, ast.Constant) and isinstance(part.value, str))
            )


def test_every_warning_is_explained():
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    table = page.partition("## What warnings mean")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in lines[1:]]
    assert len(rows) > 10
    files = [path for path in (ROOT / "src").rglob("*.py") if path.stem != "reminders"]
    told = [*_CALLS.values(), *(text for path in files for text in warnings_of(path))]

    def explains(row, text):
        start = 0
        for piece in row.split("..."):
            place = text.find(piece.strip(), start)
            if place < 0:
                return False
            start = place + len(piece.strip())
        return True

    assert [text for text in told if not any(explains(row, text) for row in rows)] == []
    assert [row for row in rows if not any(explains(row, text) for text in told)] == []


def test_every_extra_is_explained():
    text = (ROOT / "docs" / "install.md").read_text()
    extras = metadata("counterpoise").get_all("Provides-Extra")
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)) == sorted(extras)


def test_the_citation_names_the_package_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == counterpoise.__version__
    assert citation["license"] == metadata("counterpoise")["License-Expression"]
    (paper,) = citation["references"]
    assert paper["title"].startswith("Boosting Multi-modal Model Performance")
    names = ["Li", "Li", "Hu", "Lei", "Li", "Zhou"]
    assert [author["family-names"] for author in paper["authors"]] == names


def test_the_licence_is_the_whole_apache_licence():
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
