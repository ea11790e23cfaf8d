-- Modules that look into heap files say no to an Iceberg table, and the server stays up.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_contrib CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_contrib;
SET search_path = test_contrib;

CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 1000) g;
SELECT pg_postmaster_start_time() AS started \gset
-- Whatever is installed is tried; an error is as good as an answer.
DO $$
DECLARE module text; call text;
BEGIN
    FOR module, call IN VALUES ('pageinspect', 'SELECT get_raw_page(''t'', 0)'), ('pageinspect', 'SELECT get_raw_page(''t'', ''fsm'', 0)'),
        ('pgstattuple', 'SELECT pgstattuple(''t'')'), ('pgstattuple', 'SELECT pgstattuple_approx(''t'')'), ('pg_freespacemap', 'SELECT pg_freespace(''t'')'),
        ('pg_visibility', 'SELECT pg_visibility(''t'')'), ('pg_visibility', 'SELECT pg_check_visible(''t'')'), ('pg_visibility', 'SELECT pg_truncate_visibility_map(''t'')'),
        ('pg_prewarm', 'SELECT pg_prewarm(''t'')'), ('pg_prewarm', 'SELECT pg_prewarm(''t'', ''read'')'), ('pg_prewarm', 'SELECT pg_prewarm(''t'', ''prefetch'')'),
        ('amcheck', 'SELECT verify_heapam(''t'')'), ('pgrowlocks', 'SELECT pgrowlocks(''t'')'), ('pg_surgery', 'SELECT heap_force_kill(''t'', ARRAY[''(0,1)'']::tid[])'),
        ('tsm_system_rows', 'SELECT count(*) FROM t TABLESAMPLE system_rows (10)'), ('tsm_system_time', 'SELECT count(*) FROM t TABLESAMPLE system_time (100)'), ('pg_buffercache', 'SELECT count(*) FROM pg_buffercache')
    LOOP
        BEGIN
            EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', module);
        EXCEPTION WHEN OTHERS THEN CONTINUE;
        END;
        BEGIN
            EXECUTE call;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        IF (SELECT count(*) FROM t) <> 1000 THEN RAISE WARNING '% took rows away', call; END IF;
    END LOOP;
END $$;
-- Functions of the server itself.
SET client_min_messages = error;
DO $$
DECLARE call text;
BEGIN
    FOREACH call IN ARRAY ARRAY['SELECT pg_relation_filepath(''t'')', 'SELECT pg_filenode_relation(0, pg_relation_filenode(''t''))', 'SELECT currtid2(''t'', ''(0,1)'')',
        'SELECT pg_stat_get_live_tuples(''t''::regclass)', 'SELECT pg_stat_reset_single_table_counters(''t''::regclass)', 'SELECT txid_current(), pg_snapshot_xip(pg_current_snapshot())',
        'SELECT query_to_xml(''SELECT * FROM t LIMIT 1'', true, false, '''')', 'SELECT table_to_xml(''t'', true, false, '''')', 'CREATE PUBLICATION of_t FOR TABLE t', 'CREATE STATISTICS s ON id, name FROM t', 'SECURITY LABEL ON TABLE t IS ''x''',
        'SELECT pg_column_size(t) FROM t', 'SELECT pg_column_compression(name) FROM t', 'SELECT pg_get_partkeydef(''t''::regclass)', 'SELECT * FROM pg_stats WHERE tablename = ''t''', 'SELECT gin_clean_pending_list(''t'')', 'SELECT brin_summarize_new_values(''t'')'] LOOP
        BEGIN
            EXECUTE call;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END $$;
RESET client_min_messages;
SELECT count(*), sum(id) FROM t;
SELECT pg_postmaster_start_time() = :'started' AS still_up;

SET client_min_messages = warning;
DROP SCHEMA test_contrib CASCADE;
