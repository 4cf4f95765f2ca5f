"""A discharge bill (出院结算单): its form, what can't be true of one, and what is told of it."""
