"""what a bill's rows cost to write (decision 0024)"""

from alembic import op

revision = '8c5d20f7b3a4'
down_revision = 'a59fc268ae12'
branch_labels = None
depends_on = None

# Long texts: to compress one costs as much as to write a short row. What doesn't fit is put beside the table.
LONG = (('bill_versions', 'content'), ('bill_settlements', 'settlement'), ('outbox', 'payload'))


def upgrade() -> None:
    for table, column in LONG:
        op.execute(f"alter table {table} alter {column} set storage external")
    # Each bill is changed once, when it is settled: there is room for it where it stands, and no index needs a new line.
    op.execute("alter table discharges set (fillfactor = 50)")


def downgrade() -> None:
    op.execute("alter table discharges reset (fillfactor)")
    for table, column in LONG:
        op.execute(f"alter table {table} alter {column} set storage extended")
