# The extension's settings, `pg_iceberg_am.*` and `pg_lakebase.*`: their types, and what PostgreSQL takes where nothing is set.
{ lib }:

let
  inherit (lib) types;

  number = min: max: default: {
    type = types.ints.between min max;
    inherit default;
  };
  # A number in the setting's own unit, or with a unit.
  quantity = units: default: {
    type = types.either types.ints.unsigned (
      types.strMatching "[0-9]+ ?(${lib.concatStringsSep "|" units})"
    );
    inherit default;
  };
  size = quantity [
    "kB"
    "MB"
    "GB"
    "TB"
  ];
  time = quantity [
    "ms"
    "s"
    "min"
    "h"
    "d"
  ];
  choice = values: default: {
    type = types.enum values;
    inherit default;
  };
  path = default: {
    type = types.str;
    inherit default;
  };

  all = {
    pg_iceberg_am = {
      target_file_size = size "256MB" // {
        description = "Size at which a data file is closed and the next begun.";
      };
      encoder_threads = number 0 16 1 // {
        description = "Worker threads of a session that encode large data files.";
      };
      decoder_threads = number 0 16 2 // {
        description = "Worker threads of a session that read and decode long data files ahead.";
      };
      write_work_mem = size "256MB" // {
        description = "Memory that a session's inserted rows take, over all Iceberg tables.";
      };
      claim_rows_after = number 0 2147483647 256 // {
        description = "Rows that a statement deletes or updates one by one before it notes others many at a time.";
      };
      compression_level = number 1 22 3 // {
        description = "zstd level of data files.";
      };
      publish_interval = time "100ms" // {
        description = "How long inserts wait, after their table was given a metadata file, to share the next one.";
      };
      max_workers = number 1 64 2 // {
        description = "Background workers that write metadata and keep tables in order.";
      };
      recent_snapshots = number 1 100000 100 // {
        description = "Snapshots of a table that are all kept.";
      };
      max_snapshot_age = time "5d" // {
        description = "Age at which snapshots expire.";
      };
      file_keep_time = time "1min" // {
        description = "How long files are kept that expired snapshots and merges leave behind.";
      };
      enable_custom_scan = {
        type = types.bool;
        default = true;
        description = "Whether the planner may use Iceberg scan nodes.";
      };
      unconstrained_numeric = choice [ "decimal" "text" ] "decimal" // {
        description = "What `numeric` without a precision is kept as in new tables.";
      };
      upgrade_from = path "" // {
        description = "For pg_upgrade: data directory of the old cluster.";
      };
      upgrade_transfer = choice [ "copy" "link" ] "copy" // {
        description = "For pg_upgrade: whether files are copied or linked.";
      };
    };

    pg_lakebase = {
      object_publish_interval = time "5s" // {
        description = "The same as `pg_iceberg_am.publish_interval`, of tables in object stores.";
      };
      object_retention = time "7d" // {
        description = "How long objects are kept that no table needs any more.";
      };
    }
    // lib.mapAttrs (_: setting: setting // { ofServersService = true; }) {
      storage_service = choice [ "auto" "on" "off" ] "auto" // {
        description = "Whether the server runs the storage service.";
      };
      cache_directory = path "pg_lakebase_cache" // {
        description = "Where the service keeps its cache.";
      };
      cache_size = size "10GB" // {
        description = "Most space that its cache takes.";
      };
      credentials_file = path "" // {
        description = "The service's file of credentials.";
      };
      metrics = path "" // {
        description = "Where the service serves metrics to Prometheus.";
      };
    }
    // lib.mapAttrs (_: setting: setting // { isOurs = true; }) {
      storage_socket = path "" // {
        description = "Socket of a storage service that somebody else runs.";
      };
      storage_service_user = path "" // {
        description = "User that such a service may run as.";
      };
      storage_program = path "" // {
        description = "The service's program.";
      };
    };
  };

  named =
    condition:
    lib.concatLists (
      lib.mapAttrsToList (
        prefix: settings:
        map (name: "${prefix}.${name}") (lib.attrNames (lib.filterAttrs (_: condition) settings))
      ) all
    );
in
{
  # An option for each setting that users have.
  options = lib.mapAttrs (
    _:
    lib.mapAttrs (
      _: setting:
      lib.mkOption {
        type = types.nullOr setting.type;
        default = null;
        description =
          setting.description
          + " If it is not set: `${
             if lib.isBool setting.default then
               (if setting.default then "on" else "off")
             else if setting.default == "" then
               "''"
             else
               toString setting.default
           }`."
          + lib.optionalString (setting.ofServersService or false) " Only where `storage.enable` is off.";
      }
    )
  ) (lib.mapAttrs (_: lib.filterAttrs (_: setting: !(setting.isOurs or false))) all);

  # Names of settings of the service that the server runs itself.
  ofServersService = named (setting: setting.ofServersService or false);
  # Names of all settings, for comparing them with those that the extension registers.
  names = named (_: true);
}
