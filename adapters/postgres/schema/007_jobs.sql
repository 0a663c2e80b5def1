-- What changes too often, or is too long, to be an event of a job: its lease, its progress, its log.

create table rollbook.job_runs (
    job_id uuid primary key,
    organisation text collate "C" not null,
    fence integer not null,
    expires_at timestamptz not null,
    progress jsonb not null default '{}',
    heard_at timestamptz not null default clock_timestamp()
);
create table rollbook.job_logs (
    job_id uuid not null,
    number bigint generated always as identity,
    organisation text collate "C" not null,
    attempt integer not null,
    at timestamptz not null default clock_timestamp(),
    line text not null,
    primary key (job_id, number)
);

grant select, insert, update, delete on rollbook.job_runs, rollbook.job_logs to rollbook_writer;
grant select on rollbook.job_runs, rollbook.job_logs to rollbook_reader;
grant select on rollbook.job_runs to rollbook_projector;
alter table rollbook.job_runs enable row level security;
alter table rollbook.job_logs enable row level security;
create policy own_organisation on rollbook.job_runs for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy own_organisation on rollbook.job_logs for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_runs on rollbook.job_runs for select to rollbook_projector using (true);
