# PostgreSQL and the storage service are killed while rows are written.
let
  shared = import ./shared.nix;
in
{
  name = "crash";
  nodes.server.imports = [
    shared.server
    shared.minio
  ];
  testScript = shared.script "crash" [ "server" ];
}
