"""``python -m tests.bench.openfisca.decide CASES.json SECONDS``: how many cases a second of CPU OpenFisca Core does.

Each case is a simulation of its own, made and asked the cheapest way the library has: no tracing, no JSON situation.
"""

import json
import sys
import time
from typing import Any

from openfisca_core.simulations import SimulationBuilder

from tests.bench.openfisca.country import COUNTS, FLAGS, SUMS, TEXTS, system

PERIOD = "2018-08"
NAMES = (*(f"{name}_fen" for name in SUMS), *FLAGS, *COUNTS, *TEXTS)


def main(file: str, seconds: float) -> None:
    """Print one line of JSON: the rate, and what each case came to."""
    with open(file, encoding="utf-8") as opened:
        cases = json.load(opened)
    country = system()

    def decide(case: dict[str, Any]) -> list[int]:
        simulation = SimulationBuilder().build_default_simulation(country, 1)
        for name in NAMES:
            simulation.set_input(name, PERIOD, [case[name]])
        paid = simulation.calculate("safety_net_fen", PERIOD)
        return [int(paid[0]), int(simulation.calculate("hospital_share_fen", PERIOD)[0])]

    shares = [decide(case) for case in cases]
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        decide(cases[done % len(cases)])
        done += 1
    sys.stdout.write(json.dumps({"rate": done / spent, "shares": shares}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
