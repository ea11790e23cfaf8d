# Of NixOS's services.postgresql: the options that the module sets, and units with the same restrictions.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;
  cfg = config.services.postgresql;
  data = "/var/lib/postgresql/${cfg.package.psqlSchema}";
  written =
    value:
    if value == true then
      "yes"
    else if value == false then
      "no"
    else if lib.isString value then
      "'${lib.replaceStrings [ "'" ] [ "''" ] value}'"
    else
      toString value;
in
{
  options.services.postgresql = {
    enable = lib.mkEnableOption "PostgreSQL";
    package = mkOption { type = types.package; };
    finalPackage = mkOption {
      type = types.package;
      readOnly = true;
      default =
        if cfg.extensions { } == [ ] then cfg.package else cfg.package.withPackages cfg.extensions;
    };
    dataDir = mkOption {
      type = types.path;
      default = data;
    };
    enableTCPIP = lib.mkEnableOption "connections from other machines";
    authentication = mkOption {
      type = types.lines;
      default = "";
    };
    extensions = mkOption {
      type = types.coercedTo (types.listOf types.path) (list: _: list) (
        types.functionTo (types.listOf types.path)
      );
      default = _: [ ];
    };
    initdbArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    ensureDatabases = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    settings = mkOption {
      default = { };
      type = types.submodule {
        freeformType = types.attrsOf (
          types.oneOf [
            types.bool
            types.float
            types.int
            types.str
          ]
        );
        options.shared_preload_libraries = mkOption {
          type = types.nullOr (
            types.coercedTo (types.listOf types.str) (lib.concatStringsSep ",") types.commas
          );
          default = null;
        };
        options.port = mkOption {
          type = types.port;
          default = 5432;
        };
      };
    };
    # Not an option of NixOS's: what it writes into the store.
    written = mkOption {
      type = types.attrsOf types.str;
      readOnly = true;
    };
  };

  config = lib.mkIf cfg.enable {
    services.postgresql = {
      # What a system means that was installed long ago.
      package = lib.mkDefault pkgs.postgresql_16;
      settings = {
        hba_file = "/etc/pg-lakebase-test/pg_hba.conf";
        ident_file = "/etc/pg-lakebase-test/pg_ident.conf";
        log_destination = "stderr";
        listen_addresses = if cfg.enableTCPIP then "*" else "localhost";
        jit = lib.mkDefault "off";
      };
      authentication = lib.mkAfter ''
        local all postgres         peer map=postgres
        local all all              peer
        host  all all 127.0.0.1/32 md5
        host  all all ::1/128      md5
      '';
      written."postgresql.conf" = lib.concatLines (
        lib.mapAttrsToList (name: value: "${name} = ${written value}") (
          lib.filterAttrs (_: value: value != null) cfg.settings
        )
      );
    };
    environment.etc = {
      "pg-lakebase-test/postgresql.conf".text = cfg.written."postgresql.conf";
      "pg-lakebase-test/pg_hba.conf".text = cfg.authentication;
      "pg-lakebase-test/pg_ident.conf".text = "postgres postgres postgres\n";
    };

    users.users.postgres.group = "postgres";
    users.groups.postgres = { };

    systemd.targets.postgresql = {
      description = "PostgreSQL";
      wantedBy = [ "multi-user.target" ];
      requires = [
        "postgresql.service"
        "postgresql-setup.service"
      ];
    };

    systemd.services.postgresql = {
      description = "PostgreSQL server";
      after = [ "network.target" ];
      wants = [ "postgresql.target" ];
      partOf = [ "postgresql.target" ];
      environment.PGDATA = cfg.dataDir;
      path = [ cfg.finalPackage ];
      preStart = ''
        if ! test -e ${cfg.dataDir}/PG_VERSION; then
          rm -f ${cfg.dataDir}/*.conf
          initdb -U postgres ${lib.escapeShellArgs cfg.initdbArgs}
        fi
        ln -sfn /etc/pg-lakebase-test/postgresql.conf ${cfg.dataDir}/postgresql.conf
      '';
      serviceConfig = lib.mkMerge [
        {
          User = "postgres";
          Group = "postgres";
          RuntimeDirectory = "postgresql";
          Type = "notify";
          KillSignal = "SIGINT";
          KillMode = "mixed";
          TimeoutSec = 120;
          ExecStart = "${cfg.finalPackage}/bin/postgres";
          Restart = "always";
          CapabilityBoundingSet = [ "" ];
          DevicePolicy = "closed";
          LockPersonality = true;
          MemoryDenyWriteExecute = true;
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateMounts = true;
          PrivateTmp = true;
          ProcSubset = "pid";
          ProtectClock = true;
          ProtectControlGroups = true;
          ProtectHome = true;
          ProtectHostname = true;
          ProtectKernelLogs = true;
          ProtectKernelModules = true;
          ProtectKernelTunables = true;
          ProtectProc = "invisible";
          ProtectSystem = "strict";
          RemoveIPC = true;
          RestrictAddressFamilies = [
            "AF_INET"
            "AF_INET6"
            "AF_NETLINK"
            "AF_UNIX"
          ];
          RestrictNamespaces = true;
          RestrictRealtime = true;
          RestrictSUIDSGID = true;
          SystemCallArchitectures = "native";
          SystemCallFilter = [
            "@system-service"
            "~@privileged"
            "~@resources"
          ];
          UMask = "0027";
        }
        (lib.mkIf (cfg.dataDir != data) { ReadWritePaths = [ cfg.dataDir ]; })
        (lib.mkIf (cfg.dataDir == data) {
          StateDirectory = "postgresql postgresql/${cfg.package.psqlSchema}";
          StateDirectoryMode = "0750";
        })
      ];
    };

    systemd.services.postgresql-setup = {
      description = "PostgreSQL setup";
      requires = [ "postgresql.service" ];
      after = [ "postgresql.service" ];
      path = [ cfg.finalPackage ];
      environment.PGPORT = toString cfg.settings.port;
      serviceConfig = {
        User = "postgres";
        Group = "postgres";
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        until test "$(psql -d postgres -tAc 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f; do
          systemctl is-active --quiet postgresql.service
          sleep 0.1
        done
      ''
      + lib.concatMapStrings (database: ''
        psql -d postgres -tAc "SELECT 1 FROM pg_database WHERE datname = '${database}'" | grep -q 1 \
          || psql -d postgres -tAc 'CREATE DATABASE "${database}"'
      '') cfg.ensureDatabases;
    };
  };
}
