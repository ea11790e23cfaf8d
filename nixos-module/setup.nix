# What is declared and lives in PostgreSQL: extensions and tablespaces.
{
  config,
  lib,
  ...
}:

let
  cfg = config.services.pg-lakebase;
  tablespaces = import ./tablespaces.nix { inherit lib; };

  extension = database: ''
    if ! PGDATABASE=${lib.escapeShellArg database} ask 'CREATE EXTENSION IF NOT EXISTS pg_iceberg_am' \
      || ! PGDATABASE=${lib.escapeShellArg database} ask 'ALTER EXTENSION pg_iceberg_am UPDATE'
    then
      status=1
    fi
  '';

  tablespace = name: tablespace: ''
    if ! ask ${lib.escapeShellArg "SELECT 1 FROM pg_tablespace WHERE spcname = ${tablespaces.literal name}"} | grep -q 1 \
      && ! ask ${lib.escapeShellArg (tablespaces.statement name tablespace)}
    then
      status=1
    fi
  '';
in
{
  config = lib.mkIf cfg.enable {
    systemd.services.pg-lakebase-setup = {
      description = "Extension and tablespaces of pg-lakebase";
      wantedBy = [ "postgresql.target" ];
      requires = [ "postgresql.service" ];
      after = [
        "postgresql.service"
        "postgresql-setup.service"
        "pg-lakebase-storage.service"
      ];
      path = [ config.services.postgresql.finalPackage ];
      environment = {
        PGPORT = toString config.services.postgresql.settings.port;
        PGDATABASE = "postgres";
        PGOPTIONS = "-c client_min_messages=warning -c standard_conforming_strings=on";
      };

      # A standby gets all of it from its primary. One thing that fails keeps no other from being done.
      script = ''
        ask() {
          psql --no-psqlrc --quiet --tuples-only --no-align --command="$1"
        }
        if [ "$(ask 'SELECT pg_is_in_recovery()')" = t ]; then
          exit 0
        fi
        status=0
      ''
      + lib.concatMapStrings extension cfg.databases
      + lib.concatStrings (lib.mapAttrsToList tablespace cfg.tablespaces)
      + ''
        exit "$status"
      '';

      serviceConfig = import ./hardening.nix // {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "postgres";
        Group = "postgres";
        RestrictAddressFamilies = [ "AF_UNIX" ];
        PrivateNetwork = true;
        UMask = "0077";
        # A store that does not answer yet.
        Restart = "on-failure";
        RestartSec = "10s";
      };
    };
  };
}
