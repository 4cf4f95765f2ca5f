"""The embedded run and the commands of make, on one machine.

make run            `run`, which starts and watches all: `bring_up`, `engines`, `cluster`, `channel_rights`, `services`,
                    `processes`, `supervisor`; what only a start needs runs in a process of its own: `order`, `prepare`,
                    `databases`; and so does `demo`, the demo county
other commands      `backup` and `backup_folder`; `restore`, `restored`, `lost`; `rotate_keys`; `rotate_data_keys`,
                    `data_keys`, `reseal`; `reconcile`; `audit_heads`, `verify_audit`
for all of them     `settings`, `state` and `secrets` (what is kept on this machine), `console` (what is said on the
                    terminal, and how a command ends), `client` (a caller of the gateway)
"""
