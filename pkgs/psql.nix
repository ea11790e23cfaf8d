# psql to a private cluster, which is made and started if need be.
{
  writeShellApplication,
  coreutils,
  pg-lakebase,
}:

writeShellApplication {
  name = "pg-lakebase-psql";
  runtimeInputs = [
    coreutils
    pg-lakebase
  ];
  text = ''
    ${builtins.readFile ./private-cluster.sh}
    start_cluster
    exec psql "$@"
  '';
}
