"""what a bill's rows cost to write (decision 0024)"""

from alembic import op

revision = '8c5d20f7b3a4'
down_revision = 'a59fc268ae12'
branch_labels = None
depends_on = None

# Long texts: compressing one costs more than all the rest of its row; where it doesn't fit, it is put beside the table.
LONG = {'bill_versions': 'content', 'bill_settlements': 'settlement', 'outbox': 'payload'}


def upgrade() -> None:
    # A version is written by the statement that writes its bill, and nothing is ever deleted.
    op.drop_constraint('fk_bill_versions_discharge_id', 'bill_versions', type_='foreignkey')
    for table, column in LONG.items():
        op.execute(f"alter table {table} alter {column} set storage external")
    # Each bill is changed once, when it is settled: there is room for it where it stands, and no index needs a new line.
    op.execute("alter table discharges set (fillfactor = 50)")


def downgrade() -> None:
    op.execute("alter table discharges reset (fillfactor)")
    for table, column in LONG.items():
        op.execute(f"alter table {table} alter {column} set storage extended")
    op.create_foreign_key(
        'fk_bill_versions_discharge_id', 'bill_versions', 'discharges', ['discharge_id'], ['discharge_id']
    )
