-- Sealed heads of the organisations' chains: what is signed, word for word, the leaves below its root, and from each the way to it.

create table rollbook.sealed_checkpoints (
    number bigint primary key check (number > 0),
    position bigint not null,
    epoch integer not null,
    sealed_at timestamptz not null,
    text text not null,
    signature text not null,
    public_key text not null
);
create table rollbook.checkpoint_heads (
    number bigint not null references rollbook.sealed_checkpoints,
    place integer not null check (place >= 0),
    organisation text collate "C" not null,
    leaf text not null,
    path text[] not null,
    primary key (number, place)
);
create index heads_of_organisation on rollbook.checkpoint_heads (organisation, number);

create trigger checkpoints_are_for_ever before update or delete on rollbook.sealed_checkpoints
    for each row execute function rollbook.refuse_change();
create trigger heads_are_for_ever before update or delete on rollbook.checkpoint_heads
    for each row execute function rollbook.refuse_change();
create trigger checkpoints_are_never_truncated before truncate on rollbook.sealed_checkpoints
    for each statement execute function rollbook.refuse_change();
create trigger heads_are_never_truncated before truncate on rollbook.checkpoint_heads
    for each statement execute function rollbook.refuse_change();

grant select, insert on rollbook.sealed_checkpoints, rollbook.checkpoint_heads to rollbook_projector;
grant select on rollbook.sealed_checkpoints, rollbook.checkpoint_heads to rollbook_reader;
alter table rollbook.checkpoint_heads enable row level security;
create policy own_organisation on rollbook.checkpoint_heads for select to rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true));
create policy all_heads on rollbook.checkpoint_heads for all to rollbook_projector using (true) with check (true);

-- How far each export has told of them: what one missed it tells later, in order.
create table rollbook.checkpoint_exports (
    target text primary key,
    number bigint not null
);
grant select, insert, update on rollbook.checkpoint_exports to rollbook_projector;
