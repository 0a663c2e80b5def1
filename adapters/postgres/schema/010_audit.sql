-- The log by organisation and kind, as an audit asks for it, and whose key was destroyed altogether.

create index events_of_organisation_in_order on rollbook.events (organisation, position);
create index events_of_topic on rollbook.events (organisation, topic, position);

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
