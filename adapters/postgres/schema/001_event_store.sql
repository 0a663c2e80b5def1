-- The event store: one append-only log, one function that writes to it, and the roles that may use them.
-- Run by the owner, once; :app_role is the login role that the processes use.

create schema rollbook;

-- The store's name for itself. A restored backup raises the epoch, so that followers notice.
create table rollbook.identity (
    only_row boolean primary key default true check (only_row),
    store_id uuid not null,
    epoch integer not null default 1
);
insert into rollbook.identity (store_id) values (gen_random_uuid());

create table rollbook.events (
    position bigint not null,
    commit_position bigint not null,
    event_id uuid not null,
    stream_id text collate "C" not null,
    version integer not null,
    topic text collate "C" not null,
    schema_version integer not null,
    organisation text collate "C" not null,
    sequence bigint not null,
    recorded_at timestamptz not null,
    envelope bytea not null,
    payload bytea not null,
    previous_hash bytea not null,
    hash bytea not null,
    primary key (position)
) partition by range (position);

create index events_of_stream on rollbook.events (stream_id, version);
create index events_of_organisation on rollbook.events (organisation, sequence);

-- Room for ten million events each; append adds the next partition before the last one is reached.
create function rollbook.add_partition(first_position bigint) returns void
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    execute format(
        'create table if not exists rollbook.events_%s partition of rollbook.events for values from (%s) to (%s)',
        to_char(first_position / 10000000, 'FM000000'), first_position, first_position + 10000000);
end $$;
select rollbook.add_partition(0), rollbook.add_partition(10000000);

create function rollbook.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are for ever: % on % is refused', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger events_are_for_ever before update or delete on rollbook.events
    for each row execute function rollbook.refuse_change();
create trigger events_are_never_truncated before truncate on rollbook.events
    for each statement execute function rollbook.refuse_change();

-- Unique names that are in use (a live package's name and version, an app's name on a server ...).
create table rollbook.taken_keys (
    organisation text collate "C" not null,
    key text collate "C" not null,
    stream_id text not null,
    primary key (organisation, key)
);

-- What came of each command that brought an Idempotency-Key; kept for 7 days.
create table rollbook.commands (
    command_id uuid primary key,
    request_digest bytea not null,
    status integer not null,
    resource text not null,
    position bigint not null,
    recorded_at timestamptz not null
);
create index commands_by_age on rollbook.commands (recorded_at);

create table rollbook.snapshots (
    stream_id text collate "C" primary key,
    organisation text collate "C" not null,
    version integer not null,
    format text not null,
    state bytea not null
);

-- Keys under which personal facts are encrypted. Destroying a row is erasing the person.
create table rollbook.organisations (
    organisation text collate "C" primary key,
    owner_id text,
    wrapped_key bytea
);
create table rollbook.people (
    organisation text collate "C" not null,
    actor_id uuid not null,
    fingerprint bytea not null,
    wrapped_key bytea not null,
    sealed_login text not null,
    primary key (organisation, actor_id),
    unique (organisation, fingerprint)
);

create table rollbook.leases (
    deployment_id uuid primary key,
    organisation text collate "C" not null,
    fence integer not null,
    expires_at timestamptz not null
);

-- Checks that a commit's streams, guards and keys are as its command believed them to be.
create function rollbook.obstacle(
    streams text[], versions integer[], ids uuid[], guard_streams text[], guard_versions integer[],
    in_organisation text, keys text[]
) returns text language sql stable set search_path = rollbook, pg_temp as $$
    select coalesce(
        (select case when exists (select from events e where e.stream_id = streams[1] and e.version = versions[1]
                                    and e.event_id = ids[1])
                     then 'repeated' else 'conflict' end
           from (select s, min(v) - 1 as expected from unnest(streams, versions) as given (s, v) group by s) expectation
          where expected <> coalesce((select e.version from events e where e.stream_id = s
                                       order by e.version desc limit 1), 0)
          limit 1),
        (select 'conflict' from unnest(guard_streams, guard_versions) as given (s, v)
          where v <> coalesce((select e.version from events e where e.stream_id = s
                                order by e.version desc limit 1), 0)
          limit 1),
        (select 'taken' from taken_keys k where k.organisation = in_organisation and k.key = any (keys) limit 1))
$$;

-- Appends several commits, each whole or not at all, and says of each what came of it:
-- appended, repeated (the same command or the same events are there already), conflict (a stream or a guard
-- moved), taken (a key is in use) or reused (the command id came with another request).
-- Arrays of one group run in parallel; the commits' slices of them are named by first and last (from 1).
create function rollbook.append(
    organisations text[], firsts integer[], lasts integer[],
    ids uuid[], streams text[], versions integer[], topics text[], schema_versions integer[],
    envelopes bytea[], payloads bytea[],
    guard_commits integer[], guard_streams text[], guard_versions integer[],
    key_commits integer[], keys text[], key_streams text[], key_taken boolean[],
    command_ids uuid[], digests bytea[], statuses integer[], resources text[]
) returns table (outcome text, last_position bigint, at timestamptz, first_status integer, first_resource text)
language plpgsql security definer set search_path = rollbook, pg_temp as $$
declare
    head bigint;
    now_at timestamptz;
    chain_organisation text;
    chain_sequence bigint;
    chain_hash bytea;
    before_hash bytea;
    f integer;
    l integer;
    known commands%rowtype;
    sealed bytea[];
    hashes bytea[];
    previous bytea[];
    one bytea;
begin
    perform pg_advisory_xact_lock(7240563);
    select e.position, e.recorded_at into head, now_at from events e order by e.position desc limit 1;
    head := coalesce(head, 0);
    now_at := greatest(clock_timestamp(), coalesce(now_at, '-infinity') + interval '1 microsecond');
    for c in 1 .. cardinality(organisations) loop
        f := firsts[c];
        l := lasts[c];
        outcome := null; last_position := null; at := null; first_status := null; first_resource := null;
        if command_ids[c] is not null then
            select * into known from commands k where k.command_id = command_ids[c];
            if found then
                outcome := case when known.request_digest = digests[c] then 'repeated' else 'reused' end;
                last_position := known.position; at := known.recorded_at;
                first_status := known.status; first_resource := known.resource;
            end if;
        end if;
        if outcome is null then
            outcome := obstacle(
                streams[f:l], versions[f:l], ids[f:l],
                (select array_agg(s) from unnest(guard_commits, guard_streams) as g (n, s) where n = c),
                (select array_agg(v) from unnest(guard_commits, guard_versions) as g (n, v) where n = c),
                organisations[c],
                (select array_agg(k) from unnest(key_commits, keys, key_taken) as g (n, k, t) where n = c and t));
            if outcome = 'repeated' then
                select e.commit_position, e.recorded_at into last_position, at
                  from events e where e.stream_id = streams[f] and e.version = versions[f];
            end if;
        end if;
        if outcome is null then
            if chain_organisation is distinct from organisations[c] then
                chain_organisation := organisations[c];
                select e.sequence, e.hash into chain_sequence, chain_hash from events e
                 where e.organisation = chain_organisation order by e.sequence desc limit 1;
                chain_sequence := coalesce(chain_sequence, 0);
                chain_hash := coalesce(chain_hash, '\x0000000000000000000000000000000000000000000000000000000000000000');
            end if;
            sealed := '{}'; hashes := '{}'; previous := '{}';
            for i in f .. l loop
                one := substring(envelopes[i] from 1 for length(envelopes[i]) - 1) || convert_to(format(
                    ',"position":%s,"commit_position":%s,"sequence":%s,"recorded_at":"%s"}',
                    head + i - f + 1, head + l - f + 1, chain_sequence + i - f + 1,
                    to_char(now_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 'UTF8');
                before_hash := chain_hash;
                chain_hash := sha256(before_hash || sha256(one) || sha256(payloads[i]));
                sealed := sealed || one; hashes := hashes || chain_hash; previous := previous || before_hash;
            end loop;
            insert into events
            select head + n, head + l - f + 1, id, stream, version, topic, schema_version,
                   organisations[c], chain_sequence + n, now_at, envelope, payload, previous_one, hash_one
              from unnest(ids[f:l], streams[f:l], versions[f:l], topics[f:l], schema_versions[f:l],
                          sealed, payloads[f:l], previous, hashes)
                   with ordinality as new (id, stream, version, topic, schema_version,
                                           envelope, payload, previous_one, hash_one, n);
            if cardinality(keys) > 0 then
                delete from taken_keys t using unnest(key_commits, keys, key_taken) as g (n, k, taken)
                 where n = c and not taken and t.organisation = organisations[c] and t.key = k;
                insert into taken_keys select organisations[c], k, s
                  from unnest(key_commits, keys, key_streams, key_taken) as g (n, k, s, taken) where n = c and taken;
            end if;
            if (head + l - f + 1) / 1000000 <> head / 1000000 then
                perform add_partition(((head + l - f + 1) / 10000000 + 1) * 10000000);
            end if;
            head := head + l - f + 1;
            chain_sequence := chain_sequence + l - f + 1;
            if command_ids[c] is not null then
                insert into commands values (command_ids[c], digests[c], statuses[c], resources[c], head, now_at);
            end if;
            outcome := 'appended'; last_position := head; at := now_at;
            now_at := now_at + interval '1 microsecond';
        end if;
        return next;
    end loop;
    perform pg_notify('rollbook_events', head::text);
end $$;

-- The last position that was there at a moment; never between two events of one commit.
create function rollbook.position_at(moment timestamptz) returns bigint
language plpgsql stable security definer set search_path = rollbook, pg_temp as $$
declare
    low bigint := 0;
    high bigint := coalesce((select max(position) from events), 0);
    middle bigint;
begin
    while low < high loop
        middle := (low + high + 1) / 2;
        if (select recorded_at from events where position = middle) <= moment then low := middle; else high := middle - 1; end if;
    end loop;
    return low;
end $$;

-- The last position of one organisation.
create function rollbook.last_position(of_organisation text) returns bigint
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select coalesce((select position from events where organisation = of_organisation order by sequence desc limit 1), 0)
$$;

-- The end of the log, and the end of the last commit up to a position: of the whole log, without its contents.
create function rollbook.head() returns bigint
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select coalesce((select position from events order by position desc limit 1), 0)
$$;
create function rollbook.commit_before(some_position bigint) returns bigint
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select coalesce((select position from events where position <= some_position and position = commit_position
                      order by position desc limit 1), 0)
$$;

create view rollbook.event_log as
    select position, commit_position, event_id, stream_id, version, topic, schema_version, organisation, sequence,
           recorded_at, convert_from(envelope, 'UTF8')::jsonb as envelope, convert_from(payload, 'UTF8')::jsonb as data
      from rollbook.events;

-- Read models and how far each has followed the log.
create schema rollbook_views;
create table rollbook_views.checkpoints (
    read_model text primary key,
    position bigint not null,
    epoch integer not null default 1
);
create table rollbook_views.parked_streams (
    read_model text not null,
    stream_id text not null,
    organisation text not null,
    position bigint not null,
    problem text not null,
    primary key (read_model, stream_id)
);

-- Roles. Nobody but the owner may change the log, and the triggers refuse even the owner.
do $$
begin
    if not exists (select from pg_roles where rolname = 'rollbook_writer') then create role rollbook_writer nologin; end if;
    if not exists (select from pg_roles where rolname = 'rollbook_reader') then create role rollbook_reader nologin; end if;
    if not exists (select from pg_roles where rolname = 'rollbook_projector') then create role rollbook_projector nologin; end if;
end $$;

revoke all on all functions in schema rollbook from public;
grant usage on schema rollbook to rollbook_writer, rollbook_reader, rollbook_projector;
grant usage on schema rollbook_views to rollbook_reader;
grant usage, create on schema rollbook_views to rollbook_projector;
grant execute on function rollbook.append to rollbook_writer;
grant select, insert, update on rollbook.organisations to rollbook_writer;
grant select, insert, update, delete on rollbook.people, rollbook.leases to rollbook_writer;
grant select, insert, update on rollbook.snapshots to rollbook_writer;
grant delete on rollbook.commands to rollbook_writer;
grant select (recorded_at) on rollbook.commands to rollbook_writer;
grant select on rollbook.events, rollbook.event_log, rollbook.snapshots, rollbook.commands, rollbook.identity to rollbook_reader;
grant execute on function rollbook.position_at, rollbook.last_position, rollbook.head, rollbook.commit_before to rollbook_reader;
grant select on rollbook.events, rollbook.event_log, rollbook.identity, rollbook.leases to rollbook_projector;
grant execute on function rollbook.position_at, rollbook.last_position, rollbook.head, rollbook.commit_before to rollbook_projector;
grant select, insert, update, delete on all tables in schema rollbook_views to rollbook_projector;
grant select on all tables in schema rollbook_views to rollbook_reader;

-- Tenants never meet: a reader sees the organisation that its connection was set to, and no other.
alter view rollbook.event_log set (security_invoker = true);
alter table rollbook.events enable row level security;
create policy own_organisation on rollbook.events for select to rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true));
create policy whole_log on rollbook.events for select to rollbook_projector using (true);
alter table rollbook.snapshots enable row level security;
create policy own_organisation on rollbook.snapshots for select to rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true));
create policy keep_snapshots on rollbook.snapshots for all to rollbook_writer using (true) with check (true);
