"""Who is asking, and whether the role may."""

import re
import unicodedata
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Header, Request

from shared.kit.problems import Problem, RoleNotAllowed, Unauthenticated
from shared.kit.tokens import TokenVerifier, bearer

Role = Literal[
    "hospital",
    "township_centre",
    "family_doctor",
    "village_committee",
    "health_bureau",
    "poverty_office",
    "hrss",
    "civil_affairs",
    "disabled_federation",
    "insurer",
    "safety_net_office",
    "department_leader",
    "department_head",
    "finance",
    "township_government",
    "poverty_workstation",
    "inspection_office",
    "auditor",
    "administrator",
]
ROLES: tuple[str, ...] = get_args(Role)
REASON_LIMIT = 200
NUMBER = re.compile(r"[0-9]{15}")


class ReasonInvalid(Problem):
    status, code, title = 400, "reason_invalid", "X-Reason is not usable"
    detail = "X-Reason 应为不超过 200 字的文字，且不得含身份证号。"


@dataclass(frozen=True)
class Caller:
    """A person or a machine with a valid token, and what it is bound to.

    ``admitted``: by which of the roles the route let the caller in. Only these say whose rows may be seen (`scope`), so
    that an office held beside another opens nothing on a route that is not for it. None before a route was asked.
    """

    subject: str
    roles: frozenset[str]
    county_code: str
    institution_code: str | None = None
    township_code: str | None = None
    village_code: str | None = None
    department: str | None = None
    address: str = field(default="", compare=False)
    reason: str = field(default="", compare=False)
    admitted: frozenset[str] | None = field(default=None, compare=False)

    def scope(self) -> list[str | None]:
        """What a cursor is bound to beside the caller's name."""
        return [
            self.county_code,
            self.institution_code,
            self.township_code,
            self.village_code,
            " ".join(sorted(self.roles)),
        ]

    def has(self, *roles: str) -> bool:
        """Whether the caller holds one of these roles."""
        return not self.roles.isdisjoint(roles)


SYSTEM = Caller("system", frozenset(), "")
"""The system itself, for what it does because of an event or a clock."""


def caller_of(claims: dict[str, Any], address: str = "", reason: str = "") -> Caller:
    """The caller a token's claims describe."""
    roles = claims.get("roles")
    if not isinstance(roles, list) or not isinstance(claims.get("county_code"), str):
        raise Unauthenticated("访问令牌缺少角色或所属县。")
    return Caller(
        subject=claims["sub"],
        roles=frozenset(str(role) for role in roles) & frozenset(ROLES),
        county_code=claims["county_code"],
        institution_code=claims.get("institution_code"),
        township_code=claims.get("township_code"),
        village_code=claims.get("village_code"),
        department=claims.get("department"),
        address=address,
        reason=reason,
    )


def address_of(request: Request) -> str:
    """Where a request came from: as the gateway says, which alone reaches the services."""
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[0].strip()
    return forwarded or (request.client.host if request.client else "")


def reason_of(header: str) -> str:
    """Why a caller asks, for the audit trail: the words of ``X-Reason``, UTF-8 as it is or percent-encoded.

    It stands in the trail for ever, so what looks like an identity number is refused.
    """
    try:
        said = unquote_to_bytes(header.encode("latin-1")).decode("utf-8").strip()
    except UnicodeError:
        raise ReasonInvalid from None
    if (
        len(said) > REASON_LIMIT
        or (said and not said.isprintable())
        or NUMBER.search(unicodedata.normalize("NFKC", said))
    ):
        raise ReasonInvalid
    return said


async def signed_in(request: Request) -> Caller:
    """The caller of this request; 401 without a valid token."""
    verifier: TokenVerifier = request.app.state.verifier
    claims = await verifier.claims(bearer(request.headers.get("authorization")))
    return caller_of(claims, address_of(request), reason_of(request.headers.get("x-reason", "")))


class Allow:
    """A route's dependency: who may call it. A route without one is refused by a house test."""

    def __init__(self, *roles: str) -> None:
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise ValueError(f"no such role: {unknown}")
        self.roles = frozenset(roles)

    async def __call__(
        self,
        request: Request,
        _: Annotated[
            str | None,
            Header(
                alias="X-Reason", description="查阅或办理的事由，记入审计（不超过 200 字，UTF-8 或百分号编码；可不填）"
            ),
        ] = None,
    ) -> Caller:
        caller = await signed_in(request)
        if not caller.has(*self.roles):
            raise RoleNotAllowed
        # A route may ask several gates (a list's paging has one that admits everybody): all of them must admit.
        before: Caller | None = getattr(request.state, "caller", None)
        admitted = (caller.roles if before is None or before.admitted is None else before.admitted) & self.roles
        request.state.caller = replace(caller, admitted=admitted)
        return request.state.caller  # type: ignore[no-any-return]


EVERYONE = Allow(*ROLES)


def allowed(*roles: str) -> Any:
    """``caller: Annotated[Caller, allowed("hospital")]``: 401 without a token, 403 for other roles."""
    return Depends(Allow(*roles))


SignedIn = Annotated[Caller, Depends(EVERYONE)]


async def public() -> None:
    """A route that says so may be read by anyone, without a token (A0-01: 主动公开)."""
