"""The three sheets as they are printed."""
