"""Plain pages that need no other host, no script and no cookie."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

from gateway.exchange import Headers
from gateway.merge import SCHEMAS, Document, operations

STYLE = """
body{font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;color:#1b1f24;
background:#fff;max-width:60rem;margin:0 auto;padding:1.5rem}
a{color:#0b57d0}h1{margin:.2em 0}h2{margin-top:2em;border-bottom:1px solid #d0d7de}
details{border:1px solid #d0d7de;border-radius:6px;margin:.5em 0;padding:.4em .8em}
summary{cursor:pointer}code,pre{font:14px/1.5 ui-monospace,Consolas,monospace}
pre{background:#f6f8fa;padding:.8em;overflow-x:auto}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #d0d7de;padding:.3em .5em;text-align:left;vertical-align:top}
.method{display:inline-block;min-width:4.5em;font-weight:600}.note{color:#57606a}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

SECURITY_HEADERS: Headers = [
    (
        b"content-security-policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'".encode(),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]

FRONT = """
<h1>三个一批 Three Batches</h1>
<p>县级健康扶贫“三个一批”行动计划（慢病签约服务管理一批、大病集中救治一批、重病兜底保障一批）的后台系统。
医院报送出院结算单，系统按县里的政策算出各方承担多少、依据哪一条，窗口一秒内可见。</p>
<p lang="en">The backend that carries out a county's three health programmes for its registered poor residents:
a hospital posts a discharge bill, and the clerk at the window reads within a second what each payer bears, and why.</p>
<ul>
<li><a href="/docs">接口说明</a> <span lang="en">API, readable</span> · <a href="/openapi.json">openapi.json</a></li>
<li><a href="/safety-net/v1/policies">现行政策（主动公开，无需登录）</a>
<span lang="en">policies in force, open to anyone</span></li>
<li><a href="/readyz">运行状态</a> <span lang="en">is everything ready</span> · <a href="/healthz">healthz</a></li>
<li><a href="/.well-known/jwks.json">令牌公钥</a> <span lang="en">public keys of the tokens</span></li>
</ul>
"""


def _page(title: str, content: str) -> bytes:
    return (
        f'<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{content}</body></html>"
    ).encode()


def front_page() -> bytes:
    """What this is, and where to go from here."""
    return _page("三个一批 Three Batches", FRONT)


def docs_page(document: Document) -> bytes:
    """Every operation of the merged document: what it is for, its parameters, an example to copy."""
    parts = [f"<h1>{escape(document['info']['title'])}</h1>"]
    parts += [
        f"<p>{escape(line.removeprefix('- '))}</p>" for line in document["info"]["description"].splitlines() if line
    ]
    parts.append('<p><a href="/">首页</a> · <a href="/openapi.json">openapi.json</a></p>')
    by_tag: dict[str, list[str]] = {}
    for path, method, operation in operations(document["paths"]):
        tag = f"{path.split('/')[1]} / {(operation.get('tags') or [''])[0]}"
        by_tag.setdefault(tag, []).append("".join(_operation(path, method, operation, document)))
    for tag, texts in by_tag.items():
        parts += [f"<h2>{escape(tag)}</h2>", *texts]
    return _page("接口说明 · 三个一批", "\n".join(parts))


def _operation(path: str, method: str, operation: Document, document: Document) -> Iterator[str]:
    yield f'<details><summary><span class="method">{method.upper()}</span> <code>{escape(path)}</code> '
    yield f"{escape(operation.get('summary', ''))}</summary>"
    if operation.get("security") == []:
        yield '<p class="note">无需令牌 <span lang="en">no token needed</span></p>'
    if description := operation.get("description"):
        yield f"<p>{escape(description)}</p>"
    yield from _parameters(operation.get("parameters", []))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>请求正文 <code>{escape(kind)}</code></p>"
        for example in examples(content):
            yield f"<pre>{escape(_text(example))}</pre>"
    yield "<table><tr><th>答复</th><th>说明</th></tr>"
    for status, answer in operation["responses"].items():
        yield f"<tr><td>{escape(status)}</td><td>{escape(_answer(answer, document))}</td></tr>"
    yield "</table></details>"


def _parameters(parameters: list[Document]) -> Iterator[str]:
    if not parameters:
        return
    yield "<table><tr><th>参数</th><th>位置</th><th>必填</th><th>说明</th></tr>"
    for parameter in parameters:
        required = "是" if parameter.get("required") else ""
        says = parameter.get("description") or parameter.get("schema", {}).get("title", "")
        yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        yield f"<td>{required}</td><td>{escape(says)}</td></tr>"
    yield "</table>"


def examples(content: Document) -> list[Any]:
    """The examples of one kind of body."""
    found = [content["example"]] if "example" in content else []
    return found + [named["value"] for named in content.get("examples", {}).values() if "value" in named]


def _text(example: Any) -> str:
    return example if isinstance(example, str) else json.dumps(example, ensure_ascii=False, indent=2)


def _answer(answer: Document, document: Document) -> str:
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rsplit("/", 1)[1]]
    says: str = answer.get("description", "")
    for content in answer.get("content", {}).values():
        if target := content.get("schema", {}).get("$ref", ""):
            says += f"（{target.removeprefix(SCHEMAS)}）"
    return says
