"""Settlements (兜底结算): a bill shared out among its payers, every step with its clause, every version kept."""
