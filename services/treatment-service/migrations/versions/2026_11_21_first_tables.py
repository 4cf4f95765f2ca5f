"""first_tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.kit.migrations import COUNTY, INSTITUTION, SUBJECT, protect, protect_kit_tables

revision = 'a59fc268ae12'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('bill_settlements',
    sa.Column('discharge_id', sa.Uuid(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('bill_version', sa.Integer(), nullable=False),
    sa.Column('settlement_id', sa.Uuid(), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('procedure', sa.String(length=40), nullable=True),
    sa.Column('settlement', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('discharge_id', name=op.f('pk_bill_settlements'))
    )
    op.create_table('discharge_changes',
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=True),
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('discharge_id', sa.Uuid(), nullable=False),
    sa.Column('bill_no', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('settlement_id', sa.Uuid(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_discharge_changes')),
    sa.UniqueConstraint('position', name=op.f('uq_discharge_changes_position'))
    )
    op.create_index('ix_discharge_changes_institution_code_position', 'discharge_changes', ['institution_code', 'position'], unique=False)
    op.create_index('ix_discharge_changes_unplaced', 'discharge_changes', ['seq'], unique=False, postgresql_where=sa.text('position is null'))
    op.create_table('discharges',
    sa.Column('discharge_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('bill_no', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('recorded_county_code', sa.String(length=6), nullable=False),
    sa.Column('recorded_by_window', sa.Boolean(), nullable=False),
    sa.Column('identity_digest', sa.String(length=64), nullable=True),
    sa.Column('admission_no', sa.String(length=64), nullable=False),
    sa.Column('admitted_on', sa.Date(), nullable=False),
    sa.Column('discharged_on', sa.Date(), nullable=False),
    sa.Column('total_fen', sa.BigInteger(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('discharge_id', name=op.f('pk_discharges')),
    sa.UniqueConstraint('institution_code', 'bill_no', name=op.f('uq_discharges_institution_code_bill_no')),
    sa.UniqueConstraint('seq', name=op.f('uq_discharges_seq'))
    )
    op.create_index('ix_discharges_county_code_seq', 'discharges', ['county_code', 'seq'], unique=False)
    op.create_index('ix_discharges_identity_digest', 'discharges', ['identity_digest'], unique=False)
    op.create_index('ix_discharges_institution_code_admission_no', 'discharges', ['institution_code', 'admission_no'], unique=False)
    op.create_index('ix_discharges_institution_code_seq', 'discharges', ['institution_code', 'seq'], unique=False)
    op.create_table('institution_copies',
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('has_client', sa.Boolean(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.PrimaryKeyConstraint('institution_code', name=op.f('pk_institution_copies'))
    )
    op.create_table('resident_copies',
    sa.Column('resident_id', sa.Uuid(), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('village_code', sa.String(length=12), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('resident_id', name=op.f('pk_resident_copies'))
    )
    op.create_table('bill_versions',
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('bill_no', sa.String(length=64), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('discharge_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('sealed_identity', sa.String(), nullable=True),
    sa.Column('sealed_name', sa.String(), nullable=False),
    sa.Column('recorded_by', sa.String(length=120), nullable=False),
    sa.Column('recorded_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['discharge_id'], ['discharges.discharge_id'], name=op.f('fk_bill_versions_discharge_id')),
    sa.PrimaryKeyConstraint('institution_code', 'bill_no', 'version', name=op.f('pk_bill_versions'))
    )
    op.create_index('ix_bill_versions_discharge_id_version', 'bill_versions', ['discharge_id', 'version'], unique=True)
    op.create_table('resident_identities',
    sa.Column('resident_id', sa.Uuid(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['resident_id'], ['resident_copies.resident_id'], name=op.f('fk_resident_identities_resident_id')),
    sa.PrimaryKeyConstraint('resident_id', 'digest', name=op.f('pk_resident_identities'))
    )
    op.create_index('ix_resident_identities_digest', 'resident_identities', ['digest'], unique=False)
    op.create_table('audit',
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('county_code', sa.Text(), nullable=False),
    sa.Column('caller', sa.Text(), nullable=False),
    sa.Column('roles', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('object_type', sa.Text(), nullable=False),
    sa.Column('object_id', sa.Text(), nullable=False),
    sa.Column('detail', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column('xid', sa.BigInteger(), server_default=sa.text('(pg_current_xact_id()::text)::bigint'), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_audit'))
    )
    op.create_index('ix_audit_county_code_seq', 'audit', ['county_code', 'seq'], unique=False)
    op.create_index('ix_audit_object', 'audit', ['object_type', 'object_id'], unique=False)
    op.create_index('ix_audit_xid_seq', 'audit', ['xid', 'seq'], unique=False)
    op.create_table('audit_epochs',
    sa.Column('epoch', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('epoch_id', sa.Uuid(), server_default=sa.text('gen_random_uuid()'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('forked_after', sa.BigInteger(), nullable=False),
    sa.Column('forked_chain', sa.LargeBinary(), nullable=False),
    sa.Column('floor_seq', sa.BigInteger(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('epoch', name=op.f('pk_audit_epochs'))
    )
    op.create_table('audit_seals',
    sa.Column('batch', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('first', sa.BigInteger(), nullable=False),
    sa.Column('last', sa.BigInteger(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.Column('first_xid', sa.BigInteger(), nullable=False),
    sa.Column('last_xid', sa.BigInteger(), nullable=False),
    sa.Column('seqs', postgresql.ARRAY(sa.BigInteger()), nullable=False),
    sa.Column('leaves', sa.LargeBinary(), nullable=False),
    sa.Column('root', sa.LargeBinary(), nullable=False),
    sa.Column('previous', sa.LargeBinary(), nullable=False),
    sa.Column('chain', sa.LargeBinary(), nullable=False),
    sa.Column('sealed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('batch', name=op.f('pk_audit_seals'))
    )
    op.create_index('ix_audit_seals_last_xid', 'audit_seals', ['last_xid'], unique=False)
    op.create_index('ix_audit_seals_sealed_at_batch', 'audit_seals', ['sealed_at', 'batch'], unique=False)
    # The first life of this database; a restore begins the next.
    op.execute("insert into audit_epochs (epoch, forked_after, forked_chain, floor_seq, note) "
               "values (1, 0, decode(repeat('00', 32), 'hex'), 0, 'created')")
    op.create_table('dead_letters',
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('subject', sa.String(length=120), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('deliveries', sa.Integer(), nullable=False),
    sa.Column('error_type', sa.String(length=120), nullable=False),
    sa.Column('died_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('replayed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('replayed_by', sa.String(length=120), nullable=True),
    sa.PrimaryKeyConstraint('event_id', name=op.f('pk_dead_letters')),
    sa.UniqueConstraint('seq', name=op.f('uq_dead_letters_seq'))
    )
    op.create_table('idempotency_keys',
    sa.Column('caller', sa.String(length=120), nullable=False),
    sa.Column('path', sa.String(length=300), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('body_hash', sa.LargeBinary(), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('ids', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('kept_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('caller', 'path', 'key', name=op.f('pk_idempotency_keys'))
    )
    op.create_index('ix_idempotency_keys_kept_at', 'idempotency_keys', ['kept_at'], unique=False)
    op.create_table('inbox',
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('subject', sa.String(length=120), nullable=False),
    sa.Column('heard_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('event_id', name=op.f('pk_inbox'))
    )
    op.create_table('outbox',
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('subject', sa.String(length=120), nullable=False),
    sa.Column('payload', sa.LargeBinary(), nullable=False),
    sa.Column('said_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_outbox')),
    sa.UniqueConstraint('event_id', name=op.f('uq_outbox_event_id'))
    )
    op.create_index('ix_outbox_subject_seq', 'outbox', ['subject', 'seq'], unique=False)
    op.create_index('ix_outbox_waiting', 'outbox', ['seq'], unique=False, postgresql_where=sa.text('published_at is null'))
    op.create_table('streams',
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('created', sa.String(length=60), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_streams'))
    )
    _protect()


def _protect() -> None:
    """Whose rows these are (decision 0018)."""
    protect_kit_tables()
    hospital = f"institution_code = {INSTITUTION}"
    window = f"recorded_county_code = {COUNTY}"
    seen = f"{hospital} or county_code = {COUNTY} or {window}"
    protect('discharges', read=seen, add=f"{hospital} or {window}", change=seen)
    # Seen as the bill is seen. A hospital's are added in the statement that adds the bill: its own column comes first.
    for table, own in (('bill_versions', f"recorded_by = {SUBJECT}"), ('discharge_changes', 'true')):
        as_the_bill = f"{hospital} or exists (select from discharges d where d.discharge_id = {table}.discharge_id)"
        protect(table, read=as_the_bill, add=f"{own} and ({as_the_bill})")
    protect('bill_settlements',
            read="exists (select from discharges d where d.discharge_id = bill_settlements.discharge_id)")
    protect('institution_copies', read=f"{SUBJECT} is not null")
    # In which county a hospital's patient is registered, a bill must find out: of anybody, but without a name.
    protect('resident_copies', read=f"county_code = {COUNTY} or {INSTITUTION} is not null")
    protect('resident_identities', read="exists (select from resident_copies r"
            " where r.resident_id = resident_identities.resident_id)")


def downgrade() -> None:
    op.drop_table('streams')
    op.drop_index('ix_outbox_waiting', table_name='outbox', postgresql_where=sa.text('published_at is null'))
    op.drop_index('ix_outbox_subject_seq', table_name='outbox')
    op.drop_table('outbox')
    op.drop_table('inbox')
    op.drop_index('ix_idempotency_keys_kept_at', table_name='idempotency_keys')
    op.drop_table('idempotency_keys')
    op.drop_table('dead_letters')
    op.drop_index('ix_audit_seals_sealed_at_batch', table_name='audit_seals')
    op.drop_index('ix_audit_seals_last_xid', table_name='audit_seals')
    op.drop_table('audit_seals')
    op.drop_table('audit_epochs')
    op.drop_index('ix_audit_xid_seq', table_name='audit')
    op.drop_index('ix_audit_object', table_name='audit')
    op.drop_index('ix_audit_county_code_seq', table_name='audit')
    op.drop_table('audit')
    op.drop_index('ix_resident_identities_digest', table_name='resident_identities')
    op.drop_table('resident_identities')
    op.drop_index('ix_bill_versions_discharge_id_version', table_name='bill_versions')
    op.drop_table('bill_versions')
    op.drop_table('resident_copies')
    op.drop_table('institution_copies')
    op.drop_index('ix_discharges_institution_code_seq', table_name='discharges')
    op.drop_index('ix_discharges_institution_code_admission_no', table_name='discharges')
    op.drop_index('ix_discharges_identity_digest', table_name='discharges')
    op.drop_index('ix_discharges_county_code_seq', table_name='discharges')
    op.drop_table('discharges')
    op.drop_index('ix_discharge_changes_unplaced', table_name='discharge_changes', postgresql_where=sa.text('position is null'))
    op.drop_index('ix_discharge_changes_institution_code_position', table_name='discharge_changes')
    op.drop_table('discharge_changes')
    op.drop_table('bill_settlements')
