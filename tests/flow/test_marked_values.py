"""Marked values go through the whole running system, and are then looked for wherever they have no business.

Every number, name, telephone number, illness in words, password, token and secret of the walk is unmistakable, and is
looked for in every form that `marks.forms` knows. What may hold one stands in `MAY_BE_ANSWERED` and `MAY_STAND`, each
with its reason.
"""

import asyncio
import base64
import json
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from tests.flow import marks as marked
from tests.flow.conftest import System
from tests.flow.marked_walk import ACCOUNTS, RESIDENTS, WORDS, Walk, walked
from tests.flow.marks import SEES_ALL, Marks, forms
from tests.flow.people import BILLS

PATIENT = {"number", "former_number", "name", "other_name", "phone"}

# Which answers may hold which values, by how their path begins and their status; all others may hold none.
MAY_BE_ANSWERED = {
    # The register shows a resident to who may read him, and to who registers or changes him.
    **{(f"{method} {RESIDENTS}", status): PATIENT for method in ("GET", "POST", "PATCH") for status in (200, 201)},
    # One bill, read by who may: patient's number and name. Lists show neither (see `test_no_list_…` of the services).
    (f"GET {BILLS}/", 200): {"number", "name", "other_name", "illness"},
    # The notice is handed to the patient: his name stands on it, never his number.
    ("GET /safety-net/v1/notices/", 200): {"name", "other_name"},
    ("POST /safety-net/v1/notices/", 201): {"name", "other_name"},
    # A secret is shown once, to who asked for it, in the answer that made it.
    ("POST /oauth/token", 200): {"access_token", "refresh_token"},
    ("POST /oauth/totp", 200): {"totp_secret"},
    (f"POST {ACCOUNTS}/users", 201): {"first_password"},
    (f"POST {ACCOUNTS}/clients", 201): {"client_secret"},
}
# Which columns may hold which values in the clear.
MAY_STAND = {
    # The register is searched by the beginning of a name: a sealed name could not be found.
    "contract.residents.name": {"name", "other_name"},
    "contract.residents.plain_name": {"name", "other_name"},
    # What the hospital calls an illness stays with its bill: who settles it needs the code alone.
    "treatment.bill_versions.content": {"illness"},
}


@pytest.fixture(scope="module")
def walk(system: System) -> Walk:
    """The walk, walked once; the tests look at what it left behind."""
    return walked(system)


def test_every_form_of_a_value_is_recognised() -> None:
    marks = Marks({"name": WORDS["name"], "number": WORDS["number"]})
    for said in (
        json.dumps({"a": WORDS["name"]}),
        json.dumps({"a": WORDS["name"]}, ensure_ascii=False),
        f"?name={quote(WORDS['name'])}",
        *(base64.b64encode(f"{'x' * n}{WORDS['name']}yz".encode()).decode() for n in range(3)),
    ):
        assert marks.within(said.encode()) == ["name"], said
    number = WORDS["number"]
    for said in (
        f"x{number}y",
        number.lower(),
        number[:6] + number[8:17],
        number.encode().hex(),
        quote("４５１３２２１９２７０７１７０００") + "%EF",
    ):
        assert marks.within(said.encode()) in (["number"], []), said
    assert marks.within(f"id={number[:6] + number[8:17]}".encode()) == ["number"]
    assert marks.within(b"nothing of the sort 451322") == []
    assert all(len(form) > 8 for value in WORDS.values() for form in forms(value))


def test_no_log_holds_a_marked_value(walk: Walk) -> None:
    logs = list((walk.system.data / "logs").iterdir())
    names = {path.name for path in logs}
    assert {"gateway.log", "contract.log", "treatment.log", "safety-net.log", "nats.log", "postgres.log"} <= names
    assert (walk.system.data / "logs" / "treatment.log").stat().st_size > 1000
    assert marked.in_files([*logs, walk.system.output], walk.marks) == []


def test_no_message_and_no_file_of_the_event_channel_holds_one(walk: Walk) -> None:
    assert marked.in_streams(walk.system, walk.marks) == []
    files = [path for path in (walk.system.data / "nats").rglob("*") if path.is_file()]
    assert any(path.suffix == ".blk" for path in files)
    assert marked.in_files(files, walk.marks) == []


def test_no_answer_holds_one_but_those_that_must(walk: Walk) -> None:
    refusals = [status for _, status, _ in walk.heard.answers if status >= 400]
    assert len(refusals) > 200
    assert marked.in_answers(walk.heard, walk.marks, MAY_BE_ANSWERED) == []


def test_the_databases_hold_them_only_where_they_are_needed(walk: Walk) -> None:
    assert marked.in_databases(walk.system, walk.marks, MAY_STAND) == []
    # What stands nowhere need not be allowed anywhere.
    assert {line.rpartition(": ")[0] for line in marked.in_databases(walk.system, walk.marks, {})} == set(MAY_STAND)


def test_what_the_database_refuses_it_does_not_quote(walk: Walk) -> None:
    """PostgreSQL's own log: neither the statement, nor its parameters, nor the row that broke a rule."""

    async def provoke() -> None:
        owner = await asyncpg.connect(marked.owner_url(walk.system, "contract"), server_settings=SEES_ALL)
        row = await owner.fetchrow("select * from residents where plain_name = $1", WORDS["name"])
        assert row is not None
        number, name = WORDS["number"], WORDS["name"].replace("'", "''")
        for statement, *given in (
            ("insert into residents overriding system value select * from residents where name = $1", WORDS["name"]),
            (f"insert into resident_identities (county_code, digest, resident_id) values ('1', '{number}', null)",),
            (f"select '{name}' from nowhere",),
            (f"update residents set sex = '{name * 9}'",),
            ("update residents set village_code = null where name = $1", WORDS["name"]),
        ):
            with pytest.raises(asyncpg.PostgresError):
                await owner.execute(statement, *given)
        await owner.close()

    log = walk.system.data / "logs" / "postgres.log"
    before = log.stat().st_size
    asyncio.run(provoke())
    assert b"duplicate key" in log.read_bytes()[before:]
    assert marked.in_files([log], walk.marks) == []


def test_secrets_lie_in_files_of_their_owner_alone(walk: Walk) -> None:
    private: list[Path] = [*(walk.system.data / "secrets").iterdir(), walk.system.data / "credentials.json"]
    assert len(private) >= 5
    assert {oct(path.stat().st_mode & 0o777) for path in private} == {"0o600"}
