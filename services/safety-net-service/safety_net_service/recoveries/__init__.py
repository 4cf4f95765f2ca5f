"""Recoveries (追补): money that a later fact shows to be too much or too little."""
