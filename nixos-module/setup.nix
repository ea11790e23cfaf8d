# What is declared and lives in PostgreSQL: extensions and tablespaces.
{
  config,
  lib,
  ...
}:

let
  cfg = config.services.pg-lakebase;
  tablespaces = import ./tablespaces.nix { inherit lib; };

  # Of no use to try again.
  misconfigured = 78;

  extension = database: "update ${lib.escapeShellArg database}\n";

  tablespace = name: tablespace: ''
    if ! ask ${lib.escapeShellArg "SELECT 1 FROM pg_tablespace WHERE spcname = ${tablespaces.literal name}"} | grep -q 1 \
      && ! ask ${lib.escapeShellArg (tablespaces.statement name tablespace)}
    then
      again=1
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
        again=0
        without_way=0
        # Creates the extension in a database, or updates it.
        update() {
          export PGDATABASE=$1
          if ! ask 'CREATE EXTENSION IF NOT EXISTS pg_iceberg_am'; then
            again=1
          elif [ "$(ask "$way")" = f ]; then
            echo "database $1: the extension is newer than this package, which has no way back to its own version" >&2
            without_way=1
          elif ! ask 'ALTER EXTENSION pg_iceberg_am UPDATE'; then
            again=1
          fi
          export PGDATABASE=postgres
        }
        way="SELECT installed_version = default_version OR EXISTS (
          SELECT FROM pg_extension_update_paths(name)
          WHERE source = installed_version AND target = default_version AND path IS NOT NULL
        ) FROM pg_available_extensions WHERE name = 'pg_iceberg_am'"
      ''
      + lib.concatMapStrings extension cfg.databases
      + lib.concatStrings (lib.mapAttrsToList tablespace cfg.tablespaces)
      + ''
        if [ "$again" = 1 ]; then
          exit 1
        elif [ "$without_way" = 1 ]; then
          exit ${toString misconfigured}
        fi
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
        RestartPreventExitStatus = misconfigured;
      };
    };
  };
}
