-- A partition is not emptied by its own name either: triggers for rows reach the partitions, those for TRUNCATE do not.
create or replace function rollbook.add_partition(first_position bigint) returns void
language plpgsql security definer set search_path = rollbook, pg_temp as $$
declare
    name text := 'events_' || to_char(first_position / 10000000, 'FM000000');
begin
    execute format('create table if not exists rollbook.%I partition of rollbook.events for values from (%s) to (%s)',
                   name, first_position, first_position + 10000000);
    execute format('create or replace trigger events_are_never_truncated before truncate on rollbook.%I
                    for each statement execute function rollbook.refuse_change()', name);
end $$;

do $$
declare
    part regclass;
begin
    for part in select inhrelid from pg_inherits where inhparent = 'rollbook.events'::regclass loop
        execute format('create trigger events_are_never_truncated before truncate on %s
                        for each statement execute function rollbook.refuse_change()', part);
    end loop;
end $$;
