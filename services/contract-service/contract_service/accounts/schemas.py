"""The accounts a deployment brings along."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.kit.caller import ROLES
from shared.kit.fields import CountyCode, TownshipCode, VillageCode


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: Annotated[list[str], Field(min_length=1)]
    county_code: CountyCode
    institution_code: str | None = None

    @model_validator(mode="after")
    def _known_roles(self) -> Self:
        if unknown := set(self.roles) - set(ROLES):
            raise ValueError(f"no such role: {', '.join(sorted(unknown))}")
        return self


class ClientEntry(_Entry):
    """A client to keep up to date at start."""

    client_id: Annotated[str, Field(min_length=1, max_length=120)]
    client_secret: Annotated[str, Field(min_length=20, max_length=500)]


class UserEntry(_Entry):
    """A user to keep up to date at start. Unless it is a demo's, its password is a first one."""

    username: Annotated[str, Field(min_length=1, max_length=120)]
    password: Annotated[str, Field(min_length=8, max_length=500)]
    name: Annotated[str, Field(max_length=200)] = ""
    township_code: TownshipCode | None = None
    village_code: VillageCode | None = None
    department: Annotated[str, Field(max_length=60)] | None = None
    demo: bool = False


class BootstrapAccounts(BaseModel):
    """The accounts a deployment brings along; those it names no more stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    clients: list[ClientEntry] = []
    users: list[UserEntry] = []
