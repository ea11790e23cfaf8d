{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    types
    ;
  cfg = config.services.pg-lakebase;
  ours = import ../pkgs { inherit pkgs; };
in
{
  options.services.pg-lakebase = {
    enable = mkEnableOption "PostgreSQL 17 with Apache Iceberg tables";

    package = mkOption {
      type = types.package;
      default = ours.pg-iceberg-am.override { postgresql = cfg.postgresqlPackage; };
      defaultText = lib.literalMD "`pg-iceberg-am`, built for `postgresqlPackage`";
      description = "The extension.";
    };

    postgresqlPackage = mkOption {
      type = types.package;
      default = pkgs.postgresql_17;
      defaultText = literalExpression "pkgs.postgresql_17";
      description = ''
        The server, of major version 17. It is what {option}`services.postgresql.package` is unless that is set: also on a
        system whose `stateVersion` means another major version, whose cluster has to be brought over by pg_upgrade first.
      '';
    };

    settings = lib.mapAttrs (
      prefix: options:
      mkOption {
        type = types.submodule { inherit options; };
        default = { };
        description = "Settings `${prefix}.*` of the server.";
      }
    ) (import ./settings.nix { inherit lib; }).options;

    databases = mkOption {
      type = types.listOf types.str;
      default = [ "postgres" ];
      example = [ "lake" ];
      description = ''
        Databases in which the extension is created, and updated when the package has a newer version. Those that are absent
        are made; none is dropped when it is taken out of the list, nor is the extension.
      '';
    };

    tablespaces = mkOption {
      type = types.attrsOf (import ./tablespaces.nix { inherit lib; }).type;
      default = { };
      example = literalExpression ''
        {
          lake = {
            protocol = "s3";
            bucket = "my-bucket";
            region = "eu-central-1";
            credentials = "lake";
          };
        }
      '';
      description = ''
        Tablespaces in object stores, which are made where they are absent, as soon as the store can be reached. One that
        exists stays as it is, whatever changes here: its options are changed by ALTER TABLESPACE.
      '';
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the firewall lets others connect to PostgreSQL's port.";
    };

    storage = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Whether systemd runs the storage service, under an account of its own, so that PostgreSQL does not have the
          credentials. If not, the server runs it while there are tablespaces in object stores, as
          {option}`services.pg-lakebase.settings` say.
        '';
      };

      package = mkOption {
        type = types.package;
        default = ours.pg-lakebase-storage;
        defaultText = literalExpression "pg-lakebase-storage";
        description = "The storage service.";
      };

      cacheDirectory = mkOption {
        type = types.path;
        default = "/var/cache/pg-lakebase";
        description = "Directory of the cache, on a local file system. It is made for the service's account.";
      };

      cacheSize = mkOption {
        type = types.strMatching "[1-9][0-9]*[KMGT]?";
        default = "10G";
        example = "200G";
        description = "Most bytes of cached objects.";
      };

      credentialsFile = mkOption {
        # A string, since a path would be copied into the store.
        type = types.nullOr types.str;
        default = null;
        example = "/etc/secrets/lakebase-credentials";
        description = ''
          File with the entries that the option `credentials` of tablespaces names. systemd reads it as root and hands it to
          the service alone. After a change: `systemctl restart pg-lakebase-storage`.
        '';
      };

      settings = mkOption {
        type = types.submodule {
          freeformType = types.attrsOf (
            types.oneOf [
              types.bool
              types.int
              types.str
            ]
          );
          options = {
            log = mkOption {
              type = types.enum [
                "off"
                "error"
                "warn"
                "info"
                "debug"
                "trace"
              ];
              default = "info";
              description = "What to log.";
            };
            store-timeout = mkOption {
              type = types.ints.positive;
              default = 10;
              description = "Longest time for a store to answer, in seconds, besides the time for the bytes that move.";
            };
          };
        };
        default = { };
        example = {
          metrics = "127.0.0.1:9187";
        };
        description = "Arguments of the service: `name = value` becomes `--name=value`, and `name = true` becomes `--name`.";
      };
    };
  };
}
