-- What deliveries of webhooks were during the last days, so that their list answers for the past too.

-- Where a version is filed: at the highest fork between its first microsecond and its last, as rows of read models are
-- by position. What held at a moment is then found by equality, which row security lets into an index.
create function rollbook.fork_between(since timestamptz, until timestamptz) returns bigint
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    before bigint := (extract(epoch from since) * 1000000)::bigint - 1;
    last bigint := case when until = 'infinity' then 9223372036854775806
                        else (extract(epoch from until) * 1000000)::bigint - 1 end;
    level integer := length(ltrim((before # last)::bit(64)::text, '0')) - 1;
begin
    return last >> level << level;
end $$;

-- One row a state that a delivery was in, from a moment until another. It stays when the webhook is removed.
create table rollbook.webhook_delivery_versions (
    webhook_id uuid not null,
    position bigint not null,
    organisation text collate "C" not null,
    delivery_id uuid not null,
    event_id uuid not null,
    topic text collate "C" not null,
    state text collate "C" not null,
    attempts integer not null,
    due_at timestamptz not null,
    queued_at timestamptz not null,
    tried_at timestamptz,
    status integer,
    problem text,
    since timestamptz not null,
    until timestamptz not null default 'infinity',
    fork bigint not null generated always as (rollbook.fork_between(since, until)) stored,
    check (since < until)
);
-- What is asked about a moment before is refused, as something of then may be forgotten: of everybody (''), and of an
-- organisation that was erased. Without a row for everybody nothing of the past is known.
create table rollbook.webhook_horizons (
    organisation text collate "C" primary key,
    moment timestamptz not null
);

-- When a change of deliveries happens: behind all that was recorded, also when the clock was set back. Until it is
-- committed, nobody who asks for the past is answered.
create function rollbook.delivery_moment() returns timestamptz
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7240564);
    return greatest(clock_timestamp(),
                    (select recorded_at from events order by position desc limit 1) + interval '1 microsecond');
end $$;

-- Waits for the changes that are under way; those that come are behind whatever was recorded before the question.
create function rollbook.settle_deliveries() returns void
language plpgsql security definer set search_path = rollbook, pg_temp set lock_timeout = '2s' as $$
begin
    perform pg_advisory_xact_lock(7240564);
end $$;

create function rollbook.deliveries_known_since(of_organisation text) returns timestamptz
language sql stable security definer set search_path = rollbook, pg_temp as $$
    select max(moment) from webhook_horizons
     where organisation in ('', of_organisation) and exists (select from webhook_horizons where organisation = '')
$$;

-- Before any row is locked, or who holds a row could wait for who waits for that row.
create function rollbook.begin_deliveries() returns trigger
language plpgsql security definer set search_path = rollbook, pg_temp as $$
begin
    perform pg_advisory_xact_lock_shared(7240564);
    return null;
end $$;
create trigger a_change_is_under_way before insert or update or delete on rollbook.webhook_deliveries
    for each statement execute function rollbook.begin_deliveries();

-- A plan is kept for many calls: made for a thousand rows it would look through the whole table for one.
create function rollbook.version_deliveries() returns trigger
language plpgsql security definer set search_path = rollbook, pg_temp
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
declare
    now_at timestamptz := delivery_moment();
begin
    if tg_op = 'DELETE' then
        update webhook_delivery_versions v set until = greatest(now_at, v.since + interval '1 microsecond')
          from gone where v.delivery_id = gone.delivery_id and v.until = 'infinity';
    elsif tg_op = 'INSERT' then
        insert into webhook_delivery_versions (
            webhook_id, position, organisation, delivery_id, event_id, topic, state, attempts, due_at, queued_at,
            tried_at, status, problem, since)
        select webhook_id, position, organisation, delivery_id, event_id, topic, state, attempts, due_at, queued_at,
               tried_at, status, problem,
               greatest(now_at, (select max(v.until) from webhook_delivery_versions v
                                  where v.delivery_id = fresh.delivery_id))
          from fresh;
    else
        with ended as (
            update webhook_delivery_versions v set until = greatest(now_at, v.since + interval '1 microsecond')
              from fresh
             where v.delivery_id = fresh.delivery_id and v.until = 'infinity'
               and (v.state, v.attempts, v.due_at, v.queued_at, v.tried_at, v.status, v.problem) is distinct from
                   (fresh.state, fresh.attempts, fresh.due_at, fresh.queued_at, fresh.tried_at, fresh.status,
                    fresh.problem)
            returning fresh.webhook_id, fresh.position, fresh.organisation, fresh.delivery_id, fresh.event_id,
                      fresh.topic, fresh.state, fresh.attempts, fresh.due_at, fresh.queued_at, fresh.tried_at,
                      fresh.status, fresh.problem, v.until)
        insert into webhook_delivery_versions (
            webhook_id, position, organisation, delivery_id, event_id, topic, state, attempts, due_at, queued_at,
            tried_at, status, problem, since)
        select * from ended;
    end if;
    return null;
end $$;
create trigger new_ones_are_versioned after insert on rollbook.webhook_deliveries
    referencing new table as fresh for each statement execute function rollbook.version_deliveries();
create trigger changes_are_versioned after update on rollbook.webhook_deliveries
    referencing new table as fresh for each statement execute function rollbook.version_deliveries();
create trigger ends_are_versioned after delete on rollbook.webhook_deliveries
    referencing old table as gone for each statement execute function rollbook.version_deliveries();

-- Of what was before nothing is known.
insert into rollbook.webhook_horizons values ('', rollbook.delivery_moment());
insert into rollbook.webhook_delivery_versions (
    webhook_id, position, organisation, delivery_id, event_id, topic, state, attempts, due_at, queued_at, tried_at,
    status, problem, since)
select webhook_id, d.position, d.organisation, delivery_id, event_id, topic, state, attempts, due_at, queued_at,
       tried_at, status, problem, h.moment
  from rollbook.webhook_deliveries d cross join rollbook.webhook_horizons h;

create index delivery_versions_then on rollbook.webhook_delivery_versions (webhook_id, state, fork, position desc);
create index versions_of_delivery on rollbook.webhook_delivery_versions (delivery_id, until);
create index delivery_versions_ended on rollbook.webhook_delivery_versions (until) where until < 'infinity';

revoke all on function rollbook.fork_between, rollbook.delivery_moment, rollbook.settle_deliveries,
    rollbook.deliveries_known_since, rollbook.begin_deliveries, rollbook.version_deliveries from public;
grant execute on function rollbook.settle_deliveries, rollbook.deliveries_known_since to rollbook_reader;
grant execute on function rollbook.delivery_moment to rollbook_projector;
grant select on rollbook.webhook_delivery_versions to rollbook_reader;
grant select, delete on rollbook.webhook_delivery_versions to rollbook_projector;
grant select, insert, update on rollbook.webhook_horizons to rollbook_projector;
alter table rollbook.webhook_delivery_versions enable row level security;
alter table rollbook.webhook_horizons enable row level security;
create policy own_organisation on rollbook.webhook_delivery_versions for select to rollbook_reader
    using (organisation = current_setting('rollbook.organisation', true));
create policy all_versions on rollbook.webhook_delivery_versions for all to rollbook_projector using (true);
create policy all_horizons on rollbook.webhook_horizons for all to rollbook_projector using (true) with check (true);
