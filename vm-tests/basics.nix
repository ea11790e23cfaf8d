# Enabled and nothing else: SQL, restarts, changed settings.
let
  shared = import ./shared.nix;
in
{
  name = "basics";
  nodes.server = {
    imports = [ ../nixos-module ];
    services.pg-lakebase.enable = true;

    # Machines of tests cannot be switched otherwise.
    system.switch.enable = true;
    specialisation.changed.configuration.services.pg-lakebase = {
      settings.pg_iceberg_am.target_file_size = "64MB";
      databases = [
        "postgres"
        "lake"
      ];
      storage.cacheSize = "1G";
    };
  };
  testScript = shared.script "basics" [ "server" ];
}
