-- local tables only: it shows statements in a table whose width they decide.
-- Errors of others pass the extension's hooks with all that they say, codes of the user's own included.
CREATE TABLE errors (id int) USING iceberg;
CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = 'made up', DETAIL = 'A detail.', HINT = 'A hint.',
        SCHEMA = 'a schema', TABLE = 'a table', COLUMN = 'a column', DATATYPE = 'a type', CONSTRAINT = 'a constraint';
END $$;
CREATE FUNCTION diagnose(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text; b text; c text; d text; e text; f text; g text; h text; i text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS a = RETURNED_SQLSTATE, b = MESSAGE_TEXT, c = PG_EXCEPTION_DETAIL,
        d = PG_EXCEPTION_HINT, e = SCHEMA_NAME, f = TABLE_NAME, g = COLUMN_NAME, h = PG_DATATYPE_NAME,
        i = CONSTRAINT_NAME;
    RETURN concat_ws('|', a, b, c, d, e, f, g, h, i);
END $$;
SELECT statement, diagnose(statement)
  FROM unnest(ARRAY['SELECT fail()', 'INSERT INTO errors SELECT fail()', 'CALL fail()',
                    'DO $do$ BEGIN PERFORM fail(); END $do$', 'COPY (SELECT fail()) TO STDOUT',
                    'CREATE TABLE other USING iceberg AS SELECT fail() AS id']) AS statement;
\set VERBOSITY sqlstate
SELECT fail();
DO $$ BEGIN PERFORM fail(); END $$;
\set VERBOSITY default
SELECT count(*) FROM errors;
DROP TABLE errors;
DROP FUNCTION fail(), diagnose(text);

-- A setting that does not exist was taken without a word.
SET pg_iceberg_am.publish_intervall = '1s';
