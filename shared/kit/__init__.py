"""Plumbing, the same for all services, without a domain noun. This list is the door; a house test keeps it.

To enter, a file is used unchanged by all, or could be: nothing of one service is in it.

a service           `service`, `settings`, `log`, `worker`, `alone`, `operations`
who asks            `caller`, `tokens`, `outside`, `scope` (whose rows), `sealing` (what nobody may read)
HTTP                `http`, `fields`, `strict_json`, `problems`, `refusals`, `idempotency`, `cursors`, `waits`
database            `database`, `migrations`, `direct` and `combiner` (the quick way)
events              `events`, `structs`, `outbox`, `inbox`, `bus`, `reconciliation`
audit trail         `audit`, `sealer`, `seal_chain`, `trail`, `verification`
law and numbers     `policy`, `money`, `clock`, `workdays`, `identity_number`
paper               `typeset` and its fonts
"""
