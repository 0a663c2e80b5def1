-- Epochs: what a restored backup changes for those who ran before it, and what it must not bring back.

-- Whose key was destroyed, and when: a restore of an older backup destroys them again.
create table rollbook.erasures (
    organisation text collate "C" not null,
    actor_id uuid not null,
    erased_at timestamptz not null,
    primary key (organisation, actor_id)
);
create function rollbook.note_erasure() returns trigger
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    insert into erasures values (old.organisation, old.actor_id, clock_timestamp()) on conflict do nothing;
    return null;
end $$;
create trigger erasures_are_noted after delete on rollbook.people
    for each row execute function rollbook.note_erasure();

-- Appends for a process that has known the log in one epoch. What it remembers of another one may be of a log that
-- is no more, so all of it is answered with `restored`; without an epoch nothing is compared.
create function rollbook.append_in_epoch(
    known_epoch integer,
    organisations text[], firsts integer[], lasts integer[],
    ids uuid[], streams text[], versions integer[], topics text[], schema_versions integer[],
    envelopes bytea[], payloads bytea[],
    guard_commits integer[], guard_streams text[], guard_versions integer[],
    key_commits integer[], keys text[], key_streams text[], key_taken boolean[],
    command_ids uuid[], digests bytea[], statuses integer[], resources text[]
) returns table (outcome text, last_position bigint, at timestamptz, first_status integer, first_resource text)
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    perform pg_advisory_xact_lock(7240563);
    if known_epoch <> (select i.epoch from identity i) then
        return query select 'restored', null::bigint, null::timestamptz, null::integer, null::text
                       from unnest(organisations);
        return;
    end if;
    return query select * from append(
        organisations, firsts, lasts, ids, streams, versions, topics, schema_versions, envelopes, payloads,
        guard_commits, guard_streams, guard_versions, key_commits, keys, key_streams, key_taken,
        command_ids, digests, statuses, resources);
end $$;

revoke all on function rollbook.note_erasure, rollbook.append_in_epoch from public;
grant execute on function rollbook.append_in_epoch to rollbook_writer;
