-- The log by organisation and kind, as an audit asks for it, and whose key was destroyed altogether.

create index events_of_topic on rollbook.events (organisation, topic, sequence);

-- The last event of an organisation up to a position, by its sequence, which has no gaps; 0 before the first.
create function rollbook.sequence_at(of_organisation text, some_position bigint) returns bigint
language plpgsql stable security definer set search_path = rollbook, pg_temp as $$
declare
    low bigint := 0;
    high bigint := coalesce((select sequence from events where organisation = of_organisation
                              order by sequence desc limit 1), 0);
    middle bigint;
begin
    while low < high loop
        middle := (low + high + 1) / 2;
        if (select position from events where organisation = of_organisation and sequence = middle) <= some_position
            then low := middle; else high := middle - 1; end if;
    end loop;
    return low;
end $$;
revoke all on function rollbook.sequence_at from public;
grant execute on function rollbook.sequence_at to rollbook_reader;

-- Which key of an organisation was destroyed, by its digest: a restore of an older backup destroys it again.
create table rollbook.organisation_erasures (
    organisation text collate "C" not null,
    key_digest bytea not null,
    erased_at timestamptz not null,
    primary key (organisation, key_digest)
);
create function rollbook.note_organisation_erasure() returns trigger
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    insert into organisation_erasures values (old.organisation, sha256(old.wrapped_key), clock_timestamp())
    on conflict do nothing;
    return null;
end $$;
create trigger organisation_erasures_are_noted after update on rollbook.organisations
    for each row when (old.wrapped_key is not null and new.wrapped_key is null)
    execute function rollbook.note_organisation_erasure();
revoke all on function rollbook.note_organisation_erasure from public;
