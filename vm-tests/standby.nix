# A streaming standby, and its promotion, with tables on disk and in MinIO.
let
  shared = import ./shared.nix;
in
{
  name = "standby";
  nodes.server.imports = [
    shared.server
    shared.minio
  ];
  nodes.standby =
    { lib, ... }:
    {
      imports = [
        shared.server
        shared.minio
      ];
      # It reads what the primary has in the store.
      systemd.services.minio.enable = false;
      services.postgresql.settings.primary_conninfo = "host=server user=postgres";
      services.pg-lakebase.databases = lib.mkForce [ ];
    };
  testScript = shared.script "standby" [
    "server"
    "standby"
  ];
}
