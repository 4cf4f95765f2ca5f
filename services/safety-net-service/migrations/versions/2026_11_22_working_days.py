"""working days"""

import sqlalchemy as sa
from alembic import op

from shared.kit.migrations import COUNTY, SUBJECT, protect

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('working_days',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('is_workday', sa.Boolean(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('source', sa.String(length=200), nullable=False),
    sa.Column('arrangement_id', sa.Uuid(), nullable=False),
    sa.Column('entered_by', sa.String(length=120), nullable=False),
    sa.Column('entered_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("is_workday is not null or county_code <> ''", name=op.f('ck_working_days_the_country_always_says')),
    sa.PrimaryKeyConstraint('county_code', 'day', 'seq', name=op.f('pk_working_days'))
    )
    op.create_index('ix_working_days_arrangement_id', 'working_days', ['arrangement_id'], unique=False)
    # A public calendar: a hospital's terms run by it too. Each county's offices say which of their days differ.
    protect('working_days', read=f"{SUBJECT} is not null", add=f"county_code = {COUNTY}")


def downgrade() -> None:
    op.drop_index('ix_working_days_arrangement_id', table_name='working_days')
    op.drop_table('working_days')
