# Tables in Azurite.
let
  shared = import ./shared.nix;
in
{
  name = "azurite";
  nodes.server.imports = [
    shared.server
    shared.azurite
  ];
  testScript = shared.script "object_store" [ "server" ];
}
