"""Distinct discharge bills as the bytes of whole requests, each put together in about a microsecond.

A bill has the 25 head fields of the API and diagnoses up to about 4 KB; the API knows no item lines.
"""

import itertools
import json
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from deploy.demo.county import INSTITUTIONS
from deploy.demo.people import Person
from shared.kit.money import yuan

PATH = "/treatment/v1/discharges"
SETTLED = b'"settlement":{'
VARIANTS = 64
# A batch of 5,000 lines must fit into the 16 MiB that the API takes: 3,355 bytes a line.
DIAGNOSES, DIAGNOSES_OF_A_LINE = 20, 15
ILLNESSES = (
    ("C34.900", "支气管或肺恶性肿瘤，病理类型待定，伴纵隔淋巴结转移，拟行化学治疗"),
    ("I63.900", "脑梗死，左侧大脑中动脉供血区，恢复期，右侧肢体偏瘫，言语不清"),
    ("N18.000", "慢性肾脏病五期，终末期肾病，规律血液透析，肾性贫血，肾性高血压"),
    ("E11.700", "二型糖尿病伴有多个并发症，糖尿病肾病，糖尿病视网膜病变，血糖控制不佳"),
    ("I10.x05", "高血压病三级，极高危组，高血压性心脏病，心功能二级，长期服药"),
    ("J44.100", "慢性阻塞性肺疾病急性加重期，肺源性心脏病，慢性呼吸衰竭，长期氧疗"),
    ("K80.000", "胆囊结石伴急性胆囊炎，胆总管扩张，拟行腹腔镜下胆囊切除手术治疗"),
    ("I25.103", "冠状动脉粥样硬化性心脏病，不稳定型心绞痛，支架植入术后，心功能三级"),
    ("K74.600", "肝硬化失代偿期，门静脉高压，食管胃底静脉曲张，脾功能亢进，腹水"),
    ("M51.202", "腰椎间盘突出症，腰四五节段，神经根受压，保守治疗效果欠佳，拟手术"),
    ("S72.000", "股骨颈骨折，右侧，头下型，移位明显，拟行人工髋关节置换手术治疗"),
    ("C16.900", "胃恶性肿瘤，低分化腺癌，根治术后，第四周期辅助化学治疗，骨髓抑制"),
    ("J18.900", "肺炎，双侧下叶，社区获得性，重症，呼吸机辅助通气，继发感染性休克"),
    ("A16.200", "肺结核，双上肺，涂片阳性，复治，强化期，合并支气管扩张伴感染咯血"),
    ("G20.x00", "帕金森病，中晚期，运动并发症，姿势步态障碍，吞咽困难，营养不良"),
    ("M06.900", "类风湿性关节炎，活动期，双手多关节畸形，继发性骨质疏松，激素治疗"),
)


class Bills:
    """An endless supply of bills, no two with the same number; ``run`` keeps the numbers of runs apart.

    ``tokens`` are the hospitals' by their names in the credentials; they post in turn.
    """

    def __init__(
        self,
        run: str,
        place: str,
        tokens: Mapping[str, str],
        residents: Sequence[Person],
        diagnoses: int = DIAGNOSES,
    ) -> None:
        self.run = run
        self.tokens = dict(tokens)
        self._numbers = itertools.count(1)
        self._codes = {name: str(INSTITUTIONS[name]["institution_code"]).encode() for name in tokens}
        chance = random.Random(run)
        shuffled = chance.sample(list(residents), len(residents))
        self._patients = itertools.cycle([_json(_patient(person)) for person in shuffled])
        self._clients = itertools.cycle(chance.sample(list(tokens), len(tokens)))
        self._full = itertools.cycle([_rest(chance, diagnoses) for _ in range(VARIANTS)])
        self._short = itertools.cycle([_rest(chance, DIAGNOSES_OF_A_LINE) for _ in range(VARIANTS)])
        self._place = place
        self._heads: dict[tuple[str, bytes], bytes] = {}

    def request(self, prefer: bytes = b"") -> bytes:
        """A bill of the next hospital as a whole request. ``prefer``: the value of that header."""
        client, number = next(self._clients), b"%s-%08d" % (self.run.encode(), next(self._numbers))
        body = self._bill(client, number, next(self._full))
        return b"".join((self._head(client, prefer), number, b"\r\nContent-Length: %d\r\n\r\n" % len(body), body))

    def waiting(self) -> bytes:
        """The same, the answer to be given with the settlement."""
        return self.request(b"wait=30")

    def batch(self, client: str, lines: int) -> bytes:
        """So many bills of one hospital as one NDJSON request, a kilobyte shorter each."""
        bills = [
            self._bill(client, b"%s-%08d" % (self.run.encode(), next(self._numbers)), next(self._short))
            for _ in range(lines)
        ]
        body = b"\n".join(bills) + b"\n"
        head = (
            f"POST {PATH}/batch HTTP/1.1\r\nHost: {self._place}\r\nAuthorization: Bearer {self.tokens[client]}\r\n"
            f"Content-Type: application/x-ndjson\r\nIdempotency-Key: {self.run}-batch-{next(self._numbers)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    def _bill(self, client: str, number: bytes, rest: bytes) -> bytes:
        return b"".join(
            (
                b'{"institution_code":"', self._codes[client], b'","bill_no":"', number, b'","version":1,"patient":',
                next(self._patients), b',"stay":{"admission_no":"', number, b'",', rest,
            )
        )  # fmt: skip

    def _head(self, client: str, prefer: bytes) -> bytes:
        if (client, prefer) not in self._heads:
            wish = f"Prefer: {prefer.decode()}\r\n" if prefer else ""
            head = (
                f"POST {PATH} HTTP/1.1\r\nHost: {self._place}\r\nAuthorization: Bearer {self.tokens[client]}\r\n"
                f"Content-Type: application/json\r\n{wish}Idempotency-Key: "
            )
            self._heads[client, prefer] = head.encode()
        return self._heads[client, prefer]


def a_bill_of_4_kb(chance: random.Random) -> dict[str, Any]:
    """What a bill says after its patient, as JSON; the baseline's rows carry the same."""
    found: dict[str, Any] = json.loads(b'{"stay":{"admission_no":"1",' + _rest(chance, DIAGNOSES))
    return found


def _patient(person: Person) -> dict[str, str]:
    return {"identity_number": person.number, "name": person.name}


def _rest(chance: random.Random, diagnoses: int) -> bytes:
    """A bill from behind its admission number to its end, with amounts and days of its own."""
    admitted = date(2018, 1, 5) + timedelta(days=chance.randrange(340))
    total = chance.randrange(100_000, 6_000_000)
    basic = total * chance.randrange(40, 70) // 100
    serious, aid = total * chance.randrange(0, 12) // 100, total * chance.randrange(0, 10) // 100
    drugs = total * 2 // 5
    stay = {
        "admitted_on": admitted.isoformat(),
        "discharged_on": (admitted + timedelta(days=chance.randrange(1, 15))).isoformat(),
        "care_setting": "inpatient",
        "emergency": False,
        "pay_later_agreement_no": "XY-2018-0032",
    }
    first = chance.randrange(len(ILLNESSES))
    picked = [ILLNESSES[(first + place) % len(ILLNESSES)] for place in range(diagnoses)]
    rest = {
        "diagnoses": [
            {"code": code, "name": f"{name}（出院第{place}诊断）", "principal": place == 1}
            for place, (code, name) in enumerate(picked, 1)
        ],
        "charges": {
            "total": yuan(total),
            "in_scope": yuan(total * 9 // 10),
            "non_medical": yuan(total // 100),
            "drugs": yuan(drugs),
            "catalogue_drugs": yuan(drugs * 39 // 40),
        },
        "reimbursements": {
            "basic_insurance": yuan(basic),
            "critical_illness": yuan(serious),
            "supplementary_insurance": "0.00",
            "medical_assistance": yuan(aid),
            "other": "0.00",
        },
        "circumstances": {"cause": "illness", "place": "mainland", "referral": None},
    }
    return _json(stay)[1:] + b"," + _json(rest)[1:]


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
