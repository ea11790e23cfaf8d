-- Errors of others pass the extension's hooks with all that they say, codes of the user's own included.
CREATE TABLE errors (id int) USING iceberg;
CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'ZZ001', MESSAGE = 'made up', DETAIL = 'A detail.', HINT = 'A hint.',
        SCHEMA = 'a schema', TABLE = 'a table', COLUMN = 'a column', DATATYPE = 'a type', CONSTRAINT = 'a constraint';
END $$;
CREATE FUNCTION diagnose(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    got text[] := '{,,,,,,,,}';
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS got[1] = RETURNED_SQLSTATE, got[2] = MESSAGE_TEXT, got[3] = PG_EXCEPTION_DETAIL,
        got[4] = PG_EXCEPTION_HINT, got[5] = SCHEMA_NAME, got[6] = TABLE_NAME, got[7] = COLUMN_NAME,
        got[8] = PG_DATATYPE_NAME, got[9] = CONSTRAINT_NAME;
    RETURN array_to_string(got, '|');
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
