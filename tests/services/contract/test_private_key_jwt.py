"""A hospital's system proves itself by its own key (RFC 7523): registered by an administrator, each assertion once."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from sqlalchemy import func, select

from contract_service.tokens.models import UsedAssertion
from contract_service.tokens.rules.assertion import KIND
from contract_service.tokens.service import forget_what_is_over
from shared.kit import clock
from shared.kit.scope import SERVICE
from tests.clients import Client, problem
from tests.services.contract.registry import INSTITUTIONS, AsRole, an_institution, written_down
from tests.services.contract.staff import CLIENTS, TOKEN, Hands

ENDPOINT = "http://127.0.0.1:8000/oauth/token"
KEYS: dict[str, Any] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}


def public(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


class Machine:
    """A hospital's system with a key pair of its own."""

    def __init__(self, anyone: Client, client_id: str, key: Any, algorithm: str) -> None:
        self.anyone, self.client_id, self.key, self.algorithm = anyone, client_id, key, algorithm

    def assertion(self, head: dict[str, Any] | None = None, **claims: Any) -> str:
        """What it signs; ``claims`` change it, None leaves one out."""
        now = int(clock.now().timestamp())
        said = {"iss": self.client_id, "sub": self.client_id, "aud": ENDPOINT, "iat": now, "exp": now + 300}
        said |= {"jti": str(uuid4()), **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, self.key, algorithm=self.algorithm, headers=head)

    async def ask(self, word: str | None = None, **more: str) -> Any:
        """A token for an assertion."""
        form = {"grant_type": "client_credentials", "client_assertion_type": KIND}
        return await self.anyone.post(TOKEN, data={**form, "client_assertion": word or self.assertion(), **more})


async def a_machine(administrator: Client, bureau: Client, anyone: Client, algorithm: str = "EdDSA") -> Machine:
    """A client without a secret."""
    body = an_institution()
    assert (await bureau.create(INSTITUTIONS, body)).status_code == 201
    client_id = f"his.{uuid4().hex[:8]}"
    wanted = {"client_id": client_id, "institution_code": body["institution_code"]}
    answer = await administrator.create(CLIENTS, wanted | {"public_key": public(KEYS[algorithm])})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["client_secret"], answer.json()["has_secret"]) == (None, False)
    return Machine(anyone, client_id, KEYS[algorithm], algorithm)


@pytest.fixture
async def machine(administrator: Client, bureau: Client, as_role: AsRole) -> Machine:
    return await a_machine(administrator, bureau, as_role())


@pytest.mark.parametrize("algorithm", KEYS)
async def test_each_kind_of_key_proves_its_client(
    contract: FastAPI, administrator: Client, bureau: Client, as_role: AsRole, algorithm: str
) -> None:
    machine = await a_machine(administrator, bureau, as_role(), algorithm)
    answer = await machine.ask()
    assert answer.status_code == 200, answer.text
    assert (answer.json()["scope"], answer.json()["expires_in"]) == ("hospital", 600)
    assert (await machine.ask(client_id=machine.client_id)).status_code == 200
    rows = await written_down(contract, "account", machine.client_id)
    assert rows[-1].detail == {"grant": "private_key_jwt"}
    secret = {"grant_type": "client_credentials", "client_id": machine.client_id, "client_secret": "x"}
    problem(await machine.anyone.post(TOKEN, data=secret), 401, "invalid_client")


async def test_an_assertion_is_good_once_in_whichever_process(contract: FastAPI, machine: Machine) -> None:
    word = machine.assertion()
    answers = await asyncio.gather(*(machine.ask(word) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
    problem(await machine.ask(word), 401, "invalid_client")
    jti = "the-same-id-again"
    assert (await machine.ask(machine.assertion(jti=jti))).status_code == 200
    problem(await machine.ask(machine.assertion(jti=jti)), 401, "invalid_client")
    assert contract.state.issuer


async def test_used_assertions_are_forgotten_when_nobody_could_use_them_any_more(
    contract: FastAPI, machine: Machine, hands: Hands
) -> None:
    async def kept() -> int:
        async with contract.state.database.transaction(SERVICE) as session:
            query = select(func.count()).where(UsedAssertion.client_id == machine.client_id)
            return int(await session.scalar(query.select_from(UsedAssertion)) or 0)

    assert (await machine.ask()).status_code == 200
    await forget_what_is_over(contract.state.database)
    assert await kept() == 1
    hands.move(2 * 3600)
    await forget_what_is_over(contract.state.database)
    assert await kept() == 0


SAID: dict[str, dict[str, Any]] = {
    "another_audience": {"aud": "https://elsewhere/oauth/token"},
    "no_audience": {"aud": None},
    "two_audiences": {"aud": [ENDPOINT, "https://elsewhere"]},
    "another_issuer": {"iss": "county_hospital"},
    "no_issuer": {"iss": None},
    "no_id": {"jti": None},
    "short_id": {"jti": "1"},
    "long_id": {"jti": "x" * 201},
    "number_as_id": {"jti": 12345678},
    "no_end": {"exp": None},
    "text_as_end": {"exp": "soon"},
    "fraction_as_end": {"exp": 1e18},
    "too_long": {"exp": timedelta(minutes=6)},
    "over": {"exp": timedelta(minutes=-1)},
    "from_the_future": {"iat": timedelta(minutes=2)},
    "not_yet": {"nbf": timedelta(minutes=2)},
}


@pytest.mark.parametrize("case", SAID)
async def test_what_an_assertion_must_say(machine: Machine, case: str) -> None:
    now = clock.now()
    claims: dict[str, Any] = {
        name: int((now + value).timestamp()) if isinstance(value, timedelta) else value
        for name, value in SAID[case].items()
    }
    problem(await machine.ask(machine.assertion(None, **claims)), 401, "invalid_client")


async def test_one_audience_in_a_list_is_one(machine: Machine) -> None:
    assert (await machine.ask(machine.assertion(aud=[ENDPOINT]))).status_code == 200


async def test_signed_by_anything_else_it_proves_nothing(machine: Machine) -> None:
    forger = Machine(machine.anyone, machine.client_id, Ed25519PrivateKey.generate(), "EdDSA")
    problem(await forger.ask(), 401, "invalid_client")
    other_kind = Machine(machine.anyone, machine.client_id, KEYS["ES256"], "ES256")
    problem(await other_kind.ask(), 401, "invalid_client")
    unknown = Machine(machine.anyone, "nobody-here", KEYS["EdDSA"], "EdDSA")
    problem(await unknown.ask(), 401, "invalid_client")
    unsigned = jwt.encode({"iss": machine.client_id, "sub": machine.client_id}, "", algorithm="none")
    problem(await machine.ask(unsigned), 401, "invalid_client")
    by_text = jwt.api_jws.PyJWS().encode(b"{}", "x" * 64, algorithm="HS256")
    problem(await machine.ask(by_text), 401, "invalid_client")


async def test_not_an_assertion_at_all(machine: Machine) -> None:
    problem(await machine.ask("nonsense"), 401, "invalid_client")
    problem(await machine.ask("x" * 7000), 400, "invalid_request")
    problem(await machine.ask(client_id="another"), 401, "invalid_client")
    problem(await machine.ask(client_secret="x"), 400, "invalid_request")
    form = {"grant_type": "client_credentials", "client_assertion": machine.assertion()}
    problem(await machine.anyone.post(TOKEN, data=form), 400, "invalid_request")


async def test_keys_change_over_without_a_moment_in_which_neither_is_good(
    contract: FastAPI, administrator: Client, machine: Machine
) -> None:
    keys = f"{CLIENTS}/{machine.client_id}/keys"
    (first,) = (await administrator.get(keys)).json()["items"]
    second = Machine(machine.anyone, machine.client_id, Ed25519PrivateKey.generate(), "EdDSA")
    body = {"public_key": public(second.key), "withdraw_secret": True}
    made = (await administrator.create(keys, body)).json()
    assert (made["algorithm"], made["registered_by"], made["withdrawn_at"]) == ("EdDSA", "chief", None)
    assert (await machine.ask()).status_code == 200
    assert (await second.ask(second.assertion({"kid": made["key_id"]}))).status_code == 200
    problem(await second.ask(second.assertion({"kid": first["key_id"]})), 401, "invalid_client")
    assert (await administrator.post(f"{keys}/{first['key_id']}/withdraw")).json()["withdrawn_at"]
    problem(await machine.ask(), 401, "invalid_client")
    assert (await second.ask()).status_code == 200
    again = {"public_key": first["public_key"], "withdraw_secret": False}
    problem(await administrator.create(keys, again), 422, "key_already_registered")
    problem(await administrator.post(f"{keys}/{'0' * 32}/withdraw"), 404, "not_found")
    actions = [row.action for row in await written_down(contract, "account", machine.client_id)]
    assert {"key_registered", "key_withdrawn"} <= set(actions)


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())], ids=["rsa-1024", "p-384"]
)
async def test_weak_and_odd_keys_are_not_taken(administrator: Client, machine: Machine, key: Any) -> None:
    keys = f"{CLIENTS}/{machine.client_id}/keys"
    body = {"public_key": public(key), "withdraw_secret": False}
    problem(await administrator.create(keys, body), 422, "public_key_unusable")
    problem(await administrator.create(keys, body | {"public_key": "x" * 60}), 422, "public_key_unusable")


async def test_a_client_has_five_keys_at_most(administrator: Client, machine: Machine) -> None:
    keys = f"{CLIENTS}/{machine.client_id}/keys"
    for _ in range(4):
        body = {"public_key": public(Ed25519PrivateKey.generate()), "withdraw_secret": False}
        assert (await administrator.create(keys, body)).status_code == 201
    body = {"public_key": public(Ed25519PrivateKey.generate()), "withdraw_secret": False}
    problem(await administrator.create(keys, body), 409, "too_many_keys")
