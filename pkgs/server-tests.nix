# The extension's SQL and isolation tests against packaged servers, with the settings that `cargo xtask test-all` has.
{
  lib,
  runCommand,
  buildEnv,
  postgresql_17,
  postgresql-assert,
  pg-iceberg-am,
  pg-lakebase,
  source,
}:

let
  run =
    {
      name,
      # A server with the extension, and the package that has its test drivers.
      server,
      postgresql,
      driver,
      tests,
      inputs,
      extension,
    }:
    runCommand name { nativeBuildInputs = [ server ]; } ''
      cp -r --no-preserve=mode ${tests} tests
      mkdir -p cluster/log socket
      export PGDATA=$PWD/cluster/data PGHOST=$PWD/socket PGUSER=postgres
      initdb --username=postgres --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C --encoding=UTF8 \
        --no-instructions
      cat >> $PGDATA/postgresql.conf <<END
      listen_addresses = '''
      unix_socket_directories = '$PGHOST'
      shared_preload_libraries = 'pg_iceberg_am'
      timezone = 'UTC'
      log_line_prefix = '%m [%p] %q%a '
      max_prepared_transactions = 16
      allow_in_place_tablespaces = on
      statement_timeout = 5min
      log_error_verbosity = verbose
      fsync = off
      wal_keep_size = 1GB
      END
      pg_ctl start --wait --silent --log=cluster/log/postgresql.log

      names=$(cd tests/${inputs} && ls *.${extension} | sed 's/\.${extension}$//')
      cd tests
      if ! ${lib.getDev postgresql}/lib/pgxs/${driver} --inputdir=. --outputdir=. --bindir=${server}/bin \
        --dlpath=${server}/lib --host=$PGHOST --user=postgres --dbname=regression --load-extension=pg_iceberg_am $names
      then
        cat regression.diffs
        tail -n 100 ../cluster/log/postgresql.log
        exit 1
      fi
      pg_ctl stop --mode=fast
      touch $out
    '';

  # withPackages of a package that was overridden means the package as it was before.
  asserting = buildEnv {
    name = "pg-lakebase-assert";
    paths = [
      (pg-iceberg-am.override { postgresql = postgresql-assert; })
      postgresql-assert
    ];
    pathsToLink = [ "/" ];
  };
in
{
  regression = run {
    name = "pg-lakebase-regression";
    server = pg-lakebase;
    postgresql = postgresql_17;
    driver = "src/test/regress/pg_regress";
    tests = source.regressionTests;
    inputs = "sql";
    extension = "sql";
  };

  isolation = run {
    name = "pg-lakebase-isolation";
    server = asserting;
    postgresql = postgresql-assert;
    driver = "src/test/isolation/pg_isolation_regress";
    tests = source.isolationTests;
    inputs = "specs";
    extension = "spec";
  };
}
