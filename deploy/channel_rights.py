"""Who may say and hear what on the embedded event channel: each service speaks in its own name alone.

With a NATS of your own, give each service such an account too (`docs/threats.md` says what it prevents).
"""

from collections.abc import Mapping
from typing import Any

OPERATOR = "three_batches"


def rights(service: str) -> dict[str, Any]:
    """The permissions of one service (NATS configuration).

    It publishes its own events and no others', reads every stream through its own consumer, acknowledges for itself
    alone, and can neither delete nor purge anything. Changing a stream is the speaker's: a changed stream could take
    another's messages in under its subjects.
    """
    api, stream = "$JS.API", service.upper()
    return {
        "publish": {
            "allow": [
                f"{service}.>",
                "inbox.*.missing",
                f"{api}.INFO",
                f"{api}.STREAM.INFO.*",
                f"{api}.STREAM.CREATE.*",
                f"{api}.STREAM.UPDATE.{stream}",
                f"{api}.STREAM.MSG.GET.*",
                f"{api}.DIRECT.GET.>",
                *(f"{api}.CONSUMER.{verb}.*.{service}" for verb in ("CREATE", "DURABLE.CREATE", "INFO", "MSG.NEXT")),
                f"{api}.CONSUMER.CREATE.*.{service}.>",
                f"{api}.CONSUMER.LIST.{stream}",
                f"$JS.ACK.*.{service}.>",
            ]
        },
        # Answers come to inboxes of its own: under a common one everybody could read what others are sent.
        "subscribe": {"allow": [f"_INBOX.{service}.>", f"inbox.{service}.missing"]},
        # Answering who asked, once: the asker's inbox is not ours to publish to otherwise.
        "allow_responses": {"max": 1, "expires": "1m"},
    }


def users(operator_password: str, passwords: Mapping[str, str]) -> list[dict[str, Any]]:
    """The accounts of the channel: the operator's, who may do everything, and one for each service."""
    services = [
        {"user": service, "password": password, "permissions": rights(service)}
        for service, password in passwords.items()
    ]
    return [{"user": OPERATOR, "password": operator_password}, *services]
