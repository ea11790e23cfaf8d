# Tables in MinIO.
let
  shared = import ./shared.nix;
in
{
  name = "minio";
  nodes.server.imports = [
    shared.server
    shared.minio
  ];
  testScript = shared.script "object_store" [ "server" ];
}
