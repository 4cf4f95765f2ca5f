"""How tokens are signed, codes are checked and assertions are read. Pure but for randomness."""
