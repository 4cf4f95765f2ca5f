"""大病集中救治: hospitals' discharge bills, kept for ever; the disease ledger comes beside them.

Hears: contract.resident_changed, contract.institution_changed, safety_net.bill_settled.
Says: treatment.discharge_billed, treatment.discharge_corrected, treatment.discharge_voided.
"""
