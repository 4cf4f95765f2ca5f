"""The tables: what the migrations make is what the models say, and what was done can't be undone."""

import asyncio

import asyncpg
import pytest
from alembic import command
from fastapi import FastAPI

from deploy.databases import alembic_config
from deploy.settings import SERVICES, Urls


async def test_the_migrations_make_what_the_models_say(contract: FastAPI, contract_urls: Urls) -> None:
    assert contract.state.database
    config = alembic_config(SERVICES["contract"], contract_urls.owner_url)
    await asyncio.to_thread(command.check, config)


async def test_the_service_can_neither_change_nor_delete_its_audit_trail_and_histories(contract_urls: Urls) -> None:
    connection = await asyncpg.connect(contract_urls.service_url)
    try:
        for statement in (
            "update audit set caller = 'x'", "delete from audit", "truncate audit",
            "update resident_states set state = '{}'", "delete from resident_states",
            "update institution_states set state = '{}'", "delete from institution_states",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
