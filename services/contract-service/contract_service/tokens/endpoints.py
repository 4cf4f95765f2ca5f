"""The token endpoint (RFC 6749, 7009, 7523), what people do about their own account, and the keys (RFC 7517)."""

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Request, Response

from contract_service.errors import InvalidClient, InvalidTokenRequest, UnsupportedGrantType
from contract_service.tokens import service
from contract_service.tokens.rules import assertion
from contract_service.tokens.schemas import EnrolmentRead, KeySetRead, PasswordChangedRead, SignedOutRead, TokenRead
from contract_service.tokens.service import ClientProof, Issuer, PersonProof
from shared.kit.caller import address_of, public
from shared.kit.database import Database
from shared.kit.strict_json import read_body

router = APIRouter(tags=["accounts"])

BODY_LIMIT = 16 * 1024
MOST_FIELDS = 20
LONGEST_FIELD = 2000
# A signature by a long RSA key takes room.
LONGEST_ASSERTION = 6000
GRANTS = ["client_credentials", "password", "refresh_token"]
TOKEN_FIELDS = (
    *("client_id", "client_secret", "client_assertion_type", "client_assertion"),
    *("username", "password", "totp", "refresh_token"),
)
SEE = "<开设账号时所得>"


def _form(required: list[str], properties: dict[str, Any], examples: dict[str, tuple[str, dict[str, str]]]) -> Any:
    """How OpenAPI describes a form."""
    named = {name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()}
    schema = {"type": "object", "required": required, "properties": properties}
    content = {"application/x-www-form-urlencoded": {"schema": schema, "examples": named}}
    return {"requestBody": {"required": True, "content": content}}


def _texts(*names: str) -> dict[str, Any]:
    return {name: {"type": "string"} for name in names}


MACHINE = {"grant_type": "client_credentials", "client_id": "his.county-hospital", "client_secret": SEE}
BY_KEY = {
    "grant_type": "client_credentials",
    "client_assertion_type": assertion.KIND,
    "client_assertion": "<JWT: iss=sub=client_id, aud=/oauth/token, exp≤5min, jti>",
}
PERSON = {"grant_type": "password", "username": "wang.wei", "password": SEE}
NEW_STAFF = {"username": "wang.wei", "password": "首次密码", "new_password": "红河水向东流2018"}
TOKEN_FORM = _form(
    ["grant_type"],
    {"grant_type": {"enum": GRANTS}, **_texts(*TOKEN_FIELDS)},
    {
        "machine": ("医院系统", MACHINE),
        "machine_by_key": ("医院系统，以私钥签名（private_key_jwt）", BY_KEY),
        "person": ("工作人员", PERSON),
        "person_with_code": ("工作人员，另附动态口令", {**PERSON, "totp": "123456"}),
    },
)
PASSWORD_FORM = _form(
    ["username", "password", "new_password"],
    _texts("username", "password", "new_password", "totp"),
    {"first": ("修改初始密码", NEW_STAFF)},
)
TOTP_FORM = _form(
    ["username", "password"],
    _texts("username", "password"),
    {"first": ("绑定动态口令", {"username": "wang.wei", "password": NEW_STAFF["new_password"]})},
)
REVOKE_FORM = _form(
    ["token"],
    _texts("token", "token_type_hint"),
    {"sign_out": ("退出登录", {"token": "<refresh_token>", "token_type_hint": "refresh_token"})},
)


@router.post(
    "/oauth/token",
    response_model=TokenRead,
    response_model_exclude_none=True,
    summary="取得访问令牌",
    dependencies=[Depends(public)],
    openapi_extra=TOKEN_FORM,
)
async def give_token(request: Request, response: Response) -> Any:
    """A token for a machine (client_credentials) or a person (password, then refresh_token).

    A client proves itself by its secret, in the header or in the form, or by a signed assertion (private_key_jwt).
    Refusals bear RFC 6749's names as ``code`` and ``error``; 403 `password_change_required`, `totp_enrolment_required`
    and `totp_required` say what a person has yet to do, 429 `sign_in_locked` that there were too many failures.
    """
    form, database, issuer, address = await _asked(request, response)
    match form.get("grant_type"):
        case "client_credentials":
            given = _client_of(request.headers.get("authorization"), form)
            return await service.for_client(database, issuer, given, address)
        case "password":
            return await service.for_person(database, issuer, _person_of(form), address)
        case "refresh_token":
            given_token = _required(form, "refresh_token")
            return await service.for_refresh(database, issuer, given_token, address)
        case None:
            raise InvalidTokenRequest("缺少 grant_type。")
        case _:
            raise UnsupportedGrantType


@router.post(
    "/oauth/password",
    response_model=PasswordChangedRead,
    summary="修改密码",
    dependencies=[Depends(public)],
    openapi_extra=PASSWORD_FORM,
)
async def change_password(request: Request, response: Response) -> Any:
    """Change one's own password, by the old one (and the code of the authenticator, once there is one).

    At least 10 characters, not the user name in it, none of the commonest. All earlier sign-ins are over.
    """
    form, database, issuer, address = await _asked(request, response)
    new_password = _required(form, "new_password")
    await service.change_password(database, issuer, _person_of(form), new_password, address)
    return PasswordChangedRead()


@router.post(
    "/oauth/totp",
    response_model=EnrolmentRead,
    summary="绑定动态口令",
    dependencies=[Depends(public)],
    openapi_extra=TOTP_FORM,
)
async def enrol_authenticator(request: Request, response: Response) -> Any:
    """The secret for an authenticator app (RFC 6238). The next sign-in with a code confirms it; until then one may
    ask for another. A lost telephone: the administrator resets the account."""
    form, database, issuer, address = await _asked(request, response)
    return await service.enrol(database, issuer, _person_of(form), address)


@router.post(
    "/oauth/revoke",
    response_model=SignedOutRead,
    summary="退出登录",
    dependencies=[Depends(public)],
    openapi_extra=REVOKE_FORM,
)
async def sign_out(request: Request, response: Response) -> Any:
    """End a sign-in by its refresh token (RFC 7009); an access token runs out by itself within 15 minutes."""
    form, database, _, address = await _asked(request, response)
    await service.sign_out(database, _required(form, "token"), address)
    return SignedOutRead()


@router.get(
    "/.well-known/jwks.json",
    response_model=KeySetRead,
    summary="令牌验证公钥",
    dependencies=[Depends(public)],
)
async def published_keys(request: Request, response: Response) -> Any:
    """The public keys by which every service verifies tokens; one that will sign later is published ahead."""
    issuer: Issuer = request.app.state.issuer
    response.headers["Cache-Control"] = "public, max-age=300"
    return issuer.published()


async def _asked(request: Request, response: Response) -> tuple[dict[str, str], Database, Issuer, str]:
    """What stands in the form, and who answers it."""
    raw = await read_body(request, BODY_LIMIT)
    form = _form_of(request.headers.get("content-type", ""), raw)
    response.headers["Cache-Control"] = "no-store"
    state = request.app.state
    return form, state.database, state.issuer, address_of(request)


def _form_of(content_type: str, raw: bytes) -> dict[str, str]:
    """The fields of a form; anything but a form, and a field that stands twice, is refused (RFC 6749, section 3.2)."""
    if content_type.split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise InvalidTokenRequest
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        raise InvalidTokenRequest from None
    form = dict(pairs)
    if len(form) != len(pairs) or any("\x00" in text for pair in pairs for text in pair):
        raise InvalidTokenRequest
    for name, value in pairs:
        longest = LONGEST_ASSERTION if name == "client_assertion" else LONGEST_FIELD
        if len(name) > LONGEST_FIELD or len(value) > longest:
            raise InvalidTokenRequest
    # "Parameters sent without a value MUST be treated as if they were omitted."
    return {name: value for name, value in form.items() if value}


def _client_of(authorization: str | None, form: dict[str, str]) -> ClientProof:
    """The client's proof, one and not two: a secret in the header or in the form, or an assertion."""
    scheme, _, encoded = (authorization or "").partition(" ")
    by_header = scheme.lower() == "basic"
    if "client_assertion" in form or "client_assertion_type" in form:
        if by_header or "client_secret" in form:
            raise InvalidTokenRequest("客户端凭据只能出现一种：密钥或签名断言。")
        return _assertion_of(form)
    if not by_header:
        # A token sent along by habit is no client authentication.
        if "client_id" not in form or "client_secret" not in form:
            raise InvalidTokenRequest("缺少 client_id 或 client_secret。")
        return ClientProof(form["client_id"], form["client_secret"])
    if "client_secret" in form:
        raise InvalidTokenRequest("客户端凭据只能出现在一处：请求头或表单。")
    try:
        name, separator, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise InvalidClient from None
    client_id = unquote_plus(name)
    if not separator or "\x00" in client_id or form.get("client_id", client_id) != client_id:
        raise InvalidClient
    return ClientProof(client_id, unquote_plus(secret))


def _assertion_of(form: dict[str, str]) -> ClientProof:
    if form.get("client_assertion_type") != assertion.KIND:
        raise InvalidTokenRequest(f"client_assertion_type 应为 {assertion.KIND}。")
    word = _required(form, "client_assertion")
    client_id = assertion.client_named(word)
    if client_id is None or form.get("client_id", client_id) != client_id:
        raise InvalidClient
    return ClientProof(client_id, assertion=word)


def _person_of(form: dict[str, str]) -> PersonProof:
    return PersonProof(_required(form, "username"), _required(form, "password"), form.get("totp"))


def _required(form: dict[str, str], name: str) -> str:
    if name not in form:
        raise InvalidTokenRequest(f"缺少 {name}。")
    return form[name]
