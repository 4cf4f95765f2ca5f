"""慢病签约服务管理 and the county registry: residents, institutions, accounts and tokens; agreements come beside them.

Hears nothing. Says: contract.resident_changed, contract.institution_changed.
"""
