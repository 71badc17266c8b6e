"""the first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('deliveries',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('nonce', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('first_event', sa.BigInteger(), nullable=False),
    sa.Column('last_event', sa.BigInteger(), nullable=False),
    sa.Column('content', sa.JSON(), nullable=False),
    sa.Column('message_id', sa.Text(), nullable=True),
    sa.CheckConstraint("state IN ('pending', 'sent')", name=op.f('ck_deliveries_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries')),
    sa.UniqueConstraint('release', 'seq', name=op.f('uq_deliveries_release_seq'))
    )
    op.create_table('events',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_events'))
    )
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_events_release_id'), ['release', 'id'], unique=False)

    op.create_table('evidence',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('repository', sa.Text(), nullable=False),
    sa.Column('commit', sa.Text(), nullable=False),
    sa.Column('argv', sa.JSON(), nullable=False),
    sa.Column('green', sa.Boolean(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('trim("commit") <> \'\'', name=op.f('ck_evidence_commit_not_blank')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_evidence'))
    )
    with op.batch_alter_table('evidence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_evidence_repository_commit'), ['repository', 'commit'], unique=False)

    op.create_table('leases',
    sa.Column('epoch', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('node', sa.Text(), nullable=False),
    sa.Column('pid_started', sa.Text(), nullable=False),
    sa.Column('holder', sa.Text(), nullable=False),
    sa.Column('pid', sa.BigInteger(), nullable=False),
    sa.Column('acquired_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('beat_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('epoch', name=op.f('pk_leases'))
    )
    op.create_table('releases',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('opened_by', sa.Text(), nullable=False),
    sa.Column('notes', sa.Text(), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('assembled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('track', sa.Integer(), server_default='1', nullable=False),
    sa.CheckConstraint('track = 1', name=op.f('ck_releases_one_track')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_releases')),
    sa.UniqueConstraint('slug', name=op.f('uq_releases_slug'))
    )
    with op.batch_alter_table('releases', schema=None) as batch_op:
        batch_op.create_index('uq_releases_one_active', ['track'], unique=True, sqlite_where=sa.text("state IN ('assembled', 'assembling')"), postgresql_where=sa.text("state IN ('assembled', 'assembling')"))

    op.create_table('seals',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('app', sa.Text(), nullable=False),
    sa.Column('summary', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('checks', sa.JSON(), nullable=False),
    sa.Column('rollback', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_seals'))
    )
    with op.batch_alter_table('seals', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_seals_release_id'), ['release', 'id'], unique=False)

    op.create_table('settings',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('value', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_settings'))
    )
    op.create_table('frozen',
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('repository', sa.Text(), nullable=False),
    sa.Column('sha', sa.Text(), nullable=False),
    sa.Column('version', sa.Text(), nullable=True),
    sa.Column('artefacts', sa.JSON(), nullable=False),
    sa.Column('requires', sa.JSON(), nullable=False),
    sa.Column('by_reference', sa.JSON(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.CheckConstraint('trim("sha") <> \'\'', name=op.f('ck_frozen_sha_not_blank')),
    sa.ForeignKeyConstraint(['release'], ['releases.slug'], name=op.f('fk_frozen_release_releases')),
    sa.PrimaryKeyConstraint('release', 'repository', name=op.f('pk_frozen'))
    )
    op.create_table('journal',
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('step', sa.Text(), nullable=False),
    sa.Column('log', sa.Text(), nullable=False),
    sa.Column('adopted', sa.Boolean(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('facts', sa.JSON(), nullable=False),
    sa.Column('reasons', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['release'], ['releases.slug'], name=op.f('fk_journal_release_releases')),
    sa.PrimaryKeyConstraint('release', 'key', name=op.f('pk_journal'))
    )
    op.create_table('ships',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('plan', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('attempt', sa.Integer(), nullable=False),
    sa.Column('plan_digest', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('confirmed_by', sa.Text(), nullable=False),
    sa.Column('mention', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reasons', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['release'], ['releases.slug'], name=op.f('fk_ships_release_releases')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ships'))
    )
    with op.batch_alter_table('ships', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_ships_release_id'), ['release', 'id'], unique=False)
        batch_op.create_index('uq_ships_one_running', ['state'], unique=True, sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))

    op.create_table('tasks',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('stage', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('shape', sa.Text(), nullable=False),
    sa.Column('worktree', sa.Text(), nullable=False),
    sa.Column('local_url', sa.Text(), nullable=False),
    sa.Column('qa_url', sa.Text(), nullable=False),
    sa.Column('production_url', sa.Text(), nullable=False),
    sa.Column('acceptance_criteria', sa.Text(), nullable=False),
    sa.Column('test_plan', sa.Text(), nullable=False),
    sa.Column('agent_context', sa.Text(), nullable=False),
    sa.Column('post_deploy_cmd', sa.Text(), nullable=False),
    sa.Column('builder', sa.Text(), nullable=False),
    sa.Column('risk_tags', sa.JSON(), nullable=False),
    sa.Column('release', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['release'], ['releases.slug'], name=op.f('fk_tasks_release_releases')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tasks')),
    sa.UniqueConstraint('slug', name=op.f('uq_tasks_slug'))
    )
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_tasks_stage_id'), ['stage', 'id'], unique=False)

    op.create_table('checks',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.Column('commit', sa.Text(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('trim("commit") <> \'\'', name=op.f('ck_checks_commit_not_blank')),
    sa.ForeignKeyConstraint(['task'], ['tasks.slug'], name=op.f('fk_checks_task_tasks')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_checks'))
    )
    with op.batch_alter_table('checks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_checks_task_id'), ['task', 'id'], unique=False)

    op.create_table('members',
    sa.Column('release', sa.Text(), nullable=False),
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['release'], ['releases.slug'], name=op.f('fk_members_release_releases')),
    sa.ForeignKeyConstraint(['task'], ['tasks.slug'], name=op.f('fk_members_task_tasks')),
    sa.PrimaryKeyConstraint('release', 'task', name=op.f('pk_members'))
    )
    op.create_table('moves',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('origin', sa.Text(), nullable=True),
    sa.Column('to', sa.Text(), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('model', sa.Text(), nullable=True),
    sa.Column('tokens', sa.BigInteger(), nullable=True),
    sa.Column('seconds', sa.Double[float](), nullable=True),
    sa.Column('cost_usd', sa.Double[float](), nullable=True),
    sa.ForeignKeyConstraint(['task'], ['tasks.slug'], name=op.f('fk_moves_task_tasks')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_moves'))
    )
    with op.batch_alter_table('moves', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_moves_task_id'), ['task', 'id'], unique=False)

    op.create_table('task_dependencies',
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('depends_on', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['depends_on'], ['tasks.slug'], name=op.f('fk_task_dependencies_depends_on_tasks')),
    sa.ForeignKeyConstraint(['task'], ['tasks.slug'], name=op.f('fk_task_dependencies_task_tasks')),
    sa.PrimaryKeyConstraint('task', 'depends_on', name=op.f('pk_task_dependencies'))
    )
    op.create_table('task_works',
    sa.Column('task', sa.Text(), nullable=False),
    sa.Column('repository', sa.Text(), nullable=False),
    sa.Column('branch', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['task'], ['tasks.slug'], name=op.f('fk_task_works_task_tasks')),
    sa.PrimaryKeyConstraint('task', 'repository', name=op.f('pk_task_works'))
    )


def downgrade() -> None:
    op.drop_table('task_works')
    op.drop_table('task_dependencies')
    with op.batch_alter_table('moves', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_moves_task_id'))

    op.drop_table('moves')
    op.drop_table('members')
    with op.batch_alter_table('checks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_checks_task_id'))

    op.drop_table('checks')
    with op.batch_alter_table('tasks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_tasks_stage_id'))

    op.drop_table('tasks')
    with op.batch_alter_table('ships', schema=None) as batch_op:
        batch_op.drop_index('uq_ships_one_running', sqlite_where=sa.text("state = 'running'"), postgresql_where=sa.text("state = 'running'"))
        batch_op.drop_index(batch_op.f('ix_ships_release_id'))

    op.drop_table('ships')
    op.drop_table('journal')
    op.drop_table('frozen')
    op.drop_table('settings')
    with op.batch_alter_table('seals', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_seals_release_id'))

    op.drop_table('seals')
    with op.batch_alter_table('releases', schema=None) as batch_op:
        batch_op.drop_index('uq_releases_one_active', sqlite_where=sa.text("state IN ('assembled', 'assembling')"), postgresql_where=sa.text("state IN ('assembled', 'assembling')"))

    op.drop_table('releases')
    op.drop_table('leases')
    with op.batch_alter_table('evidence', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_evidence_repository_commit'))

    op.drop_table('evidence')
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_events_release_id'))

    op.drop_table('events')
    op.drop_table('deliveries')
