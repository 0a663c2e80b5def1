-- Files that are sent piece by piece: what has come of them. The pieces themselves are blobs.

create table rollbook.uploads (
    upload_id uuid primary key,
    organisation text collate "C" not null,
    length bigint not null check (length >= 0),
    metadata text not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create table rollbook.upload_pieces (
    upload_id uuid not null references rollbook.uploads on delete cascade,
    place bigint not null check (place >= 0),
    organisation text collate "C" not null,
    digest text collate "C" not null,
    size bigint not null check (size > 0),
    primary key (upload_id, place)
);
create index uploads_of on rollbook.uploads (organisation, expires_at);

grant select, insert, update, delete on rollbook.uploads, rollbook.upload_pieces to rollbook_writer;
grant select on rollbook.uploads, rollbook.upload_pieces to rollbook_reader, rollbook_projector;
alter table rollbook.uploads enable row level security;
alter table rollbook.upload_pieces enable row level security;
create policy own_organisation on rollbook.uploads for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy own_organisation on rollbook.upload_pieces for all to rollbook_writer, rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_uploads on rollbook.uploads for select to rollbook_projector using (true);
create policy all_pieces on rollbook.upload_pieces for select to rollbook_projector using (true);
