# What PostgreSQL's own module is told.
{
  config,
  lib,
  ...
}:

let
  cfg = config.services.pg-lakebase;
  account = "pg-lakebase";
  socket = "/run/pg-lakebase/storage.sock";
  locations = map (tablespace: tablespace.location) (lib.attrValues cfg.tablespaces);

  given = lib.concatMapAttrs (
    prefix: settings:
    lib.mapAttrs' (name: lib.nameValuePair "${prefix}.${name}") (
      lib.filterAttrs (_: value: value != null) settings
    )
  ) cfg.settings;
in
{
  config = lib.mkIf cfg.enable {
    services.postgresql = {
      enable = true;
      # Before what `stateVersion` means, after what users set.
      package = lib.mkOverride 900 cfg.postgresqlPackage;
      extensions = _: [ cfg.package ];
      ensureDatabases = cfg.databases;
      # Of a new cluster, whatever the system's locale: columns of text need it. What users add comes later and counts.
      initdbArgs = lib.mkBefore [ "--encoding=UTF8" ];
      settings = lib.mkMerge [
        given
        {
          shared_preload_libraries = [ "pg_iceberg_am" ];
          # Five for the extension, six with tablespaces in object stores.
          max_worker_processes = lib.mkDefault 16;
        }
        (lib.mkIf cfg.storage.enable {
          "pg_lakebase.storage_socket" = socket;
          # The server speaks to a service of its own account, of root, or of this one.
          "pg_lakebase.storage_service_user" = account;
        })
        (lib.mkIf (!cfg.storage.enable) {
          "pg_lakebase.storage_program" = lib.getExe' cfg.storage.package "pg-lakebase-storage";
        })
      ];
    };

    # Directories of tablespaces have to be there before the server gets its view of the file system.
    systemd.tmpfiles.settings.pg-lakebase-tablespaces =
      lib.genAttrs ([ "/var/lib/pg-lakebase/tablespaces" ] ++ locations)
        (_: {
          d = {
            user = "postgres";
            group = "postgres";
            mode = "0700";
          };
        });

    systemd.services.postgresql = lib.mkMerge [
      # Also where tablespaces are that are not declared any more: without them the server could not recover.
      { serviceConfig.ReadWritePaths = [ "/var/lib/pg-lakebase/tablespaces" ] ++ locations; }
      (lib.mkIf cfg.storage.enable {
        wants = [ "pg-lakebase-storage.service" ];
        after = [ "pg-lakebase-storage.service" ];
        # The socket lets the service's group connect.
        serviceConfig.SupplementaryGroups = [ account ];
      })
    ];

    networking.firewall.allowedTCPPorts = lib.mkIf cfg.openFirewall [
      config.services.postgresql.settings.port
    ];
  };
}
