"""A bill that is heard of becomes one explained settlement, and the others are told."""

import pytest

from shared.kit.money import yuan
from tests.services.safety_net.world import World


@pytest.mark.clause("A3-20", "A3-25", "C-01")
async def test_a_bill_is_settled_and_said(world: World) -> None:
    settlement = await world.settle()
    assert (settlement.state, settlement.decision) == ("settled", "pass")
    assert yuan(settlement.safety_net_fen) == "3200.00"
    assert settlement.procedure == "hospital_advance"
    assert settlement.policy_version == "luzhai/2018.1"
    (said,) = await world.said()
    assert (said.revision, said.bill_version, said.state) == (1, 1, "settled")
    assert said.settlement["settlement_id"] == str(settlement.settlement_id)
    assert said.settlement["amounts"]["safety_net"] == "3200.00"
