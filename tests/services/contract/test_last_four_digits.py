"""Lists that show the end of a number only: nothing else of it is opened for them, nor told."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from contract_service.residents.models import ResidentIdentity
from shared.kit.scope import SERVICE
from shared.kit.sealing import Keyring
from tests.clients import Client, problem
from tests.services.contract.registry import RESIDENTS, a_number, patched, registered, written_down


class Watched:
    """A keyring that remembers what was opened with it."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring, self.opened = keyring, list[str]()

    def open(self, sealed: str) -> str:
        """The text that was sealed."""
        self.opened.append(self.keyring.open(sealed))
        return self.opened[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.keyring, name)


@pytest.fixture
def watched(contract: FastAPI) -> Iterator[Watched]:
    plain: Keyring = contract.state.keyring
    contract.state.keyring = watched = Watched(plain)
    yield watched
    contract.state.keyring = plain


async def listed(client: Client, household_no: str, **more: str) -> dict[str, Any]:
    """The one resident of a household."""
    answer = await client.get(RESIDENTS, params={"household_no": household_no, **more})
    assert answer.status_code == 200, answer.text
    (item,) = answer.json()["items"]
    return dict(item)


async def test_a_list_of_last_four_digits_opens_no_number(contract: FastAPI, bureau: Client, watched: Watched) -> None:
    former, present = a_number(), a_number()
    resident = await registered(bureau, number=former)
    path = f"{RESIDENTS}/{resident['resident_id']}"
    birth_date = f"{present[6:10]}-{present[10:12]}-{present[12:14]}"
    changed = {"identity": {"type": "resident_id", "number": present}, "birth_date": birth_date}
    assert (await patched(bureau, path, changed)).status_code == 200
    watched.opened.clear()
    item = await listed(bureau, resident["household_no"], numbers="last_four")
    assert item["identity"] == {"type": "resident_id", "number": f"****{present[-4:]}"}
    assert item["former_identities"] == [{"type": "resident_id", "number": f"****{former[-4:]}"}]
    assert sorted(watched.opened) == sorted((present[-4:], former[-4:]))
    whole = await listed(bureau, resident["household_no"])
    assert whole["identity"]["number"] == present
    assert item | {"identity": 0, "former_identities": 0} == whole | {"identity": 0, "former_identities": 0}
    details = [row.detail for row in await written_down(contract, "resident", "*")]
    mine = [detail for detail in details if resident["resident_id"] in detail["residents"]]
    assert [detail["numbers"] for detail in mine] == ["last_four", "whole"]


async def test_a_record_of_before_shows_its_last_four_digits_too(contract: FastAPI, bureau: Client) -> None:
    number = a_number()
    resident = await registered(bureau, number=number)
    mine = ResidentIdentity.resident_id == UUID(resident["resident_id"])
    async with contract.state.database.transaction(SERVICE) as session:
        await session.execute(update(ResidentIdentity).where(mine).values(sealed_last_four=None))
    item = await listed(bureau, resident["household_no"], numbers="last_four")
    assert item["identity"]["number"] == f"****{number[-4:]}"


async def test_how_numbers_are_shown_is_one_of_two_words(bureau: Client) -> None:
    problem(await bureau.get(RESIDENTS, params={"numbers": "first_four", "name": uuid4().hex}), 422, "value_unknown")
