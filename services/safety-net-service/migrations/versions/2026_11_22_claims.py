"""claims"""

import sqlalchemy as sa
from alembic import op

from shared.kit.migrations import COUNTY, INSTITUTION, protect

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('claims',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('claim_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('institution_name', sa.String(length=200), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('bank', sa.String(length=200), nullable=False),
    sa.Column('account_holder', sa.String(length=200), nullable=False),
    sa.Column('sealed_account', sa.Text(), nullable=False),
    sa.Column('submitted_by', sa.String(length=120), nullable=False),
    sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('reviewed_by', sa.String(length=120), nullable=True),
    sa.Column('reviewed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(reviewed_by is not null) = (state <> 'submitted')", name=op.f('ck_claims_reviewed')),
    sa.CheckConstraint('extract(day from month) = 1', name=op.f('ck_claims_month')),
    sa.CheckConstraint('reviewed_by <> submitted_by', name=op.f('ck_claims_two_persons')),
    sa.CheckConstraint("state in ('submitted', 'reviewed')", name=op.f('ck_claims_state')),
    sa.PrimaryKeyConstraint('county_code', 'claim_id', name=op.f('pk_claims'))
    )
    op.create_index('ix_claims_county_code_seq', 'claims', ['county_code', 'seq'], unique=False)
    op.create_index('uq_claims_month', 'claims', ['county_code', 'institution_code', 'month'], unique=True)
    op.create_table('claim_lines',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('claim_id', sa.Uuid(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('settlement_id', sa.Uuid(), nullable=False),
    sa.Column('discharge_id', sa.Uuid(), nullable=False),
    sa.Column('bill_version', sa.Integer(), nullable=False),
    sa.Column('policy_version', sa.String(length=60), nullable=False),
    sa.Column('facts_sha256', sa.String(length=64), nullable=False),
    sa.Column('bill_no', sa.String(length=64), nullable=False),
    sa.Column('admission_no', sa.String(length=64), nullable=False),
    sa.Column('sealed_name', sa.Text(), nullable=False),
    sa.Column('admitted_on', sa.Date(), nullable=False),
    sa.Column('discharged_on', sa.Date(), nullable=False),
    sa.Column('total_fen', sa.BigInteger(), nullable=False),
    sa.Column('basic_insurance_fen', sa.BigInteger(), nullable=False),
    sa.Column('critical_illness_fen', sa.BigInteger(), nullable=False),
    sa.Column('supplementary_insurance_fen', sa.BigInteger(), nullable=False),
    sa.Column('medical_assistance_fen', sa.BigInteger(), nullable=False),
    sa.Column('safety_net_fen', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=20), server_default=sa.text("'claimed'"), nullable=False),
    sa.Column('return_reason', sa.Text(), nullable=True),
    sa.Column('returned_by', sa.String(length=120), nullable=True),
    sa.Column('returned_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state = 'returned') = (return_reason is not null)", name=op.f('ck_claim_lines_returned')),
    sa.CheckConstraint("state in ('claimed', 'returned')", name=op.f('ck_claim_lines_state')),
    sa.CheckConstraint('safety_net_fen > 0', name=op.f('ck_claim_lines_something_to_pay')),
    sa.ForeignKeyConstraint(['county_code', 'claim_id'], ['claims.county_code', 'claims.claim_id'], name=op.f('fk_claim_lines_county_code_claim_id')),
    sa.PrimaryKeyConstraint('county_code', 'claim_id', 'place', name=op.f('pk_claim_lines'))
    )
    op.create_index('ix_claim_lines_county_code_settlement_id', 'claim_lines', ['county_code', 'settlement_id'], unique=False)
    op.create_index('uq_claim_lines_discharge', 'claim_lines', ['discharge_id'], unique=True, postgresql_where=sa.text("state <> 'returned'"))
    # The service gathers them for the hospital that asks; from then on they are the county's to work on.
    for table in ('claims', 'claim_lines'):
        protect(table, read=f"county_code = {COUNTY} or institution_code = {INSTITUTION}", change=f"county_code = {COUNTY}")


def downgrade() -> None:
    op.drop_table('claim_lines')
    op.drop_table('claims')
