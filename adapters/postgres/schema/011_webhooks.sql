-- Who is told of events by HTTP: where to, under which secret, up to which event, and what has become of each delivery.

-- The address and the secrets of a webhook, sealed under its organisation's key. Each counts from the event that set it.
create table rollbook.webhook_endpoints (
    webhook_id uuid primary key,
    organisation text collate "C" not null,
    sealed_url bytea not null,
    url_position bigint not null default 0,
    sealed_secret bytea not null,
    secret_position bigint not null default 0,
    sealed_previous bytea,
    previous_until timestamptz,
    kept_at timestamptz not null default clock_timestamp()
);
-- How far the log was followed for all webhooks that are in step with it.
create table rollbook.webhook_progress (
    only_row boolean primary key default true check (only_row),
    position bigint not null
);
insert into rollbook.webhook_progress (position) select coalesce(max(position), 0) from rollbook.events;
-- Webhooks as the log has them. One that is not in step was followed up to a sequence of its organisation; while a
-- process delivers to one it is leased to that process.
create table rollbook.webhook_followers (
    webhook_id uuid primary key,
    organisation text collate "C" not null,
    filters jsonb not null,
    paused boolean not null default false,
    behind_sequence bigint,
    failing_since timestamptz,
    failures integer not null default 0,
    rests_until timestamptz,
    leased_until timestamptz,
    taken_at timestamptz
);
create index followers_of_organisation on rollbook.webhook_followers (organisation);
-- One row an event and webhook; what is sent is read from the log when it is sent.
create table rollbook.webhook_deliveries (
    webhook_id uuid not null references rollbook.webhook_followers on delete cascade,
    position bigint not null,
    organisation text collate "C" not null,
    delivery_id uuid not null unique,
    event_id uuid not null,
    topic text collate "C" not null,
    state text collate "C" not null default 'waiting' check (state in ('waiting', 'delivered', 'dead')),
    attempts integer not null default 0,
    due_at timestamptz not null default clock_timestamp(),
    queued_at timestamptz not null default clock_timestamp(),
    first_tried_at timestamptz,
    tried_at timestamptz,
    status integer,
    problem text,
    primary key (webhook_id, position)
);
create index deliveries_due on rollbook.webhook_deliveries (webhook_id, due_at) where state = 'waiting';
create index deliveries_dead on rollbook.webhook_deliveries (webhook_id, position) where state = 'dead';
create index deliveries_done on rollbook.webhook_deliveries (tried_at) where state <> 'waiting';

grant select, insert, update, delete on rollbook.webhook_endpoints to rollbook_writer;
grant select (webhook_id, organisation, kept_at), delete on rollbook.webhook_endpoints to rollbook_projector;
grant select, update on rollbook.webhook_followers, rollbook.webhook_deliveries to rollbook_writer;
grant select on rollbook.webhook_followers, rollbook.webhook_deliveries, rollbook.webhook_progress to rollbook_reader;
grant select, insert, update, delete on rollbook.webhook_followers, rollbook.webhook_deliveries to rollbook_projector;
grant select, insert, update on rollbook.webhook_progress to rollbook_projector;
alter table rollbook.webhook_endpoints enable row level security;
alter table rollbook.webhook_followers enable row level security;
alter table rollbook.webhook_deliveries enable row level security;
create policy own_organisation on rollbook.webhook_endpoints for all to rollbook_writer
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_endpoints on rollbook.webhook_endpoints for all to rollbook_projector using (true);
create policy own_organisation on rollbook.webhook_followers for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_followers on rollbook.webhook_followers for all to rollbook_projector using (true) with check (true);
create policy own_organisation on rollbook.webhook_deliveries for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_deliveries on rollbook.webhook_deliveries for all to rollbook_projector using (true) with check (true);
