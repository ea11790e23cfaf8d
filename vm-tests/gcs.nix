# Tables in the emulator of Google Cloud Storage.
let
  shared = import ./shared.nix;
in
{
  name = "gcs";
  nodes.server.imports = [
    shared.server
    shared.gcs
  ];
  testScript = shared.script "object_store" [ "server" ];
}
