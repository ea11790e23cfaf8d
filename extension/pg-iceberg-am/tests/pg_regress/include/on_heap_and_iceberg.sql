\set ECHO none
-- Runs it on heap and on Iceberg tables, which AM stands for; gives the rows or their number, or the error.
CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE outcome text[] := '{}'; am text; part text; n bigint;
BEGIN
    FOREACH am IN ARRAY '{heap,iceberg}'::text[] LOOP
        BEGIN
            part := regexp_replace(statement, '(?<![A-Z])AM(?![A-Z])', am, 'g');
            IF statement ~ '^(SELECT|(INSERT|UPDATE|DELETE|MERGE).*RETURNING)' THEN
                EXECUTE format('WITH r AS (%s) SELECT coalesce(string_agg(r::text, '' '' ORDER BY r::text), ''none'') FROM r', part) INTO part;
            ELSE
                EXECUTE part;
                GET DIAGNOSTICS n = ROW_COUNT;
                part := n || ' rows';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            part := SQLSTATE || ' ' || replace(SQLERRM, am, 'AM');
        END;
        outcome := outcome || part;
    END LOOP;
    RETURN CASE WHEN outcome[1] = outcome[2] THEN outcome[1] ELSE format('heap: %s; iceberg: %s', outcome[1], outcome[2]) END;
END $$;
CREATE FUNCTION rows_of(name text) RETURNS text LANGUAGE sql AS $$ SELECT run(format('SELECT * FROM %I', name || '_AM')) $$;
\set ECHO all
