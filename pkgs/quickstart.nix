# From nothing to queries on an Iceberg table.
{
  writeShellApplication,
  coreutils,
  pg-lakebase,
}:

writeShellApplication {
  name = "pg-lakebase-quickstart";
  runtimeInputs = [
    coreutils
    pg-lakebase
  ];
  text = ''
    ${builtins.readFile ./private-cluster.sh}
    start_cluster
    psql --set=ON_ERROR_STOP=1 --file=${./quickstart.sql}
    cat <<END

    The cluster is in $PGDATA.
    To go on:            PGHOST=$PGHOST PGPORT=$PGPORT PGUSER=postgres ${pg-lakebase}/bin/psql
    To stop the server:  ${pg-lakebase}/bin/pg_ctl stop -D $PGDATA
    To remove the data:  stop it, then rm -rf $directory
    END
  '';
}
