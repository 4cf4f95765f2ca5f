"""Who may come into the demo county: one client for each institution, one user for each role, and a second maker.

Secrets are added when they are made (`deploy.secrets`); contract-service keeps the accounts.
"""

from typing import Any

from deploy.demo.county import COUNTY, INSTITUTIONS, TOWNSHIPS

LUZHAI = TOWNSHIPS[0]
HRSS = "人社局"

CLIENTS: dict[str, dict[str, Any]] = {
    name: {
        "client_id": name,
        "institution_code": institution["institution_code"],
        "county_code": institution["county_code"],
        "roles": ["hospital"],
    }
    for name, institution in INSTITUTIONS.items()
}


def _user(username: str, name: str, role: str | None = None, **bound: str) -> dict[str, Any]:
    return {"username": username, "name": name, "roles": [role or username], "county_code": COUNTY, **bound}


USERS: dict[str, dict[str, Any]] = {
    user["username"]: user
    for user in (
        _user("hospital", "演示医院结算员", institution_code=INSTITUTIONS["county_hospital"]["institution_code"]),
        _user("township_centre", "演示卫生院人员", institution_code=LUZHAI.institution_code, township_code=LUZHAI.code),
        _user(
            "family_doctor",
            "演示家庭医生",
            institution_code=LUZHAI.institution_code,
            township_code=LUZHAI.code,
            village_code=LUZHAI.villages[0],
        ),
        _user("village_committee", "演示村干部", township_code=LUZHAI.code, village_code=LUZHAI.villages[0]),
        _user("health_bureau", "演示卫计局人员", department="卫计局"),
        _user("poverty_office", "演示扶贫办人员", department="扶贫办"),
        _user("hrss", "演示人社局人员", department=HRSS),
        _user("civil_affairs", "演示民政局人员", department="民政局"),
        _user("disabled_federation", "演示残联人员", department="残联"),
        _user("insurer", "演示经办机构人员"),
        _user("safety_net_office", "演示兜底办经办人"),
        _user("safety_net_office_2", "演示兜底办复核人", "safety_net_office"),
        _user("department_leader", "演示分管领导", department=HRSS),
        _user("department_head", "演示主要领导", department=HRSS),
        _user("finance", "演示财政局人员", department="财政局"),
        _user("township_government", "演示镇政府人员", township_code=LUZHAI.code),
        _user("poverty_workstation", "演示扶贫工作站人员", township_code=LUZHAI.code),
        _user("inspection_office", "演示督查室人员", department="督查室"),
        _user("auditor", "演示审计局人员", department="审计局"),
        _user("administrator", "演示系统管理员"),
    )
}
