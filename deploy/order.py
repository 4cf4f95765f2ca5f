"""What the supervisor and the process that prepares the databases both know, at no cost of imports."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

from deploy.settings import Urls


@dataclass(frozen=True)
class Order:
    """What is to be prepared: an outside NATS to look for, the databases' administrator, databases brought along."""

    folder: str
    nats_url: str | None
    admin_url: str | None
    outside: Mapping[str, Urls]

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The order as it was sent, in JSON."""
        sent = json.loads(text)
        return cls(**{**sent, "outside": {name: Urls(**urls) for name, urls in sent["outside"].items()}})


def embedded_urls(admin_url: str, database: str, password: Callable[[str], str], *, roles: str | None = None) -> Urls:
    """How a service reaches its database in the embedded PostgreSQL; ``password`` gives that of a role.

    ``roles``: what its roles are named after, where that is not the database.
    """
    place = urlsplit(admin_url).netloc.rpartition("@")[2]
    owner, worker = f"{roles or database}_owner", f"{roles or database}_service"
    url = {role: f"postgresql://{role}:{quote(password(role), safe='')}@{place}/{database}" for role in (owner, worker)}
    return Urls(owner_url=url[owner], service_url=url[worker], service_role=worker)
