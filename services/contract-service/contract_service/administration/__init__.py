"""The administrator's work (系统管理): accounts made, locked, unlocked and given a new first password."""
