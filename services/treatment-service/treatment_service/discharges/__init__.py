"""Discharge bills (出院结算单): recorded once, corrected by versions, voided, answered with their settlement."""
