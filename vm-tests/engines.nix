# DuckDB and PyIceberg read tables in MinIO from another machine.
let
  shared = import ./shared.nix;
in
{
  name = "engines";
  nodes.server.imports = [
    shared.server
    shared.minio
  ];
  nodes.reader =
    { pkgs, ... }:
    {
      environment.systemPackages = [
        (pkgs.python3.withPackages (packages: [
          packages.duckdb
          packages.pyarrow
          packages.pyiceberg
        ]))
      ];
    };
  testScript = shared.script "engines" [
    "server"
    "reader"
  ];
}
