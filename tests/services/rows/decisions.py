"""What decision 0018 says of every table: whose rows each scope sees, or why a table is left open."""

from shared.kit.scope import NOBODY, SERVICE, Scope

LUZHAI, URAD = "450223", "150824"
HOSPITAL, FAR_HOSPITAL = "H45022300001", "H15082400001"
TOWNSHIP, OTHER_TOWNSHIP, FAR_TOWNSHIP = "450223100", "450223101", "150824100"

SCOPES = {
    "nobody": NOBODY,
    "service": SERVICE,
    "office": Scope(county=LUZHAI, subject="clerk.a"),
    "far_office": Scope(county=URAD, subject="clerk.b"),
    "hospital": Scope(institution=HOSPITAL, subject="his.a"),
    "other_hospital": Scope(institution="H45022300009", subject="his.z"),
    "far_hospital": Scope(institution=FAR_HOSPITAL, subject="his.b"),
    "township": Scope(township=TOWNSHIP, subject="town.a"),
    "other_township": Scope(township=OTHER_TOWNSHIP, subject="town.z"),
    "village": Scope(village=f"{TOWNSHIP}001", subject="village.a"),
    "other_village": Scope(village=f"{TOWNSHIP}002", subject="village.z"),
    "doctor": Scope(subject="doctor.a"),
}
"""``a``: Luzhai's office, its hospital, one of its townships and villages; ``b``: another county's; ``z``: others."""

EVERYBODY = {name: "a b z" for name, scope in SCOPES.items() if scope.subject}
COUNTY = {"office": "a z", "far_office": "b"}
ONLY_SERVICE: dict[str, str] = {}
OWN = {"office": "a", "far_office": "b"}
# Rows: a of the office's county and its own, b of the other's, z of the same county but another place or person.
KIT: dict[str, dict[str, str]] = {
    "audit": {"office": "a z system", "far_office": "b system", "hospital": "z"},
    "idempotency_keys": OWN,
    "dead_letters": ONLY_SERVICE,
}
PROTECTED: dict[str, dict[str, dict[str, str]]] = {
    "contract": {
        **KIT,
        "institutions": EVERYBODY,
        "institution_states": EVERYBODY,
        **{
            table: {
                **COUNTY,
                # The register's township centre, which the hospital's code names here.
                "hospital": "a",
                "far_hospital": "b",
                "township": "a",
                "other_township": "z",
                "village": "a",
            }
            for table in ("residents", "resident_identities", "resident_states")
        },
        "users": COUNTY,
        "clients": COUNTY,
        "client_keys": COUNTY,
        "refresh_tokens": ONLY_SERVICE,
        "used_assertions": ONLY_SERVICE,
        "sign_in_failures": ONLY_SERVICE,
    },
    "treatment": {
        **KIT,
        **{
            # z: a resident of Luzhai in the other county's hospital, so that both counties see the bill.
            table: {"office": "a z", "far_office": "b z", "hospital": "a", "far_hospital": "b z"}
            for table in ("discharges", "bill_versions", "bill_settlements", "discharge_changes")
        },
        "institution_copies": EVERYBODY,
        **{
            table: {**COUNTY, **dict.fromkeys(("hospital", "other_hospital", "far_hospital"), "a b z")}
            for table in ("resident_copies", "resident_identities")
        },
    },
    "safety_net": {
        **KIT,
        **{
            table: {**COUNTY, "hospital": "a", "far_hospital": "b z", "township": "a", "other_township": "z"}
            for table in ("settlements", "bills")
        },
        "decisions": COUNTY,
        "recoveries": COUNTY,
        "institution_copies": EVERYBODY,
        "working_days": EVERYBODY,
        "claims": {**COUNTY, "hospital": "a", "far_hospital": "b z"},
        "claim_lines": {**COUNTY, "hospital": "a", "far_hospital": "b z"},
        **{
            table: {**COUNTY, "hospital": "a", "far_hospital": "b z", "township": "a", "other_township": "z"}
            for table in ("notice_prints", "notice_signatures")
        },
        **{
            table: {**COUNTY, **dict.fromkeys(("hospital", "other_hospital", "far_hospital"), "a b z")}
            for table in ("resident_copies", "resident_identities")
        },
    },
}

OPEN_KIT = {
    "alembic_version": "the migrations' own",
    "audit_epochs": "when a database began anew: nobody's row",
    "audit_seals": "numbers of rows and hashes: every county's auditor proves with them",
    "inbox": "ids of events, read by no route",
    "outbox": "added to by everybody and read back by number; only the relay reads it, and no route",
    "streams": "the event channel's own",
}
OPEN: dict[str, dict[str, str]] = {
    "contract": OPEN_KIT,
    "treatment": OPEN_KIT,
    "safety_net": {**OPEN_KIT, "looks": "what the clock looks at next: ids and digests, read by no route"},
}
SERVICES = tuple(PROTECTED)
