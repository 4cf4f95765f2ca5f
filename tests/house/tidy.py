"""House rules that look at one file: each takes a file and gives its complaints, one clear line each."""

import ast
import re
from collections.abc import Iterator

from tests.house.sources import File

FUNCTION_LINES = 70
FILE_LINES = 400

# Written apart, so that this file does not hold the words it looks for.
UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"]) + r")\b")
FLOATS = {"float", "Float", "REAL", "Double", "DOUBLE", "DOUBLE_PRECISION"}
PRINTS = {"print", "pprint"}

WHOLE_SESSION = re.compile(r"set_config\s*\([^()]*,\s*(?:false|'f(?:alse)?'|f)\s*\)", re.IGNORECASE)
SET_STATEMENT = re.compile(
    r"(?:^|;)\s*set\s+(?!local\b|transaction\b|constraints\b)"
    r"(?:session\b|role\b|time\s+zone\b|[a-z_][a-z_0-9.]*\s*(?:=|to\b))",
    re.IGNORECASE,
)

REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"), ("pypi", "python", "org"), ("files", "pythonhosted", "org"), ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"), ("mirrors", "aliyun", "com"), ("tuna", "tsinghua", "edu", "cn"),
        ("mirrors", "ustc", "edu", "cn"), ("mirrors", "cloud", "tencent", "com"), ("repo", "huaweicloud", "com"),
        ("proxy", "golang", "org"), ("docker", "io"), ("ghcr", "io"), ("quay", "io"), ("registry", "k8s", "io"),
    ]
]  # fmt: skip
MACHINE_PATH = re.compile(r"(?<![\w.$}/<>-])/(?:work|root|home|Users|tmp|private)/|\b[A-Z]:\\\\?Users")


def long_functions(file: File) -> Iterator[str]:
    """Functions of more than 70 lines, from `def` to the last line, docstring included."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{file.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def long_file(file: File) -> Iterator[str]:
    """A file of more than 400 lines."""
    lines = len(file.text.splitlines())
    if lines > FILE_LINES:
        yield f"{file.path}: {lines} lines, at most {FILE_LINES}: what second thing does it do?"


def commits(file: File) -> Iterator[str]:
    """Calls of `.commit()`: a transaction ends in one place only, so that no answer comes before its commit."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield f"{file.path}:{node.lineno}: only shared/kit/database.py ends a transaction"


def floats(file: File) -> Iterator[str]:
    """Binary fractions where money and law are computed: types, columns and literals."""
    for node in ast.walk(file.tree):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
        if name in FLOATS:
            yield f"{file.path}:{getattr(node, 'lineno', 0)}: {name}: money is fen, a ratio a Decimal"
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"{file.path}:{node.lineno}: {node.value} is a binary fraction: money is fen, a ratio a Decimal"


def session_state(file: File) -> Iterator[str]:
    """SQL that changes a whole session: on a pooled connection the next caller inherits it."""
    for line, text in _texts(file.tree):
        if WHOLE_SESSION.search(text):
            yield f"{file.path}:{line}: set_config(…, false) outlives its transaction; say true"
        if SET_STATEMENT.search(text):
            yield f"{file.path}:{line}: SET without LOCAL outlives its transaction"


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The strings of a file that are not docstrings; what an f-string fills in is left as a blank word."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "_" for part in node.values]
            yield node.lineno, "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside | said:
            yield node.lineno, node.value


def prints(file: File) -> Iterator[str]:
    """Calls of `print`: logs are JSON lines, a command's page goes to sys.stdout.write."""
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in PRINTS:
            yield f"{file.path}:{node.lineno}: {node.func.id} is not used here"


def unfinished(file: File) -> Iterator[str]:
    """Notes to oneself: it is done, or it is an issue."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield f"{file.path}:{number}: {found[1]}"


def addresses_in_lock(file: File) -> Iterator[str]:
    """Addresses in a lock file: they break other machines and tell where this one fetches from."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if ":" + "//" in line or line.lstrip().startswith(("--index", "--extra-index", "--find-links", "-i ")):
            yield f"{file.path}:{number}: a lock names packages and hashes, never an address"


def registry_hosts(file: File, more: tuple[str, ...] = ()) -> Iterator[str]:
    """Hosts of package and image registries: which one is used is the machine's business."""
    for number, line in enumerate(file.text.splitlines(), 1):
        for host in (*REGISTRIES, *more):
            if re.search(r"(?<![\w-])" + re.escape(host) + r"(?![\w-])", line):
                yield f"{file.path}:{number}: a registry's host"


def machine_paths(file: File) -> Iterator[str]:
    """Paths that exist on one machine only."""
    for number, line in enumerate(file.text.splitlines(), 1):
        if found := MACHINE_PATH.search(line):
            yield f"{file.path}:{number}: {found[0]} is a path of one machine"


def lost_references(file: File, documents: set[str]) -> Iterator[str]:
    """Names of pages (`….md`) that are not in the repository: a reader could not follow them."""
    for number, line in enumerate(file.text.splitlines(), 1):
        for name in re.findall(r"(?<![\w*…<>{}-])[\w./-]*[\w-]\.md\b", line):
            wanted = re.sub(r"^(\.{0,2}/)+", "", name)
            if not any(page == wanted or page.endswith("/" + wanted) for page in documents):
                yield f"{file.path}:{number}: {name} is not a page of this repository"
