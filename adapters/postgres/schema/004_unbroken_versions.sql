-- A commit that names a version twice or leaves one out is refused too, also when its first and last versions fit.
create or replace function rollbook.obstacle(
    streams text[], versions integer[], ids uuid[], guard_streams text[], guard_versions integer[],
    in_organisation text, keys text[]
) returns text language sql stable set search_path = rollbook, pg_temp as $$
    select coalesce(
        (select case when exists (select from events e where e.stream_id = streams[1] and e.version = versions[1]
                                    and e.event_id = ids[1])
                     then 'repeated' else 'conflict' end
           from (select s, min(v) - 1 as expected,
                        max(v) - min(v) + 1 = count(*) and count(*) = count(distinct v) as unbroken
                   from unnest(streams, versions) as given (s, v) group by s) expectation
          where not unbroken
             or expected <> coalesce((select e.version from events e where e.stream_id = s
                                       order by e.version desc limit 1), 0)
          limit 1),
        (select 'conflict' from unnest(guard_streams, guard_versions) as given (s, v)
          where v <> coalesce((select e.version from events e where e.stream_id = s
                                order by e.version desc limit 1), 0)
          limit 1),
        (select 'taken' from taken_keys k where k.organisation = in_organisation and k.key = any (keys) limit 1))
$$;
