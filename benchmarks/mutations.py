"""Small faults that can be put into a source file, one at a time: what `mutants.py` runs tests on.

Left alone is what no test can or should notice: annotations, decorators, docstrings, `assert` (our
own invariants), the text of errors, `__all__`, and code for type checkers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants", "scope_of_lines"]

COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "**": "*"}
ARITHMETIC |= {"|": "&", "&": "|"}
EXTREMES = ("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum")
SWAPPED = {a: b for pair in (*EXTREMES, ("clamp_min", "clamp_max")) for a, b in (pair, pair[::-1])}
SYMBOLS = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitOr: "|", ast.BitAnd: "&", ast.And: "and", ast.Or: "or",
}  # fmt: skip
INVARIANT = ("strict", "non_blocking")
"""Arguments of which we know that they change no number: `zip` of lists that are equally long, and
copies that nobody waits for."""

TEXTS = (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp)
"""Of these a sum is a concatenation: the fault would be a type error, which teaches nothing."""


@dataclass(frozen=True)
class Mutant:
    """One fault in one file.

    Attributes:
        file: Path below the package.
        scope: Qualified name of the function or class that it is in; empty at module level.
        line: Where it begins, from 1.
        operator: Its kind.
        was: The lines that it changes.
        becomes: What they are changed to.
        source: The whole file with the fault.
    """

    file: str
    scope: str
    line: int
    operator: str
    was: str
    becomes: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names it whichever line it moves to."""
        return self.file, self.scope, self.was, self.becomes


def mutants(file: str, text: str) -> list[Mutant]:
    """List the faults that can be put into a file, in the order of its lines."""
    found = {}
    for scope, operator, start, end, new in _Faults(text).all():
        source = text[:start] + new + text[end:]
        try:
            compile(source, file, "exec")
        except SyntaxError:
            continue
        first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        was = text[first:last].strip()
        becomes = (text[first:start] + new + text[end:last]).strip()
        line = text.count("\n", 0, start) + 1
        found[start, end, new] = Mutant(file, scope, line, operator, was, becomes, source)
    return [found[key] for key in sorted(found)]


def scope_of_lines(text: str) -> dict[int, str]:
    """Return the qualified name of the function or class whose body each line is in."""
    scopes: dict[int, str] = {}

    def enter(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = f"{name}.{child.name}".lstrip(".")
                last = child.end_lineno or child.lineno
                scopes.update(dict.fromkeys(range(child.body[0].lineno, last + 1), inner))
            enter(child, inner)

    enter(ast.parse(text), "")
    return scopes


Fault = tuple[str, str, int, int, str]
"""Scope, operator, first and last offset of what is replaced, and by what."""


class _Faults:
    """Walks through a file."""

    def __init__(self, text: str) -> None:
        self.text, self.tree = text, ast.parse(text)
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.lines = text.splitlines()

    def all(self) -> Iterator[Fault]:
        """Yield every fault."""
        yield from self._block(self.tree.body, "", None)

    def _block(
        self, statements: list[ast.stmt], scope: str, function: ast.FunctionDef | None
    ) -> Iterator[Fault]:
        for statement in statements:
            yield from self._statement(statement, scope, function)

    def _statement(
        self, node: ast.stmt, scope: str, function: ast.FunctionDef | None
    ) -> Iterator[Fault]:
        if isinstance(node, (ast.Assert, ast.Import, ast.ImportFrom, ast.Global)):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from self._definition(node, f"{scope}.{node.name}".lstrip("."))
            return
        if _is_of_types(node):
            return
        yield from self._removal(node, scope, function)
        if isinstance(node, ast.Raise):
            return
        if isinstance(node, ast.Return) and node.value is not None and function is not None:
            yield from self._returned(node.value, scope, function)
        for child in self._parts(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child, scope, function)
            else:
                yield from self._expression(child, scope)

    def _definition(self, node: ast.FunctionDef | ast.ClassDef, name: str) -> Iterator[Fault]:
        function = node if isinstance(node, ast.FunctionDef) else None
        if function is not None:
            for default in (*function.args.defaults, *function.args.kw_defaults):
                for fault in self._expression(default, name) if default else ():
                    yield (fault[0], "default value", *fault[2:])
        yield from self._block(node.body, name, function)

    @staticmethod
    def _parts(node: ast.AST) -> Iterator[ast.AST]:
        """Yield what a statement is made of, but for its annotation."""
        for name, value in ast.iter_fields(node):
            if name != "annotation":
                parts = value if isinstance(value, list) else [value]
                yield from (part for part in parts if isinstance(part, ast.AST))

    def _removal(
        self, node: ast.stmt, scope: str, function: ast.FunctionDef | None
    ) -> Iterator[Fault]:
        """Yield the fault that a statement is missing, unless its absence is an error at once."""
        removed = isinstance(node, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break, ast.Delete))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            removed = "super().__init__" not in ast.unparse(node)
        if isinstance(node, ast.Assign):
            made = function is not None and function.name == "__init__"
            kinds = ast.Subscript if made else (ast.Subscript, ast.Attribute)
            removed = all(isinstance(target, kinds) for target in node.targets)
        if removed:
            yield (scope, "removed statement", *self._span(node), "pass")

    def _returned(self, value: ast.expr, scope: str, function: ast.FunctionDef) -> Iterator[Fault]:
        start, end = self._span(value)
        if function.returns is not None and ast.unparse(function.returns) == "bool":
            yield scope, "return value", start, end, f"not ({self.text[start:end]})"
        elif not (isinstance(value, ast.Constant) and value.value is None):
            yield scope, "return value", start, end, "None"

    def _expression(self, node: ast.AST, scope: str) -> Iterator[Fault]:
        if isinstance(node, ast.JoinedStr):
            return  # what people read
        yield from self._own(node, scope)
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            return  # its sign is enough
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.keyword) and child.arg in INVARIANT):
                yield from self._expression(child, scope)

    def _own(self, node: ast.AST, scope: str) -> Iterator[Fault]:
        """Yield the faults of an expression, without those of its parts."""
        condition = getattr(node, "test", None) or getattr(node, "ifs", None)
        for test in condition if isinstance(condition, list) else [condition]:
            yield from self._negated(test, scope)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            for left, right, op in zip(sides, sides[1:], node.ops, strict=False):
                symbol = SYMBOLS[type(op)]
                yield self._between(scope, "comparison", left, right, symbol, COMPARISONS[symbol])
        elif isinstance(node, ast.BinOp) and type(node.op) in SYMBOLS:
            parts = (node.left, node.right)
            if not any(isinstance(p, TEXTS) or _is_text(p) for p in parts):
                symbol = SYMBOLS[type(node.op)]
                yield self._between(scope, "arithmetic", *parts, symbol, ARITHMETIC[symbol])
        elif isinstance(node, ast.BoolOp):
            yield self._bool_op(node, scope)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            operator = "removed not" if isinstance(node.op, ast.Not) else "arithmetic"
            start, end = self._span(node)
            yield scope, operator, start, end, f"({self._code(node.operand)})"
        elif isinstance(node, ast.Constant):
            yield from self._constant(node, scope)
        elif isinstance(node, ast.Call):
            yield from self._call(node, scope)

    def _negated(self, test: ast.AST | None, scope: str) -> Iterator[Fault]:
        if isinstance(test, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
            start, end = self._span(test)
            yield scope, "boolean", start, end, f"not {self.text[start:end]}"

    def _bool_op(self, node: ast.BoolOp, scope: str) -> Fault:
        old = SYMBOLS[type(node.op)]
        new = "or" if old == "and" else "and"
        start, end = self._span(node)
        text, at = "", start
        for left, right in zip(node.values, node.values[1:], strict=False):
            gap = self._span(left)[1], self._span(right)[0]
            text += self.text[at : gap[0]]
            text += re.sub(rf"\b{old}\b", new, self.text[slice(*gap)], count=1)
            at = gap[1]
        # In parentheses: an `or` in place of an `and` would bind less than what stands around it.
        return scope, "boolean", start, end, f"({text}{self.text[at:end]})"

    def _constant(self, node: ast.Constant, scope: str) -> Iterator[Fault]:
        value = node.value
        if isinstance(value, bool):
            yield (scope, "constant", *self._span(node), repr(not value))
        elif isinstance(value, int):
            yield (scope, "constant", *self._span(node), repr(value + 1))
        elif isinstance(value, float):
            yield (scope, "constant", *self._span(node), repr(2 * value or 1.0))

    def _call(self, node: ast.Call, scope: str) -> Iterator[Fault]:
        start, end = self._span(node.func)
        name = self.text[start:end]
        stem, _, last = name.rpartition(".")
        if last == "detach":
            yield scope, "detach", start, self._span(node)[1], stem
        elif name == "torch.no_grad":
            yield scope, "detach", start, end, "torch.enable_grad"
        elif last in SWAPPED:
            yield scope, "min, max, clamp", end - len(last), end, SWAPPED[last]
        elif last == "clamp" and len(node.args) + len(node.keywords) == 2:
            first, second = [*node.args, *(k.value for k in node.keywords)]
            (a, b), (c, d) = self._span(first), self._span(second)
            new = self.text[c:d] + self.text[b:c] + self.text[a:b]
            yield scope, "min, max, clamp", a, d, new

    def _between(
        self, scope: str, operator: str, left: ast.AST, right: ast.AST, old: str, new: str
    ) -> Fault:
        start, end = self._span(left)[1], self._span(right)[0]
        pattern = r"\s+".join(map(re.escape, old.split()))
        return scope, operator, start, end, re.sub(pattern, new, self.text[start:end], count=1)

    def _code(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.text[start:end]

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Return where a node's text begins and ends, in characters."""
        first, last = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
        begin = self._characters(first, getattr(node, "col_offset", 0))
        return begin, self._characters(last, getattr(node, "end_col_offset", 0))

    def _characters(self, line: int, num_bytes: int) -> int:
        return self.starts[line - 1] + len(self.lines[line - 1].encode()[:num_bytes].decode())


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_of_types(node: ast.stmt) -> bool:
    """Return whether a statement says types, or the names to export."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    if isinstance(node, (ast.Assign, ast.AugAssign)):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if ast.unparse(target) == "__all__":
            return True
        # At module level a name in capitals of words is an alias of a type: `Grades = float | str`.
        value = ast.unparse(node.value)
        return (
            node.col_offset == 0
            and re.match(r"[A-Z][a-z]\w*$", ast.unparse(target)) is not None
            and ("[" in value or "|" in value)
        )
    return False
