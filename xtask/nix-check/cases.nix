# Configurations that cannot work, each with the words of the assertions that have to fail, and some that have to work.
#
# `wrong` says of which of them that is not so; it has to be empty. `refused` are those that evaluation itself has to refuse.
let
  evaluate = import ./evaluate.nix { };
  inherit (evaluate) lib;

  ours = settings: {
    services.pg-lakebase = {
      enable = true;
    }
    // settings;
  };
  lake = {
    protocol = "s3";
    bucket = "lake";
  };
  # A tablespace like the one above, but for this.
  withLake = changes: ours { tablespaces.lake = lake // changes; };

  cases = {
    nothing-else = {
      configuration = ours { };
      fails = [ ];
    };
    disabled = {
      configuration = { };
      fails = [ ];
    };
    # What object-storage.md and the manual of the module show: ten lines.
    s3 = {
      configuration = {
        services.pg-lakebase = {
          enable = true;
          databases = [ "lake" ];
          storage.credentialsFile = "/etc/secrets/lakebase-credentials";
          tablespaces.lake.protocol = "s3";
          tablespaces.lake.bucket = "my-bucket";
          tablespaces.lake.region = "eu-central-1";
          tablespaces.lake.credentials = "lake";
        };
      };
      fails = [ ];
    };
    role-of-the-machine = {
      configuration = withLake { };
      fails = [ ];
    };
    server-runs-the-service = {
      configuration = ours {
        storage.enable = false;
        settings.pg_lakebase.cache_size = "1GB";
        tablespaces.lake = lake;
      };
      fails = [ ];
    };
    other-libraries = {
      configuration.imports = [
        (ours { })
        { services.postgresql.settings.shared_preload_libraries = "auto_explain, pg_stat_statements"; }
      ];
      fails = [ ];
    };
    all-protocols = {
      configuration = ours {
        tablespaces = {
          a = lake // {
            endpoint = "https://minio.example.com:9000";
            virtual_hosted_style_request = false;
          };
          b = {
            protocol = "gcs";
            bucket = "lake";
            skip_signature = true;
          };
          c = {
            protocol = "azure";
            container = "lake";
            account = "myaccount";
          };
        };
      };
      fails = [ ];
    };

    another-major-version = {
      configuration =
        { pkgs, ... }:
        {
          imports = [ (ours { }) ];
          services.postgresql.package = pkgs.postgresql_16;
        };
      fails = [
        "services.pg-lakebase needs PostgreSQL 17, and services.postgresql.package is of major version 16"
      ];
    };
    another-major-version-of-ours = {
      configuration =
        { pkgs, ... }:
        ours { postgresqlPackage = pkgs.postgresql_16; };
      fails = [
        "services.pg-lakebase needs PostgreSQL 17"
        "postgresqlPackage has to be of major version 17, and is of 16"
      ];
    };
    libraries-forced = {
      configuration.imports = [
        (ours { })
        { services.postgresql.settings.shared_preload_libraries = lib.mkForce "auto_explain"; }
      ];
      fails = [ "shared_preload_libraries lacks pg_iceberg_am" ];
    };
    firewall-without-listening = {
      configuration = ours { openFirewall = true; };
      fails = [ "Set\nservices.postgresql.enableTCPIP to true" ];
    };

    cache-in-tmp = {
      configuration = ours { storage.cacheDirectory = "/tmp/cache"; };
      fails = [ "cacheDirectory is /tmp/cache, which the storage service does not see" ];
    };
    cache-of-everybody = {
      configuration = ours { storage.cacheDirectory = "/var/cache/"; };
      fails = [ "cacheDirectory is /var/cache/. It has to be" ];
    };
    cache-in-home = {
      configuration = ours { storage.cacheDirectory = "/home/lake/cache"; };
      fails = [ "cacheDirectory is /home/lake/cache, which the storage service does not see" ];
    };
    cache-in-data-directory = {
      configuration = ours { storage.cacheDirectory = "/var/lib/postgresql/17/cache"; };
      fails = [ "inside of PostgreSQL's data directory" ];
    };
    credentials-in-store = {
      configuration = ours { storage.credentialsFile = "${builtins.storeDir}/credentials"; };
      fails = [ "credentialsFile is in the store" ];
    };
    credentials-relative = {
      configuration = ours { storage.credentialsFile = "credentials"; };
      fails = [ "credentialsFile has to be an absolute path" ];
    };
    metrics-in-tmp = {
      configuration = ours { storage.settings.metrics = "/tmp/metrics.sock"; };
      fails = [ "metrics is /tmp/metrics.sock, where the storage service cannot make a socket" ];
    };
    metrics-for-others = {
      configuration = ours { storage.settings.metrics = "0.0.0.0:9187"; };
      fails = [ "serves metrics on this machine alone" ];
    };
    metrics = {
      configuration = ours { storage.settings.metrics = "127.0.0.1:9187"; };
      fails = [ ];
    };
    metrics-in-socket = {
      configuration = ours { storage.settings.metrics = "/run/pg-lakebase/metrics.sock"; };
      fails = [ ];
    };
    file-without-service = {
      configuration = ours {
        storage.enable = false;
        storage.credentialsFile = "/etc/secrets/lakebase-credentials";
      };
      fails = [ "settings.pg_lakebase.credentials_file to a file that PostgreSQL's account may read" ];
    };
    entry-without-servers-file = {
      configuration = ours {
        storage.enable = false;
        tablespaces.lake = lake // {
          credentials = "lake";
        };
      };
      fails = [ "Set services.pg-lakebase.settings.pg_lakebase.credentials_file" ];
    };
    servers-settings = {
      configuration = ours { settings.pg_lakebase.cache_size = "1GB"; };
      fails = [ "settings.pg_lakebase.cache_size is of a storage service that the server runs itself" ];
    };
    servers-settings-elsewhere = {
      configuration.imports = [
        (ours { })
        { services.postgresql.settings."pg_lakebase.credentials_file" = "/etc/credentials"; }
      ];
      fails = [ "services.postgresql.settings must not have pg_lakebase.credentials_file" ];
    };

    lacks-bucket = {
      configuration = withLake { bucket = null; };
      fails = [ "tablespaces.lake lacks bucket" ];
    };
    lacks-container-and-account = {
      configuration = ours { tablespaces.lake.protocol = "azure"; };
      fails = [ "tablespaces.lake lacks account and container" ];
    };
    of-another-protocol = {
      configuration = withLake { account = "myaccount"; };
      fails = [ "tablespaces.lake has account, which stores of protocol s3 do not have" ];
    };
    kept-name = {
      configuration = ours { tablespaces.pg_lake = lake; };
      fails = [ "has a name that begins with pg_" ];
    };
    location-in-tmp = {
      configuration = withLake { location = "/var/tmp/lake"; };
      fails = [ "location is /var/tmp/lake, which PostgreSQL does not see" ];
    };
    location-in-data-directory = {
      configuration = withLake { location = "/var/lib/postgresql/17/lake"; };
      fails = [ "location is /var/lib/postgresql/17/lake, inside of PostgreSQL's data directory" ];
    };
    location-of-everybody = {
      configuration = withLake { location = "/etc"; };
      fails = [ "location is /etc. It has to be" ];
    };
    location-with-a-space = {
      configuration = withLake { location = "/srv/my lake"; };
      fails = [ "location is /srv/my lake. It has to be" ];
    };
    location-twice = {
      configuration = ours {
        tablespaces.a = lake // {
          location = "/srv/lake";
        };
        tablespaces.b = lake // {
          location = "/srv/lake";
        };
      };
      fails = [ "has the location /srv/lake" ];
    };
    entry-without-file = {
      configuration = withLake { credentials = "lake"; };
      fails = [
        "tablespaces.lake.credentials names an entry of a file of credentials, and there is none"
      ];
    };
    not-encrypted = {
      configuration = withLake { endpoint = "http://minio.example.com:9000"; };
      fails = [ "Set allow_http to true if that is meant" ];
    };
    nobody-runs-the-service = {
      configuration = ours {
        storage.enable = false;
        settings.pg_lakebase.storage_service = "off";
        tablespaces.lake = lake;
      };
      fails = [ "nobody runs it" ];
    };
  }
  // lib.listToAttrs (
    map
      (argument: {
        name = "argument-${argument}";
        value = {
          configuration = ours { storage.settings.${argument} = "1"; };
          fails = [ "services.pg-lakebase.storage.settings must not have ${argument}." ];
        };
      })
      [
        "socket"
        "socket-mode"
        "allow-user"
        "cache-dir"
        "cache-size"
        "credentials"
        "supervised"
      ]
  );

  refused = {
    unknown-setting = ours { settings.pg_iceberg_am.target_file_sizes = "1GB"; };
    setting-of-ours = ours { settings.pg_lakebase.storage_socket = "/run/socket"; };
    setting-without-unit = ours { settings.pg_iceberg_am.target_file_size = "1 gigabyte"; };
    setting-out-of-range = ours { settings.pg_iceberg_am.compression_level = 23; };
    cache-of-no-size = ours { storage.cacheSize = "a lot"; };
    unknown-protocol = withLake { protocol = "ftp"; };
    # It would be in the store.
    secret = withLake { secret_access_key = "..."; };
    credentials-as-path = ours { storage.credentialsFile = ./cases.nix; };
  };

  failed = configuration: evaluate.failed (evaluate.of [ configuration ]);
  evaluates =
    configuration:
    let
      config = evaluate.of [ configuration ];
      scripts = map (unit: unit.script) (lib.attrValues config.systemd.services);
    in
    (builtins.tryEval (builtins.deepSeq [ (evaluate.failed config) scripts ] true)).success;
in
{
  count = lib.length (lib.attrNames cases) + lib.length (lib.attrNames refused);

  wrong =
    lib.filterAttrs (_: difference: difference != null) (
      lib.mapAttrs (
        _: case:
        let
          messages = failed case.configuration;
          isTold = words: lib.length (lib.filter (lib.hasInfix words) messages) == 1;
        in
        if lib.length messages == lib.length case.fails && lib.all isTold case.fails then
          null
        else
          {
            wanted = case.fails;
            found = messages;
          }
      ) cases
    )
    // lib.mapAttrs (_: _: "is not refused") (lib.filterAttrs (_: evaluates) refused);
}
