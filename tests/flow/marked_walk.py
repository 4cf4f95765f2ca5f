"""One walk through the whole running system with marked values: what callers may do, and may not."""

import base64
import json
import time
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import jwt

from contract_service.tokens.rules.totp import code_at
from shared.kit.identity_number import check_digit
from tests.flow.conftest import Caller, System
from tests.flow.marks import Heard, Marks, heard_by
from tests.flow.people import BILLS, HOSPITAL, SETTLEMENTS, a_bill, a_resident
from tests.flow.test_bill_to_settlement import eventually

RESIDENTS, INSTITUTIONS, ACCOUNTS = "/contract/v1/residents", "/contract/v1/institutions", "/contract/v1/accounts"
WAIT = {"Prefer": "wait=10"}
FIRST17, SECOND17 = "45132219270717000", "45132219280818000"
WORDS = {
    "number": FIRST17 + check_digit(FIRST17),
    "former_number": SECOND17 + check_digit(SECOND17),
    "unregistered_number": "45132219290919000" + check_digit("45132219290919000"),
    "mistyped_number": "451322193010100007",
    "name": "龘靐标记甲",
    "other_name": "Mk'\"\\标记乙–龘",
    "phone": "0772-73984615",
    "illness": "标记某病，左侧–龘期",
    "wrong_password": "Pw-marked-一个错的密码",
    "new_password": "Kw7-marked-lamb-river-九",
    "wrong_secret": "marked-client-secret-QzXv81",
    "bad_token": "marked.bearer.token-QzXv82-not-a-jwt",
}


class Walk:
    """One walk through everything: who walks, what is marked, what was heard."""

    def __init__(self, system: System) -> None:
        self.system, self.marks, self.heard = system, Marks(WORDS), Heard()
        self.anybody = httpx.Client(base_url=system.url, timeout=60)
        self.heard.listen(self.anybody)
        self._users: dict[str, Caller] = {}

    def user(self, name: str) -> Caller:
        """Somebody of an office; his token is marked too."""
        if name not in self._users:
            client = name not in self.system.credentials["users"]
            caller = self.system.client(name) if client else self.system.user(name)
            self.marks.add(f"token of {name}", caller.headers["authorization"].removeprefix("Bearer "))
            self._users[name] = heard_by(self.heard, caller)
        return self._users[name]


def walked(system: System) -> Walk:
    """The whole walk."""
    walk = Walk(system)
    for step in (people, bills, broken_bills, wrong_addresses, headers, signing_in, own_pages):
        step(walk)
    # What was said is heard, what was done is sealed.
    time.sleep(3)
    return walk


def people(walk: Walk) -> None:
    """Registering, changing, finding, and every refusal around it."""
    office = walk.user("poverty_office")
    body = marked_resident()
    former = {**body, "identity": {"type": "resident_id", "number": WORDS["former_number"]}}
    made = office.create(RESIDENTS, former)
    assert made.status_code == 201, made.text
    path, tag = f"{RESIDENTS}/{made.json()['resident_id']}", made.headers["etag"]
    patch = {"Content-Type": "application/merge-patch+json", "If-Match": tag}
    changed = office.patch(path, content=json.dumps({"identity": body["identity"]}), headers=patch)
    assert changed.status_code == 200, changed.text
    assert office.create(RESIDENTS, body).status_code == 409
    assert office.patch(path, content=json.dumps({"phone": WORDS["number"]}), headers=patch).status_code in (412, 422)
    patch["If-Match"] = changed.headers["etag"]
    renamed = office.patch(path, content=json.dumps({"name": WORDS["other_name"]}), headers=patch)
    assert renamed.status_code == 200, renamed.text
    patch["If-Match"] = renamed.headers["etag"]
    assert office.patch(path, content=json.dumps({"name": WORDS["name"]}), headers=patch).status_code == 200
    assert office.get(f"{path}/history").status_code == 200
    assert office.post(f"{RESIDENTS}/search", json={"identity_number": WORDS["former_number"]}).status_code == 200
    assert len(office.get(RESIDENTS, params={"name": WORDS["name"]}).json()["items"]) == 1
    wrong = WORDS["mistyped_number"]
    for broken in (
        {**body, "identity": {"type": "resident_id", "number": wrong}},
        {**body, "identity": {"type": wrong, "number": wrong}},
        {**body, wrong: wrong, WORDS["name"]: 1},
        {**body, "name": [WORDS["name"]], "phone": WORDS["name"]},
        {**body, "village_code": wrong, "household_no": WORDS["phone"]},
        [body],
    ):
        assert office.create(RESIDENTS, broken).status_code in (400, 422)
    assert office.post(f"{RESIDENTS}/search", json={"identity_number": [wrong]}).status_code == 422
    assert office.post(f"{RESIDENTS}/search", json={wrong: wrong}).status_code == 422
    raw = json.dumps(body)[:-1] + f', "{WORDS["number"]}": 1, "{WORDS["number"]}": NaN}}'
    key = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
    assert refused(office.post(RESIDENTS, content=raw.encode(), headers=key))
    assert walk.user(HOSPITAL).create(RESIDENTS, body).status_code == 403


def marked_resident() -> dict[str, Any]:
    """The marked resident as the register takes him."""
    born = "1927-07-17"
    identity = {"type": "resident_id", "number": WORDS["number"]}
    return {**a_resident(), "identity": identity, "birth_date": born, "name": WORDS["name"], "phone": WORDS["phone"]}


def signed_notice(hospital: Caller, notice: str) -> None:
    """The notice read, printed, signed by a proxy, and checked by its code."""
    assert WORDS["name"] in hospital.get(notice).text
    printed = hospital.create(f"{notice}/prints", {"reason": None})
    assert (printed.status_code, printed.content[:5]) == (201, b"%PDF-"), printed.text
    proxy = {"signed_by": "proxy", "signer_name": WORDS["other_name"], "relation": "child", "image_sha256": "0" * 64}
    signed = hospital.create(f"{notice}/prints/1/signature", proxy)
    assert signed.status_code == 201, signed.text
    assert refused(hospital.create(f"{notice}/prints", {"reason": WORDS["number"]}))
    assert refused(hospital.create(f"{notice}/prints/1/signature", {**proxy, "relation": WORDS["name"]}))
    code = hospital.get(f"{notice}/prints").json()["items"][0]["check_code"]
    assert WORDS["name"] in hospital.get(f"/safety-net/v1/notices/checks/{code}").text


def bills(walk: Walk) -> None:
    """Bills in every way, and all that follows from one."""
    hospital, office = walk.user(HOSPITAL), walk.user("safety_net_office")
    patient, code = marked_resident(), walk.system.credentials["clients"][HOSPITAL]["institution_code"]
    told = [{"code": "J18.900", "name": WORDS["illness"], "principal": True}]
    bill = a_bill(code, patient, diagnoses=told)
    key = {"Idempotency-Key": f"{WORDS['number']}-{uuid4()}"}
    posted = eventually(lambda: settled(hospital.create(BILLS, bill, **WAIT, **key)))
    assert hospital.create(BILLS, bill, **key).status_code == 201
    other = {**bill, "patient": {**bill["patient"], "name": WORDS["other_name"]}}
    assert hospital.create(BILLS, other, **key).status_code == 422
    assert hospital.create(BILLS, other).status_code == 409
    path, settlement = f"{BILLS}/{posted['discharge_id']}", posted["settlement"]["settlement_id"]
    for place in (path, BILLS, f"{BILLS}/changes", SETTLEMENTS, f"{SETTLEMENTS}/{settlement}"):
        assert hospital.get(place).status_code == 200
    signed_notice(hospital, f"/safety-net/v1/notices/{settlement}")
    assert hospital.post(f"{SETTLEMENTS}/estimate", json=bill).status_code == 200
    assert hospital.post(f"{SETTLEMENTS}/estimate", json={**other, WORDS["number"]: WORDS["name"]}).status_code == 422
    corrected = {**other, "version": 2}
    answer = hospital.create(f"{path}/corrections", {"reason": "姓名更正", "bill": corrected}, **WAIT)
    assert answer.status_code == 201, answer.text
    held = answer.json()["settlement"]["settlement_id"]
    said = {"decision": "pass", "reason": "已核对", "legal_basis": "A3-20"}
    proposed = office.create(f"{SETTLEMENTS}/{held}/decisions", said)
    assert proposed.status_code == 201, proposed.text
    place = f"{SETTLEMENTS}/{held}/decisions/{proposed.json()['decision_id']}"
    assert office.post(f"{place}/confirm", json={}).status_code in (403, 422)
    for reason in (WORDS["number"], f"患者 {WORDS['number'][:6]} {WORDS['number'][6:14]} {WORDS['number'][14:]} 有误"):
        again = {"reason": reason, "bill": {**corrected, "version": 3}}
        assert refused(hospital.create(f"{path}/corrections", again))
        assert refused(hospital.post(f"{path}/void", json={"reason": reason}))
        decided = {"decision": "reject", "reason": reason, "legal_basis": reason}
        assert refused(office.create(f"{SETTLEMENTS}/{held}/decisions", decided))
    assert hospital.post(f"{path}/void", json={"reason": "作废"}).status_code == 200
    lines = [
        a_bill(code, patient),
        a_bill(code, patient, version=7),
        a_bill(code, patient, state=WORDS["number"]),
        bill,
    ]
    raw = "\n".join([*map(json.dumps, lines), f'{{"{WORDS["number"]}": {WORDS["name"]}'])
    batch = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/x-ndjson"}
    assert hospital.post(f"{BILLS}/batch", content=raw.encode(), headers=batch).status_code == 200
    stranger = {
        **bill,
        "bill_no": f"F-{uuid4()}",
        "patient": {"identity_number": WORDS["unregistered_number"], "name": WORDS["other_name"]},
    }
    assert hospital.create(BILLS, stranger, **WAIT).status_code == 201
    for reader in ("auditor", "safety_net_office", "hrss", "finance"):
        for place in (
            path,
            BILLS,
            SETTLEMENTS,
            f"{SETTLEMENTS}/{settlement}",
            "/treatment/v1/audit",
            "/contract/v1/audit",
        ):
            walk.user(reader).get(place, params={"limit": 200} if "-" not in place.rpartition("/")[2] else {})


def settled(answer: httpx.Response) -> dict[str, Any] | None:
    """The posted bill once its settlement has passed: the registration may arrive after the bill."""
    assert answer.status_code in (200, 201), answer.text
    body: dict[str, Any] = answer.json()
    return body if body["state"] == "settled" else None


def broken_bills(walk: Walk) -> None:
    """Bills whose refusal might quote them."""
    hospital, number, name = walk.user(HOSPITAL), WORDS["number"], WORDS["name"]
    bill = a_bill("H45022300001", marked_resident())
    for broken in (
        {**bill, "patient": number},
        {**bill, "patient": {"identity_number": [number], "name": {name: number}}},
        {**bill, "patient": {number: name, name: number}},
        {**bill, number: {name: [number]}},
        {**bill, "institution_code": number},
        {**bill, "stay": {**bill["stay"], "admitted_on": number, "care_setting": name}},
        {**bill, "charges": {**bill["charges"], "total": number, number: "1.00"}},
        {**bill, "circumstances": {**bill["circumstances"], "cause": name, "referral": {"kind": number}}},
        [bill],
        number,
    ):
        assert refused(hospital.create(BILLS, broken))
        assert refused(hospital.post(f"{SETTLEMENTS}/estimate", json=broken))
    for raw in (
        json.dumps(bill)[:-1] + f', "{number}": NaN}}',
        json.dumps(bill)[:-1] + f', "{number}": 1, "{number}": 2}}',
        json.dumps(bill)[:-9],
        json.dumps({**bill, "patient": {"name": name + "\x00", "identity_number": number}}),
        json.dumps({**bill, "patient": {"name": name + "\ud800", "identity_number": number}}),
        "[" * 100 + f'"{number}"' + "]" * 100,
    ):
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/json"}
        assert refused(hospital.post(BILLS, content=raw.encode(), headers=headers)), raw
    headers = {"Idempotency-Key": str(uuid4()), "Content-Type": f"text/{number}"}
    assert hospital.post(BILLS, content=json.dumps(bill).encode(), headers=headers).status_code == 415
    large = json.dumps({**bill, "name": name * 400_000})
    assert hospital.create(BILLS, large).status_code == 413


def refused(answer: httpx.Response) -> bool:
    """Whether this is a refusal, and not our own fault."""
    return 400 <= answer.status_code < 500


def wrong_addresses(walk: Walk) -> None:
    """Paths and queries that hold what no path and no query should."""
    auditor = walk.user("auditor")
    for value in (WORDS["number"], WORDS["name"]):
        for place in (quote(value), "".join(f"%{byte:02X}" for byte in value.encode())):
            for begin in ("", "/nowhere", "/oauth", "/contract", "/contract/v1", RESIDENTS, INSTITUTIONS, BILLS):
                assert refused(auditor.get(f"{begin}/{place}"))
                assert refused(walk.anybody.get(f"{begin}/{place}"))
            for begin in (SETTLEMENTS, "/safety-net/v1/notices", f"{ACCOUNTS}/users", "/treatment/v1/dead-letters"):
                assert refused(auditor.get(f"{begin}/{place}"))
            for begin in (RESIDENTS, INSTITUTIONS, BILLS, SETTLEMENTS, "/treatment/v1/audit", "/healthz"):
                for query in (f"identity_number={place}", f"{place}=1", f"limit={place}", f"cursor={place}"):
                    auditor.get(f"{begin}?{query}")
                    walk.anybody.get(f"{begin}?{query}")
            assert refused(auditor.post(f"{BILLS}/{place}/corrections?{place}", json={}))
            auditor.request(value if value.isascii() else "MARK", f"{BILLS}")


def headers(walk: Walk) -> None:
    """Headers that hold what no header should."""
    auditor, number = walk.user("auditor"), WORDS["number"]
    wide = number.translate({ord(str(d)): 0xFF10 + d for d in range(10)})
    old = number[:6] + number[8:17]
    percent = "".join(f"%{byte:02X}" for byte in number.encode())
    for reason in (number, old, f"查阅 {number} 的结算单", wide, percent, quote(wide)):
        assert auditor.get(BILLS, headers={b"X-Reason": reason.encode()}).status_code == 400
    escaped = "".join(f"\\u{ord(character):04x}" for character in WORDS["name"])
    for value in (number, old, f"r-{number}", percent, quote(WORDS["name"]), escaped, number.lower()):
        for name in ("X-Request-Id", "traceparent", "User-Agent", "X-Forwarded-For", "Forwarded", "Prefer", "Cookie"):
            auditor.get(BILLS, headers={name: value})
            walk.anybody.get("/healthz", headers={name: value})
        auditor.post(BILLS, headers={"If-Match": value, "Idempotency-Key": value}, json={value: value})
    for token in (WORDS["bad_token"], number, forged_token(number)):
        assert walk.anybody.get(BILLS, headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert walk.anybody.get(BILLS, headers={"Authorization": f"{WORDS['bad_token']}"}).status_code == 401


def forged_token(number: str) -> str:
    """A token that nobody signed, in the name of a number."""
    return jwt.encode(
        {"sub": number, "kid": number, "iss": number}, "k" * 32, algorithm="HS256", headers={"kid": number}
    )


def signing_in(walk: Walk) -> None:
    """Sign-ins that fail, with what people type into the wrong field; then a whole first day."""

    def ask(path: str, **form: str) -> httpx.Response:
        return walk.anybody.post(f"/oauth/{path}", data=form)

    for username in (WORDS["number"], WORDS["name"], WORDS["wrong_password"], "his.nobody", "mark.first"):
        assert (
            ask("token", grant_type="password", username=username, password=WORDS["wrong_password"]).status_code >= 400
        )
        client = {"client_id": username, "client_secret": WORDS["wrong_secret"]}
        assert ask("token", grant_type="client_credentials", **client).status_code == 401
        basic = base64.b64encode(f"{quote(username)}:{WORDS['wrong_secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
        answer = walk.anybody.post("/oauth/token", data={"grant_type": "client_credentials"}, headers=headers)
        assert answer.status_code == 401
    assert ask("token", grant_type=WORDS["number"], **{WORDS["name"]: WORDS["number"]}).status_code == 400
    assert ask("token", grant_type="refresh_token", refresh_token=WORDS["bad_token"]).status_code == 400
    assertion = {"client_assertion_type": WORDS["bad_token"], "client_assertion": forged_token(WORDS["number"])}
    assert ask("token", grant_type="client_credentials", **assertion).status_code == 400
    assert walk.anybody.post("/oauth/token", json={"password": WORDS["wrong_password"]}).status_code == 400
    administrator = walk.user("administrator")
    wanted = {"username": "mark.first", "name": "测试经办", "roles": ["hrss"]}
    made = administrator.create(f"{ACCOUNTS}/users", wanted)
    first = walk.marks.add("first_password", made.json()["first_password"])
    machine: dict[str, Any] = {"client_id": "his.marked", "institution_code": "H45022300001", "public_key": None}
    walk.marks.add("client_secret", administrator.create(f"{ACCOUNTS}/clients", machine).json()["client_secret"])
    assert administrator.create(f"{ACCOUNTS}/users", {**wanted, "username": WORDS["number"]}).status_code == 422
    who, new = {"username": "mark.first"}, WORDS["new_password"]
    assert ask("password", **who, password=first, new_password=WORDS["number"] * 40).status_code >= 400
    assert ask("password", **who, password=first, new_password=new).status_code == 200
    secret = walk.marks.add("totp_secret", ask("totp", **who, password=new).json()["secret"])
    code = code_at(secret, int(time.time()) // 30)
    answer = ask("token", grant_type="password", **who, password=new, totp=code).json()
    walk.marks.add("access_token", answer["access_token"])
    refresh = walk.marks.add("refresh_token", answer["refresh_token"])
    assert ask("revoke", token=refresh).status_code == 200
    assert ask("token", grant_type="refresh_token", refresh_token=refresh).status_code == 400


def own_pages(walk: Walk) -> None:
    """What anybody may read of the house and of each service."""
    ports = json.loads((walk.system.data / "ports.json").read_text(encoding="utf-8"))
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        # 503: a busy machine did not answer the gateway in time; what was said counts here, not whether.
        assert walk.anybody.get(path).status_code in (200, 401, 404, 503)
        for service in ("contract", "treatment", "safety_net"):
            walk.anybody.get(f"http://127.0.0.1:{ports[service]}{path}")
