-- Row security for every table that holds something of an organisation: who names no organisation sees nothing of any.
-- Only the projector, which serves all organisations, sees across them, and only what it must.

alter table rollbook.people enable row level security;
create policy own_organisation on rollbook.people for all to rollbook_writer
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));

alter table rollbook.organisations enable row level security;
create policy own_organisation on rollbook.organisations for all to rollbook_writer
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));

alter table rollbook.leases enable row level security;
create policy own_organisation on rollbook.leases for all to rollbook_writer
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));
create policy all_leases on rollbook.leases for select to rollbook_projector using (true);

drop policy keep_snapshots on rollbook.snapshots;
create policy keep_own_snapshots on rollbook.snapshots for all to rollbook_writer
    using (organisation = current_setting('rollbook.organisation', true))
    with check (organisation = current_setting('rollbook.organisation', true));

-- A command belongs to whoever may see the event that it ended with. The writer forgets old ones unread.
alter table rollbook.commands enable row level security;
create policy own_organisation on rollbook.commands for select to rollbook_reader
    using (exists (select from rollbook.events e where e.position = commands.position));
create policy forget_what_is_old on rollbook.commands for delete to rollbook_writer using (true);
create policy see_what_is_old on rollbook.commands for select to rollbook_writer
    using (recorded_at < now() - interval '7 days');

alter table rollbook_views.parked_streams enable row level security;
create policy own_organisation on rollbook_views.parked_streams for select to rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true));
create policy all_streams on rollbook_views.parked_streams for all to rollbook_projector using (true) with check (true);
