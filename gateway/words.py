"""What the merged API document says beside what the services say of themselves."""

from typing import Any

from shared.kit.problems import Unauthenticated

DESCRIPTION = """\
县级健康扶贫“三个一批”行动计划的对外接口：大病集中救治、慢病签约服务、重病兜底保障。
The backend of a county's three health programmes for its registered poor residents.

- 取得令牌：`POST /oauth/token`，之后每个请求带 `Authorization: Bearer <令牌>`。政策包（主动公开）不需要令牌。
- 金额是两位小数的文字，如 `"12345.67"`；日期如 `2018-08-11`；时间带 `+08:00`。
- 新建类 POST 必须带 `Idempotency-Key`：同一请求重发用同一个键，只办一次。
- 修改类请求带读取时所得的 `ETag`（`If-Match`）。
- 拒绝一律为 `application/problem+json`（RFC 9457），`code` 供程序判断，`detail` 给经办人看；`request_id` 便于查询。
- 请求频率：每个答复的 `RateLimit`、`RateLimit-Policy` 说明余量；超过时为 429，按 `Retry-After` 等待。
- 正文至多 1 MiB（成批报送 16 MiB）。503 与 504 请稍后用同一幂等键重发。
"""

SECURITY_SCHEMES: dict[str, Any] = {
    "oauth2": {
        "type": "oauth2",
        "description": "机构系统用 client_credentials（密钥或 private_key_jwt），"
        "工作人员用 password（另附动态口令 totp）与 refresh_token。",
        "flows": {
            "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": {}},
            "password": {"tokenUrl": "/oauth/token", "refreshUrl": "/oauth/token", "scopes": {}},
        },
    },
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}

PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457 问题说明；从不重复所提交的内容。",
    "required": ["type", "title", "status", "detail", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "title": "类型"},
        "title": {"type": "string", "title": "标题（英文）"},
        "status": {"type": "integer", "title": "HTTP 状态码"},
        "detail": {"type": "string", "title": "给经办人的说明（中文）"},
        "code": {"type": "string", "title": "稳定的英文代码，供程序判断"},
        "errors": {
            "type": "array",
            "title": "逐项错误",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "title": "出错位置（JSON Pointer）"},
                    "code": {"type": "string", "title": "代码"},
                    "detail": {"type": "string", "title": "说明"},
                },
            },
        },
        "request_id": {"type": "string", "title": "请求编号"},
    },
    "examples": [{**Unauthenticated().body(), "request_id": "7d8c1c1e-1111-4222-8333-944445555666"}],
}


def _says(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}


GATEWAY_PATHS: dict[str, Any] = {
    "/healthz": {
        "get": {
            "tags": ["gateway 网关"],
            "summary": "网关是否在运行",
            "operationId": "alive",
            "security": [],
            "responses": {"200": _says("在运行")},
        }
    },
    "/readyz": {
        "get": {
            "tags": ["gateway 网关"],
            "summary": "数据库、事件通道与各服务是否就绪",
            "operationId": "ready",
            "security": [],
            "responses": {"200": _says("可以受理"), "503": _says("列出尚未就绪的部分")},
        }
    },
    "/openapi.json": {
        "get": {
            "tags": ["gateway 网关"],
            "summary": "本接口说明（OpenAPI 3.1）",
            "operationId": "openapi",
            "security": [],
            "responses": {"200": _says("OpenAPI 3.1 文档")},
        }
    },
}
