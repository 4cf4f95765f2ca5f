"""Accounts (账号): hospitals' systems and local staff, their secrets, and who tried in vain to come in."""
