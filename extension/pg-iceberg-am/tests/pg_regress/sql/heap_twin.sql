-- The same random statements on an Iceberg table and on its heap twin give the same rows, counts and errors.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_heap_twin CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_heap_twin;
SET search_path = test_heap_twin;

SET client_min_messages = warning;
CREATE TABLE ice (id int NOT NULL, grp text, n numeric(12, 3) CHECK (n < 1000000), at timestamp, tags int[]) USING iceberg;
CREATE TABLE twin (LIKE ice INCLUDING ALL) USING heap;
CREATE TABLE trail (step int, statement text, ice text, twin text) USING heap;

-- A whole number below the bound, from the seeded generator.
CREATE FUNCTION below(bound int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT floor(random() * bound)::int';

CREATE FUNCTION some_value(kind text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF below(8) = 0 THEN RETURN 'NULL'; END IF;
    RETURN CASE kind
        WHEN 'id' THEN (below(2000) - 1000)::text
        WHEN 'grp' THEN quote_literal(repeat(chr(97 + below(26)), below(12)))
        WHEN 'n' THEN (below(2000000) - 1000000)::text || '.' || below(10000)
        WHEN 'at' THEN quote_literal(timestamp '2000-01-01' + below(100000) * interval '1 minute' + below(1000000) * interval '1 microsecond')
        WHEN 'tags' THEN quote_literal('{' || concat_ws(',', below(9), CASE WHEN below(2) = 0 THEN 'NULL' END, below(9)) || '}')
    END;
END $$;

-- Where it says TABLE, the name of one or the other is put.
CREATE FUNCTION some_statement() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE c int := below(100); row text := '';
BEGIN
    IF c < 40 THEN
        FOR i IN 0..below(4) LOOP
            row := concat_ws(', ', nullif(row, ''), format('(%s, %s, %s, %s, %s)', some_value('id'), some_value('grp'), some_value('n'), some_value('at'), some_value('tags')));
        END LOOP;
        RETURN 'INSERT INTO TABLE VALUES ' || row;
    ELSIF c < 55 THEN RETURN format('INSERT INTO TABLE (id, grp) SELECT g, ''g'' || g %% %s FROM generate_series(%s, %s) g', 1 + below(9), below(100), below(300));
    ELSIF c < 65 THEN RETURN format('INSERT INTO TABLE SELECT id + %s, grp, n + 1, at, tags || 1 FROM TABLE WHERE id %% 7 = %s AND id BETWEEN 0 AND 500', below(50), below(7));
    ELSIF c < 72 THEN RETURN format('INSERT INTO TABLE (id, n) SELECT g, 100 / (g - %s) FROM generate_series(1, 50) g', below(100));
    ELSIF c < 76 THEN RETURN format('INSERT INTO TABLE (id, at) VALUES (%s, ''not a date''::text::timestamp)', below(10));
    ELSIF c < 80 THEN RETURN 'TRUNCATE TABLE';
    ELSIF c < 90 THEN RETURN format('INSERT INTO TABLE (id, grp) SELECT count(*), min(grp) FROM TABLE WHERE n > %s OR at IS NULL', below(1000) - 500);
    ELSIF c < 95 THEN RETURN format('WITH a AS (INSERT INTO TABLE (id, n) SELECT g, g FROM generate_series(1, %s) g RETURNING n) INSERT INTO TABLE (id) SELECT sum(n) + (SELECT count(*) FROM TABLE) FROM a', 1 + below(20));
    ELSE RETURN 'CREATE TABLE TABLE_copy AS TABLE TABLE; TRUNCATE TABLE; INSERT INTO TABLE TABLE TABLE_copy; DROP TABLE TABLE_copy';
    END IF;
END $$;

-- Runs it; gives the number of rows or the error's code.
CREATE FUNCTION outcome(statement text, relation text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE n bigint;
BEGIN
    EXECUTE regexp_replace(regexp_replace(statement, '\m(INTO|FROM|TRUNCATE|TABLE) TABLE\M', '\1 ' || relation, 'g'), '\mTABLE_copy\M', relation || '_copy', 'g');
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

CREATE FUNCTION apply_to_both(step int) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE statement text := some_statement(); depth int := below(6); i text; h text;
BEGIN
    IF depth = 5 THEN
        -- A subtransaction of several statements that is rolled back or kept.
        BEGIN
            FOR k IN 1..1 + below(3) LOOP PERFORM apply_to_both(step); END LOOP;
            IF below(2) = 0 THEN RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000'; END IF;
        EXCEPTION WHEN SQLSTATE 'ZZ000' THEN NULL;
        END;
        RETURN;
    END IF;
    i := outcome(statement, 'ice');
    h := outcome(statement, 'twin');
    INSERT INTO trail VALUES (step, statement, i, h);
    IF i <> h THEN RAISE WARNING 'step %: % on the Iceberg table, % on its twin: %', step, i, h, statement; END IF;
END $$;

CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FROM ((SELECT t::text FROM ice t EXCEPT ALL SELECT t::text FROM twin t)
                          UNION ALL (SELECT t::text FROM twin t EXCEPT ALL SELECT t::text FROM ice t)) d
$$;

CREATE PROCEDURE walk(seed numeric, steps int) LANGUAGE plpgsql AS $$
DECLARE d bigint;
BEGIN
    PERFORM setseed(seed::float8);
    FOR step IN 1..steps LOOP
        PERFORM apply_to_both(step);
        d := differences();
        IF d > 0 THEN RAISE EXCEPTION 'seed %, step %: % rows differ', seed, step, d; END IF;
        CASE below(6) WHEN 0 THEN ROLLBACK; WHEN 1, 2 THEN COMMIT; ELSE NULL; END CASE;
        d := differences();
        IF d > 0 THEN RAISE EXCEPTION 'seed %, after step %: % rows differ', seed, step, d; END IF;
    END LOOP;
END $$;
CALL walk(0.1, 60);
CALL walk(-0.37, 60);
CALL walk(0.73, 60);
SELECT differences();
-- The walk has been through success, each kind of error, and many rows.
SELECT count(*) > 50 AS statements, count(DISTINCT ice) FILTER (WHERE ice ~ '^\d{5}$|^\w{5}$') AS kinds_of_error,
    count(*) FILTER (WHERE ice <> twin) AS different, count(*) FILTER (WHERE ice ~ 'rows' AND ice <> '0 rows') > 30 AS successful FROM trail;
SELECT (SELECT count(*) FROM ice) = (SELECT count(*) FROM twin) AS same, (SELECT sum(id) FROM ice) IS NOT DISTINCT FROM (SELECT sum(id) FROM twin) AS same_sum;

SET client_min_messages = warning;
DROP SCHEMA test_heap_twin CASCADE;
