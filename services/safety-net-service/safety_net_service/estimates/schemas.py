"""What is estimated, and what is answered."""

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from safety_net_service.settlements.schemas import OutcomeRead
from shared.bills import form

EXAMPLE: JsonDict = {
    **form.EXAMPLE,
    # A referral, though none is needed in the county: FastAPI leaves null out of the examples it shows.
    "circumstances": {
        "cause": "illness",
        "place": "mainland",
        "referral": {"kind": "transfer", "number": "ZZ-2018-0001", "accepted_by_insurer": True},
    },
}


class EstimateBill(form.DischargeBill):
    """一份待试算的出院结算单。"""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})


class EstimateRead(OutcomeRead):
    """试算结果：与正式结算同一规则，不留存，不作为支付依据。"""

    institution_code: str = Field(title="医疗机构编码")
