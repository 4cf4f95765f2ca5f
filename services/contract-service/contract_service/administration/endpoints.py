"""Accounts over HTTP, for administrators. No patient's data comes near these routes."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Request, Response

from contract_service.accounts.models import Client
from contract_service.administration import service
from contract_service.administration.schemas import (
    ClientCreate,
    ClientMade,
    ClientPage,
    ClientRead,
    KeyList,
    KeyRead,
    KeyRegister,
    UserCreate,
    UserMade,
    UserPage,
    UserRead,
)
from shared.kit.caller import Caller, allowed
from shared.kit.cursors import Paging
from shared.kit.database import Session
from shared.kit.idempotency import OnceKey
from shared.kit.strict_json import StrictRoute

router = APIRouter(prefix="/contract/v1/accounts", tags=["administration"], route_class=StrictRoute)

Administrator = Annotated[Caller, allowed("administrator")]
# Also names that a deployment brought along, which need not be as strict as those made here.
Username = Annotated[str, Path(min_length=1, max_length=120, description="用户名")]
ClientId = Annotated[str, Path(min_length=1, max_length=120, description="客户端编号")]
KeyId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$", description="公钥编号")]

USER_EXAMPLE: dict[str, Any] = {
    "username": "wang.wei",
    "name": "示例人员",
    "roles": ["safety_net_office"],
    "institution_code": None,
    "township_code": None,
    "village_code": None,
    "department": "兜底办",
}
CLIENT_EXAMPLE: dict[str, Any] = {
    "client_id": "his.county-hospital",
    "institution_code": "H45022300001",
    "public_key": None,
}
KEY_EXAMPLE: dict[str, Any] = {
    "public_key": "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    "-----END PUBLIC KEY-----\n",
    "withdraw_secret": False,
}


@router.post("/users", status_code=201, response_model=UserMade, summary="开设人员账号")
async def make_user(
    wanted: Annotated[UserCreate, Body(openapi_examples={"office": {"value": USER_EXAMPLE}})],
    session: Session,
    caller: Administrator,
    once: OnceKey,
    response: Response,
) -> Any:
    """An account for a member of staff, with a first password to be handed over; it is changed at the first sign-in."""
    user, password, replayed = await service.make_user(session, caller, once, wanted)
    response.headers["Location"] = f"{router.prefix}/users/{user.username}"
    _secret(response, replayed)
    return UserMade.model_validate(user).model_copy(update={"first_password": password})


@router.get("/users", response_model=UserPage, summary="人员账号列表")
async def list_users(session: Session, page: Paging, caller: Administrator) -> Any:
    """The county's users, newest first."""
    rows = await service.users(session, caller, page)
    return page.answer(rows, [UserRead.model_validate(row) for row in rows])


@router.get("/users/{username}", response_model=UserRead, summary="查看人员账号")
async def read_user(username: Username, session: Session, caller: Administrator) -> Any:
    """One user of the county."""
    return await service.user(session, caller, username)


@router.post("/users/{username}/lock", response_model=UserRead, summary="锁定人员账号")
async def lock_user(username: Username, session: Session, caller: Administrator) -> Any:
    """Nobody signs in with it until it is unlocked, and its sign-ins are over; never one's own."""
    user = await service.user(session, caller, username)
    await service.lock(session, caller, user)
    return user


@router.post("/users/{username}/unlock", response_model=UserRead, summary="解锁人员账号")
async def unlock_user(username: Username, request: Request, session: Session, caller: Administrator) -> Any:
    """Open it again, also when its own failures had locked it."""
    user = await service.user(session, caller, username)
    await service.unlock(session, caller, request.app.state.doorkeeper, user)
    return user


@router.post("/users/{username}/reset", response_model=UserMade, summary="重置人员账号")
async def reset_user(
    username: Username, request: Request, session: Session, caller: Administrator, response: Response
) -> Any:
    """A new first password; the authenticator is forgotten and must be enrolled anew."""
    user = await service.user(session, caller, username)
    password = await service.reset_user(session, caller, request.app.state.doorkeeper, user)
    _secret(response)
    return UserMade.model_validate(user).model_copy(update={"first_password": password})


@router.post("/clients", status_code=201, response_model=ClientMade, summary="开设机构系统账号")
async def make_client(
    wanted: Annotated[ClientCreate, Body(openapi_examples={"hospital": {"value": CLIENT_EXAMPLE}})],
    session: Session,
    caller: Administrator,
    once: OnceKey,
    response: Response,
) -> Any:
    """An account for an institution's own system, with a secret, or with a public key and no secret."""
    client, secret, replayed = await service.make_client(session, caller, once, wanted)
    response.headers["Location"] = f"{router.prefix}/clients/{client.client_id}"
    _secret(response, replayed)
    return ClientMade.model_validate({**_client(client), "client_secret": secret})


@router.get("/clients", response_model=ClientPage, summary="机构系统账号列表")
async def list_clients(session: Session, page: Paging, caller: Administrator) -> Any:
    """The clients the county answers for, newest first."""
    rows = await service.clients(session, caller, page)
    return page.answer(rows, [_client(row) for row in rows])


@router.get("/clients/{client_id}", response_model=ClientRead, summary="查看机构系统账号")
async def read_client(client_id: ClientId, session: Session, caller: Administrator) -> Any:
    """One client."""
    return _client(await service.client(session, caller, client_id))


@router.post("/clients/{client_id}/lock", response_model=ClientRead, summary="锁定机构系统账号")
async def lock_client(client_id: ClientId, session: Session, caller: Administrator) -> Any:
    """It gets no token until it is unlocked."""
    client = await service.client(session, caller, client_id)
    await service.lock(session, caller, client)
    return _client(client)


@router.post("/clients/{client_id}/unlock", response_model=ClientRead, summary="解锁机构系统账号")
async def unlock_client(client_id: ClientId, request: Request, session: Session, caller: Administrator) -> Any:
    """Open it again, also when its own failures had locked it."""
    client = await service.client(session, caller, client_id)
    await service.unlock(session, caller, request.app.state.doorkeeper, client)
    return _client(client)


@router.post("/clients/{client_id}/reset", response_model=ClientMade, summary="重新发给机构系统密钥")
async def reset_client(
    client_id: ClientId, request: Request, session: Session, caller: Administrator, response: Response
) -> Any:
    """A new secret in place of the old one, which ends at once; registered keys stay."""
    client = await service.client(session, caller, client_id)
    secret = await service.reset_client(session, caller, request.app.state.doorkeeper, client)
    _secret(response)
    return {**_client(client), "client_secret": secret}


@router.post("/clients/{client_id}/keys", status_code=201, response_model=KeyRead, summary="登记机构系统公钥")
async def register_key(
    client_id: ClientId,
    wanted: Annotated[KeyRegister, Body(openapi_examples={"ed25519": {"value": KEY_EXAMPLE}})],
    session: Session,
    caller: Administrator,
    once: OnceKey,
    response: Response,
) -> Any:
    """A public key by which the system proves itself (private_key_jwt, RFC 7523); up to five at a time."""
    key, replayed = await service.register_key(
        session, caller, once, client_id, wanted.public_key, wanted.withdraw_secret
    )
    _secret(response, replayed)
    return key


@router.get("/clients/{client_id}/keys", response_model=KeyList, summary="机构系统公钥列表")
async def list_keys(client_id: ClientId, session: Session, caller: Administrator) -> Any:
    """The keys in use, oldest first."""
    return {"items": await service.keys(session, caller, client_id)}


@router.post("/clients/{client_id}/keys/{key_id}/withdraw", response_model=KeyRead, summary="停用机构系统公钥")
async def withdraw_key(client_id: ClientId, key_id: KeyId, session: Session, caller: Administrator) -> Any:
    """The key proves nothing any more, for good."""
    return await service.withdraw_key(session, caller, client_id, key_id)


def _client(client: Client) -> dict[str, Any]:
    shown = {name: getattr(client, name) for name in ClientRead.model_fields if name != "has_secret"}
    return shown | {"has_secret": client.secret_digest is not None}


def _secret(response: Response, replayed: bool = False) -> None:
    response.headers["Cache-Control"] = "no-store"
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
