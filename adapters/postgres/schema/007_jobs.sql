-- What changes too often, or is too long, to be an event of a job: that its worker lives, its progress, its log.

-- `beats` grows with every sign of the worker of this fence; once it is `over`, no sign can revive it.
create table rollbook.job_runs (
    job_id uuid primary key,
    organisation text collate "C" not null,
    fence integer not null,
    beats integer not null default 1,
    over boolean not null default false,
    progress jsonb not null default '{}',
    heard_at timestamptz not null default clock_timestamp()
);
-- The lines of a log until the job has ended.
create table rollbook.job_logs (
    job_id uuid not null,
    number bigint generated always as identity,
    organisation text collate "C" not null,
    attempt integer not null,
    at timestamptz not null default clock_timestamp(),
    line text not null,
    primary key (job_id, number)
);
-- The lines up to a number, as text, in the store of blobs; a job that was tried again after its end has several parts.
create table rollbook.job_log_parts (
    job_id uuid not null,
    last_number bigint not null,
    organisation text collate "C" not null,
    digest text not null check (digest ~ '^[0-9a-f]{64}$'),
    size bigint not null,
    kept_at timestamptz not null default clock_timestamp(),
    primary key (job_id, last_number)
);
create index on rollbook.job_log_parts (kept_at);
create index on rollbook.job_log_parts (digest);

grant select, insert, update, delete on rollbook.job_runs, rollbook.job_logs, rollbook.job_log_parts to rollbook_writer;
grant select on rollbook.job_runs, rollbook.job_logs, rollbook.job_log_parts to rollbook_reader, rollbook_projector;
alter table rollbook.job_runs enable row level security;
alter table rollbook.job_logs enable row level security;
alter table rollbook.job_log_parts enable row level security;
create policy own_organisation on rollbook.job_runs for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy own_organisation on rollbook.job_logs for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy own_organisation on rollbook.job_log_parts for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_runs on rollbook.job_runs for select to rollbook_projector using (true);
create policy all_logs on rollbook.job_logs for select to rollbook_projector using (true);
create policy all_parts on rollbook.job_log_parts for select to rollbook_projector using (true);
