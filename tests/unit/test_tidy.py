"""The shape of the code: small functions and files, few positional parameters, no float in pure rooms, reasons beside exceptions."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "edgegw" / "fabric" / "proto"
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_OF = {95: 26, 99: 40}  # of so many per cent of the functions
FILE_LINES_MAX = 450
TEST_FILE_LINES_MAX = 450
POSITIONAL_MAX = 3
NO_FLOAT = ("edgegw/contract/", "edgegw/core/", "edgegw/common/units.py")
BANNED_NAMES = re.compile(r"(^|_)(manager|helpers?|utils?|data|info)(_|$)")

_NOQA = re.compile(r"#\s*noqa\b(.*)")
_NOQA_FORM = re.compile(r":\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*\s+-\s+\S.*")
_IGNORE = re.compile(r"#\s*type:\s*ignore\b(.*)")
_IGNORE_FORM = re.compile(r"\[[a-z-]+(?:,\s*[a-z-]+)*\]\s+#\s+\S.*")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in found if not path.is_relative_to(GENERATED)]


CODE = sources("edgegw", "firmware_sim")
TESTS = sources("tests")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the last line; decorators do not count."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def long_functions(tree: ast.AST) -> list[str]:
    return [
        f"{node.name} has {length} lines"
        for node in functions(tree)
        if (length := lines_of(node)) > FUNCTION_LINES_MAX
    ]


def longer_than_most(lengths: dict[str, int]) -> list[str]:
    """The functions that make a percentile too large: so many must become shorter, the least long ones first."""
    found = []
    for percent, most in FUNCTION_LINES_OF.items():
        longer = sorted((length, name) for name, length in lengths.items() if length > most)
        surplus = len(longer) - len(lengths) * (100 - percent) // 100
        found += [f"{name} has {length} lines" for length, name in longer[: max(0, surplus)]]
    return found


def wide_functions(tree: ast.AST) -> list[str]:
    found = []
    for node in functions(tree):
        names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
        count = len(names) - (bool(names) and names[0] in {"self", "cls"})
        if count > POSITIONAL_MAX and not is_foreign_form(node):
            found.append(f"{node.name} has {count} positional parameters")
    return found


def is_foreign_form(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """`__exit__` and `__aexit__` have the shape that Python gives them, `action` the one that pymodbus calls."""
    return node.name in {"__exit__", "__aexit__", "action"}


def floats(tree: ast.AST) -> list[str]:
    return [
        f"line {node.lineno}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))
    ]


def unreasoned(text: str) -> list[str]:
    """Comments that switch a check off without code and reason."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        for mark, form in ((_NOQA, _NOQA_FORM), (_IGNORE, _IGNORE_FORM)):
            match = mark.search(token.string)
            if match and not form.fullmatch(match[1].strip()):
                found.append(f"line {token.start[0]}: {token.string}")
    return found


def hasty_waits(tree: ast.AST) -> list[str]:
    """Waits for what must happen that give up after a number of seconds of their own, not `tests.support.patience`."""
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        limits = [one.value for one in call.keywords if one.arg == "timeout"]
        if name in {"asyncio.timeout", "asyncio.wait_for"} or name.endswith((".settimeout", ".communicate")):
            limits += call.args[-1:]
        found += [
            f"line {call.lineno}: {name}"
            for limit in limits
            if isinstance(limit, ast.Constant) and limit.value
        ]
    return found


def undocumented_tests(tree: ast.AST) -> list[str]:
    return [
        node.name for node in functions(tree) if node.name.startswith("test_") and not ast.get_docstring(node)
    ]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_code_is_tidy(path: Path) -> None:
    """Functions of at most 70 lines, files of at most 450, at most 3 positional parameters, reasons beside exceptions."""
    text = path.read_text()
    tree = ast.parse(text)
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert long_functions(tree) == []
    assert wide_functions(tree) == []
    assert unreasoned(text) == []
    assert BANNED_NAMES.search(path.stem) is None


def test_most_functions_are_short() -> None:
    """95 of 100 functions have at most 26 lines, 99 of 100 at most 40."""
    lengths = {
        f"{name_of(path)}:{node.lineno} {node.name}": lines_of(node)
        for path in CODE
        for node in functions(ast.parse(path.read_text()))
    }
    assert longer_than_most(lengths) == []


@pytest.mark.parametrize("path", [path for path in CODE if name_of(path).startswith(NO_FLOAT)], ids=name_of)
def test_pure_rooms_know_no_float(path: Path) -> None:
    """No float literal, no `float` and no true division in contract and core."""
    assert floats(ast.parse(path.read_text())) == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_state_their_law(path: Path) -> None:
    """Every test has a docstring and no haste; files of tests keep the same bounds on length and exceptions."""
    text = path.read_text()
    tree = ast.parse(text)
    assert undocumented_tests(tree) == []
    assert "bench" in path.parts or hasty_waits(tree) == []
    assert len(text.splitlines()) <= TEST_FILE_LINES_MAX
    assert unreasoned(text) == []


def test_the_checks_find_what_they_look_for() -> None:
    """Each check fails on a piece of code that breaks it."""
    long = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert long_functions(ast.parse(long))
    one_in_ten = {str(number): 27 if number % 10 == 0 else 5 for number in range(100)}
    assert longer_than_most(one_in_ten) == [
        f"{number} has 27 lines" for number in ("0", "10", "20", "30", "40")
    ]
    assert longer_than_most({str(number): 41 if number < 2 else 5 for number in range(100)}) == [
        "0 has 41 lines"
    ]
    assert not longer_than_most({str(number): 26 for number in range(100)})
    assert wide_functions(ast.parse("def f(a, b, c, d): ..."))
    assert wide_functions(ast.parse("class A:\n def f(self, a, b, c, d): ..."))
    assert not wide_functions(ast.parse("class A:\n def f(self, a, b, c, *, d): ..."))
    for text in ("x = 1.0", "x: float", "x = 4 / 2", "x /= 2"):
        assert floats(ast.parse(text)), text
    marks = ("# noqa", "# noqa: E501", "# type: ignore", "# type: ignore[misc]", "# noqa: E501 -")
    for mark in marks:
        assert unreasoned(f"x = 1  {mark}\n"), mark
    good = ("# noqa: E501, F401 - a table", "# type: ignore[misc]  # the point", "# because")
    for mark in good:
        assert not unreasoned(f"x = 1  {mark}\n"), mark
    assert undocumented_tests(ast.parse("def test_x(): ..."))
    for text in ("asyncio.timeout(5)", "asyncio.wait_for(x, 5)", "run(x, timeout=5)", "door.settimeout(0.5)"):
        assert hasty_waits(ast.parse(text)), text


def test_the_checks_see_the_code() -> None:
    """The lists that the checks run over are not empty."""
    assert len(CODE) > 20
    assert len(TESTS) > 5
