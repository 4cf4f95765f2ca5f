"""重病兜底保障: shares out discharge bills among their payers, by the county's policy, and explains every fen.

Hears the county registry (contract-service) and discharge bills (treatment-service). Says how each bill was settled.
"""
