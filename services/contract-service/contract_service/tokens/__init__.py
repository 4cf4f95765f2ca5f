"""Tokens (令牌): how a machine or a person proves who it is, and what it gets for that."""
