"""printed notices"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.kit.migrations import INSTITUTION, protect

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('notice_prints',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('settlement_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('check_code', sa.String(length=19), nullable=False),
    sa.Column('paper', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('sealed_name', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('pdf_sha256', sa.String(length=64), nullable=False),
    sa.Column('printed_by', sa.String(length=120), nullable=False),
    sa.Column('printed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('number >= 1 and (number = 1 or reason is not null)', name=op.f('ck_notice_prints_a_reprint_says_why')),
    sa.PrimaryKeyConstraint('county_code', 'settlement_id', 'number', name=op.f('pk_notice_prints'))
    )
    op.create_index('uq_notice_prints_check_code', 'notice_prints', ['check_code'], unique=True)
    op.create_table('notice_signatures',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('settlement_id', sa.Uuid(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('signed_by', sa.String(length=10), nullable=False),
    sa.Column('sealed_signer', sa.Text(), nullable=True),
    sa.Column('relation', sa.String(length=20), nullable=True),
    sa.Column('signed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('image_sha256', sa.String(length=64), nullable=False),
    sa.Column('recorded_by', sa.String(length=120), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("(signed_by = 'patient' and sealed_signer is null and relation is null) or (signed_by = 'proxy' and sealed_signer is not null and relation is not null)", name=op.f('ck_notice_signatures_a_proxy_is_named')),
    sa.ForeignKeyConstraint(['county_code', 'settlement_id', 'number'], ['notice_prints.county_code', 'notice_prints.settlement_id', 'notice_prints.number'], name=op.f('fk_notice_signatures_county_code_settlement_id_number')),
    sa.PrimaryKeyConstraint('county_code', 'settlement_id', 'number', name=op.f('pk_notice_signatures'))
    )
    # Whoever sees a settlement sees its papers; the hospital that advanced the money makes them.
    for table in ('notice_prints', 'notice_signatures'):
        mine = (f"exists (select from settlements s where s.county_code = {table}.county_code"
                f" and s.settlement_id = {table}.settlement_id")
        protect(table, read=f"{mine})", add=f"{mine} and s.institution_code = {INSTITUTION})")


def downgrade() -> None:
    op.drop_table('notice_signatures')
    op.drop_index('uq_notice_prints_check_code', table_name='notice_prints')
    op.drop_table('notice_prints')
