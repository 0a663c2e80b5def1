-- When some process last used each table of a read model: those that only older releases knew are dropped some time
-- after the last of these was seen.
create table rollbook_views.uses (
    read_model text primary key,
    seen_at timestamptz not null
);
grant select, insert, update, delete on rollbook_views.uses to rollbook_projector;
