"""The last four digits of an identity number, sealed apart from it."""

import sqlalchemy as sa
from alembic import op

revision = 'contract_0002'
down_revision = 'contract_0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Only the keys' holder can fill it for rows that are there: `make rotate-data-keys` does.
    op.add_column('resident_identities', sa.Column('sealed_last_four', sa.String(length=400), nullable=True))


def downgrade() -> None:
    op.drop_column('resident_identities', 'sealed_last_four')
