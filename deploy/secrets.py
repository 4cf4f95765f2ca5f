"""Secrets made at the first start and kept: keys, passwords, and the accounts of the demo county."""

import base64
import json
import os
import secrets as random
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.console import Unusable
from deploy.demo.accounts import CLIENTS, USERS
from deploy.state import State, write_private
from shared.kit.sealing import Keys


class Secrets:
    """The files under ``secrets/``. Each is made once; a file that is there is never made anew."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.data_keys = state.secrets / "data-keys.json"
        self.signing_keys = state.secrets / "signing-keys.json"
        self.accounts = state.secrets / "accounts.json"
        self._passwords = state.secrets / "passwords.json"

    def ensure(self) -> None:
        """Make what is missing."""
        if not self.data_keys.exists():
            key = base64.b64encode(os.urandom(32)).decode()
            _write(self.data_keys, {"current": "k1", "digest": "k1", "keys": {"k1": key}})
        if not self.signing_keys.exists():
            _write(self.signing_keys, {"current": "s1", "keys": {"s1": signing_key()}})
        self._ensure_accounts()

    def password(self, name: str) -> str:
        """The kept password of a database role or of the event channel; made when first asked for."""
        kept: dict[str, str] = _read(self._passwords) if self._passwords.exists() else {}
        if name not in kept:
            kept[name] = random.token_urlsafe(24)
            _write(self._passwords, kept)
        return kept[name]

    def adopt(self, kept: Path | None) -> None:
        """Take what a backup needs of its secrets: all where there are none yet, else the data keys that are missing.

        Today's passwords and signing keys stay. ``kept`` is the backup's folder of secrets; None when it is elsewhere.
        """
        brought = bool(os.environ.get("DATA_KEYS") or os.environ.get("DATA_KEYS_FILE"))
        if kept is None:
            if not self.data_keys.exists() and not brought:
                raise Unusable("neither the backup nor this system has the data keys: put its folder secrets/ back")
            return
        if not self.data_keys.exists():
            for path in sorted(kept.glob("*.json")):
                if not (self.state.secrets / path.name).exists():
                    write_private(self.state.secrets / path.name, path.read_text(encoding="utf-8"))
            return
        ours, theirs = _read(self.data_keys), _read(kept / self.data_keys.name)
        # By what digests rest on, whose key may have been given up here since the backup was made.
        same = Keys(json.dumps(ours)).digest == Keys(json.dumps(theirs)).digest
        clash = [key for key, value in theirs["keys"].items() if ours["keys"].get(key, value) != value]
        if not same or clash:
            raise Unusable(
                f"the data keys of this backup are not those of {self.state.folder}: it is of another house; "
                "restore it into an empty state folder (THREE_BATCHES_DATA)"
            )
        if theirs["keys"].keys() - ours["keys"].keys():
            # What the backup brings back is sealed with them: whatever was noted of keys out of use holds no more.
            keys = {**theirs["keys"], **ours["keys"]}
            ring = {**theirs, **ours, "keys": keys}
            ring.pop("unused_since", None)
            _write(self.data_keys, ring)

    def write_credentials(self, gateway_url: str) -> Path:
        """What a person or a program at this machine needs to come in: ``credentials.json``, mode 0600."""
        accounts = _read(self.accounts)
        clients = {
            name: {
                "client_id": account["client_id"],
                "client_secret": account["client_secret"],
                "institution_code": account["institution_code"],
            }
            for name, account in zip(CLIENTS, accounts["clients"], strict=True)
        }
        users = {
            name: {"username": account["username"], "password": account["password"], "roles": account["roles"]}
            for name, account in zip(USERS, accounts["users"], strict=True)
        }
        return self.state.write(
            self.state.credentials.name, {"gateway": gateway_url, "clients": clients, "users": users}
        )

    def _ensure_accounts(self) -> None:
        """One client for each demo institution, one user for each role; an account keeps its secret for good."""
        kept = _read(self.accounts) if self.accounts.exists() else {"clients": [], "users": []}
        client_secrets = {account["client_id"]: account["client_secret"] for account in kept["clients"]}
        passwords = {account["username"]: account["password"] for account in kept["users"]}
        accounts = {
            "clients": [
                {**client, "client_secret": client_secrets.get(client["client_id"]) or random.token_urlsafe(32)}
                for client in CLIENTS.values()
            ],
            "users": [
                {**user, "demo": True, "password": passwords.get(user["username"]) or random.token_urlsafe(18)}
                for user in USERS.values()
            ],
        }
        if accounts != kept:
            _write(self.accounts, accounts)


def signing_key() -> str:
    """A new Ed25519 private key in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _write(path: Path, content: dict[str, Any]) -> None:
    write_private(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Unusable(f"{path} can't be read; without it the data kept so far can't be opened") from None
    return found
