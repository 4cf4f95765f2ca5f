"""what a settlement's rows cost to write (decision 0024)"""

from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

# Long texts: to compress one costs as much as to write a short row. What doesn't fit is put beside the table.
LONG = (('bills', 'facts'), ('settlements', 'inputs'), ('settlements', 'answer'), ('outbox', 'payload'))


def upgrade() -> None:
    for table, column in LONG:
        op.execute(f"alter table {table} alter {column} set storage external")


def downgrade() -> None:
    for table, column in LONG:
        op.execute(f"alter table {table} alter {column} set storage extended")
