# A base backup, an archive of the log, and recovery to a point in time.
let
  shared = import ./shared.nix;
in
{
  name = "backup";
  nodes.server = {
    imports = [
      shared.server
      shared.minio
    ];
    services.postgresql.settings = {
      archive_mode = true;
      archive_command = "test ! -e /var/lib/postgresql/archive/%f && cp %p /var/lib/postgresql/archive/%f";
      restore_command = "cp /var/lib/postgresql/archive/%f %p";
    };
    # What is restored finds the objects that tables had then.
    services.pg-lakebase.settings.pg_lakebase.object_retention = "1d";
  };
  testScript = shared.script "backup" [ "server" ];
}
