"""What the Office decides (兜底办审定) where the rules leave it to people: one proposes, another confirms."""
