"""The registry, accounts, and what every service keeps of what it said, heard and did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.kit.migrations import COUNTY, INSTITUTION, SUBJECT, TOWNSHIP, VILLAGE, protect, protect_kit_tables

revision = 'contract_0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('clients',
    sa.Column('client_id', sa.String(length=120), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('secret_digest', sa.String(length=64), nullable=True),
    sa.Column('institution_code', sa.String(length=64), nullable=True),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('roles', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('active', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('administered_by', sa.String(length=6), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('bootstrap_digest', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_clients')),
    sa.UniqueConstraint('seq', name=op.f('uq_clients_seq'))
    )
    op.create_index('ix_clients_administered_by_seq', 'clients', ['administered_by', 'seq'], unique=False)
    op.create_index('ix_clients_institution_code', 'clients', ['institution_code'], unique=False)
    op.create_table('client_keys',
    sa.Column('client_id', sa.String(length=120), nullable=False),
    sa.Column('key_id', sa.String(length=64), nullable=False),
    sa.Column('algorithm', sa.String(length=10), nullable=False),
    sa.Column('public_key', sa.Text(), nullable=False),
    sa.Column('registered_by', sa.String(length=120), nullable=False),
    sa.Column('registered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['clients.client_id'], name=op.f('fk_client_keys_client_id')),
    sa.PrimaryKeyConstraint('client_id', 'key_id', name=op.f('pk_client_keys'))
    )
    op.create_table('used_assertions',
    sa.Column('client_id', sa.String(length=120), nullable=False),
    sa.Column('jti_digest', sa.String(length=64), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['clients.client_id'], name=op.f('fk_used_assertions_client_id')),
    sa.PrimaryKeyConstraint('client_id', 'jti_digest', name=op.f('pk_used_assertions'))
    )
    op.create_index('ix_used_assertions_expires_at', 'used_assertions', ['expires_at'], unique=False)
    op.create_table('sign_in_failures',
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('place', sa.String(length=200), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('last_failed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('locked_until', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('kind', 'place', name=op.f('pk_sign_in_failures'))
    )
    op.create_index('ix_sign_in_failures_last_failed_at', 'sign_in_failures', ['last_failed_at'], unique=False)
    op.create_table('institutions',
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('registered_by_county', sa.String(length=6), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('level', sa.SmallInteger(), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('township_code', sa.String(length=9), nullable=True),
    sa.Column('insurance_designated', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('phone', sa.String(length=40), nullable=True),
    sa.Column('has_client', sa.Boolean(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('institution_code', name=op.f('pk_institutions')),
    sa.UniqueConstraint('seq', name=op.f('uq_institutions_seq'))
    )
    op.create_index('ix_institutions_county_code_seq', 'institutions', ['county_code', 'seq'], unique=False)
    op.create_table('residents',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('resident_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('plain_name', sa.Text(), nullable=False),
    sa.Column('sex', sa.String(length=10), nullable=False),
    sa.Column('birth_date', sa.Date(), nullable=False),
    sa.Column('household_no', sa.String(length=32), nullable=False),
    sa.Column('relation_to_head', sa.String(length=40), nullable=False),
    sa.Column('village_code', sa.String(length=12), nullable=False),
    sa.Column('sealed_phone', sa.String(length=400), nullable=True),
    sa.Column('registered_poor', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('insurance', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('household_registration', sa.Boolean(), nullable=False),
    sa.Column('birth_document', sa.String(length=40), nullable=True),
    sa.Column('severe_mental_disorder', sa.Boolean(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('county_code', 'resident_id', name=op.f('pk_residents')),
    sa.UniqueConstraint('seq', name=op.f('uq_residents_seq'))
    )
    op.create_index('ix_residents_county_code_household_no', 'residents', ['county_code', 'household_no'], unique=False)
    op.create_index('ix_residents_county_code_plain_name', 'residents', ['county_code', 'plain_name'], unique=False, postgresql_ops={'plain_name': 'text_pattern_ops'})
    op.create_index('ix_residents_county_code_seq', 'residents', ['county_code', 'seq'], unique=False)
    op.create_index('ix_residents_village_code_seq', 'residents', ['village_code', 'seq'], unique=False)
    op.create_table('users',
    sa.Column('username', sa.String(length=120), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('password_hash', sa.String(length=200), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('roles', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('institution_code', sa.String(length=64), nullable=True),
    sa.Column('township_code', sa.String(length=9), nullable=True),
    sa.Column('village_code', sa.String(length=12), nullable=True),
    sa.Column('department', sa.String(length=60), nullable=True),
    sa.Column('active', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('demo', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('must_change_password', sa.Boolean(), server_default=sa.text('true'), nullable=False),
    sa.Column('sealed_totp', sa.String(length=200), nullable=True),
    sa.Column('totp_confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('totp_used_step', sa.BigInteger(), nullable=True),
    sa.Column('sessions_from', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('bootstrap_digest', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('username', name=op.f('pk_users')),
    sa.UniqueConstraint('seq', name=op.f('uq_users_seq'))
    )
    op.create_index('ix_users_county_code_seq', 'users', ['county_code', 'seq'], unique=False)
    op.create_table('institution_states',
    sa.Column('institution_code', sa.String(length=64), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('state', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('changed_by', sa.String(length=120), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['institution_code'], ['institutions.institution_code'], name=op.f('fk_institution_states_institution_code')),
    sa.PrimaryKeyConstraint('institution_code', 'revision', name=op.f('pk_institution_states'))
    )
    op.create_table('refresh_tokens',
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('family', sa.Uuid(), nullable=False),
    sa.Column('username', sa.String(length=120), nullable=False),
    sa.Column('signed_in_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['username'], ['users.username'], name=op.f('fk_refresh_tokens_username')),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_refresh_tokens')),
    sa.UniqueConstraint('seq', name=op.f('uq_refresh_tokens_seq'))
    )
    op.create_index('ix_refresh_tokens_expires_at', 'refresh_tokens', ['expires_at'], unique=False)
    op.create_index('ix_refresh_tokens_family', 'refresh_tokens', ['family'], unique=False)
    op.create_table('resident_identities',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('resident_id', sa.Uuid(), nullable=False),
    sa.Column('type', sa.String(length=40), nullable=False),
    sa.Column('sealed_number', sa.String(length=400), nullable=False),
    sa.Column('present', sa.Boolean(), nullable=False),
    sa.Column('known_since', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['county_code', 'resident_id'], ['residents.county_code', 'residents.resident_id'], name=op.f('fk_resident_identities_county_code_resident_id')),
    sa.PrimaryKeyConstraint('county_code', 'digest', name=op.f('pk_resident_identities'))
    )
    op.create_index('ix_resident_identities_county_code_resident_id', 'resident_identities', ['county_code', 'resident_id'], unique=False)
    op.create_index('uq_resident_identities_present', 'resident_identities', ['county_code', 'resident_id'], unique=True, postgresql_where=sa.text('present'))
    op.create_table('resident_states',
    sa.Column('county_code', sa.String(length=6), nullable=False),
    sa.Column('resident_id', sa.Uuid(), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.Column('state', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('changed_by', sa.String(length=120), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['county_code', 'resident_id'], ['residents.county_code', 'residents.resident_id'], name=op.f('fk_resident_states_county_code_resident_id')),
    sa.PrimaryKeyConstraint('county_code', 'resident_id', 'revision', name=op.f('pk_resident_states'))
    )
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
    county = f"county_code = {COUNTY}"
    # A township centre sees the township its institution lies in: asked once a statement, not once a row.
    centre = f"(select township_code from institutions where institution_code = {INSTITUTION})"
    place = f"left(village_code, 9) = {TOWNSHIP} or left(village_code, 9) = {centre} or village_code = {VILLAGE}"
    protect('residents', read=f"{county} or {place}", add=county, change=county)
    for table in ('resident_identities', 'resident_states'):
        seen = (f"exists (select from residents r where r.county_code = {table}.county_code"
                f" and r.resident_id = {table}.resident_id)")
        protect(table, read=f"{county} or {seen}", add=county, change=county if table == 'resident_identities' else '')
    # Institutions are shown to everyone signed in; the county that registered one keeps its record, and the county
    # that a national code names may take it over.
    keeps = f"registered_by_county = {COUNTY}"
    named = f"institution_code ~ '^[A-Z][0-9]{{11}}$' and substring(institution_code, 2, 6) = {COUNTY}"
    protect('institutions', read=f"{SUBJECT} is not null", add=keeps, change=f"{keeps} or ({named})")
    kept = f"exists (select from institutions i where i.institution_code = institution_states.institution_code and i.{keeps})"
    protect('institution_states', read=f"{SUBJECT} is not null", add=kept)
    protect('users', read=county, add=county, change=county)
    answers = f"administered_by = {COUNTY}"
    protect('clients', read=answers, add=answers, change=answers)
    clients = "exists (select from clients c where c.client_id = client_keys.client_id)"
    protect('client_keys', read=clients, add=clients, change=clients)
    # Signing in is the service's own work: nobody is known yet.
    for table in ('refresh_tokens', 'used_assertions', 'sign_in_failures'):
        protect(table)


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
    op.drop_table('resident_states')
    op.drop_index('uq_resident_identities_present', table_name='resident_identities', postgresql_where=sa.text('present'))
    op.drop_index('ix_resident_identities_county_code_resident_id', table_name='resident_identities')
    op.drop_table('resident_identities')
    op.drop_index('ix_refresh_tokens_family', table_name='refresh_tokens')
    op.drop_index('ix_refresh_tokens_expires_at', table_name='refresh_tokens')
    op.drop_table('refresh_tokens')
    op.drop_table('institution_states')
    op.drop_index('ix_users_county_code_seq', table_name='users')
    op.drop_table('users')
    op.drop_index('ix_residents_village_code_seq', table_name='residents')
    op.drop_index('ix_residents_county_code_seq', table_name='residents')
    op.drop_index('ix_residents_county_code_plain_name', table_name='residents', postgresql_ops={'plain_name': 'text_pattern_ops'})
    op.drop_index('ix_residents_county_code_household_no', table_name='residents')
    op.drop_table('residents')
    op.drop_index('ix_institutions_county_code_seq', table_name='institutions')
    op.drop_table('institutions')
    op.drop_index('ix_sign_in_failures_last_failed_at', table_name='sign_in_failures')
    op.drop_table('sign_in_failures')
    op.drop_index('ix_used_assertions_expires_at', table_name='used_assertions')
    op.drop_table('used_assertions')
    op.drop_table('client_keys')
    op.drop_index('ix_clients_institution_code', table_name='clients')
    op.drop_index('ix_clients_administered_by_seq', table_name='clients')
    op.drop_table('clients')
