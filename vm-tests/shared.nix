# What scenarios share: the machine with the server, and the emulated stores.
#
# A scenario's steps are Python, `scenarios/<name>.py`. They run in the NixOS test driver, and in any other that has machines
# with the functions that scenarios/README.md lists.
let
  base =
    { lib, ... }:
    {
      imports = [ ../nixos-module ];
      services.pg-lakebase.enable = true;
      # What is dropped is deleted at once, and rows are in the store as soon as they would be on disk.
      services.pg-lakebase.settings.pg_lakebase = {
        object_publish_interval = lib.mkDefault 0;
        object_retention = lib.mkDefault 0;
      };
    };

  # A program that listens, in a directory of its own.
  store = name: command: environment: {
    systemd.services.${name} = {
      description = "Emulated object store ${name}";
      wantedBy = [ "multi-user.target" ];
      # MinIO wants one.
      environment = environment // {
        HOME = "/var/lib/${name}";
      };
      serviceConfig = {
        ExecStart = command;
        DynamicUser = true;
        StateDirectory = name;
        WorkingDirectory = "/var/lib/${name}";
        Restart = "on-failure";
      };
    };
  };

  # Nobody but these tests' emulators has these keys.
  credentials = text: {
    services.pg-lakebase.storage.credentialsFile = "/etc/lakebase-credentials";
    environment.etc."lakebase-credentials" = {
      inherit text;
      mode = "0600";
    };
  };
in
{
  server = {
    imports = [ base ];
    virtualisation.memorySize = 2048;
    virtualisation.diskSize = 4096;
    # Others connect to it, as replicas and for backups.
    services.postgresql = {
      enableTCPIP = true;
      authentication = ''
        local replication postgres peer map=postgres
        host replication postgres all trust
        host all postgres all trust
      '';
      settings.wal_log_hints = true;
    };
    services.pg-lakebase.openFirewall = true;
  };

  minio =
    { lib, pkgs, ... }:
    let
      minio = (import ../pkgs { inherit pkgs; }).minio-for-tests;
    in
    {
      imports = [
        # Each directory of its data is a bucket.
        (store "minio"
          "${lib.getExe' minio "minio"} server --address :9000 --console-address 127.0.0.1:9001 data"
          {
            MINIO_ROOT_USER = "lakebase";
            MINIO_ROOT_PASSWORD = "lakebase-secret";
            MINIO_BROWSER = "off";
            MINIO_UPDATE = "off";
          }
        )
        (credentials ''
          [minio]
          access_key_id = lakebase
          secret_access_key = lakebase-secret
        '')
      ];
      systemd.services.minio.preStart = "mkdir -p data/lakebase";
      networking.firewall.allowedTCPPorts = [ 9000 ];
      services.pg-lakebase.tablespaces.lake = {
        protocol = "s3";
        bucket = "lakebase";
        prefix = "lake";
        endpoint = "http://server:9000";
        allow_http = true;
        credentials = "minio";
      };
    };

  azurite =
    { lib, pkgs, ... }:
    {
      imports = [
        (store "azurite"
          "${lib.getExe' pkgs.azurite "azurite-blob"} --location . --blobHost 127.0.0.1 --blobPort 10000 --skipApiVersionCheck --disableTelemetry"
          { }
        )
      ];
      # Makes the container; nothing in PostgreSQL does. The key is the one that every emulator has.
      systemd.services.azurite.postStart = ''
        until ${lib.getExe pkgs.nodejs} ${../xtask/stores/make_container.js} http://127.0.0.1:10000 devstoreaccount1 \
          Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw== lakebase
        do
          sleep 0.2
        done
      '';
      services.pg-lakebase.tablespaces.lake = {
        protocol = "azure";
        container = "lakebase";
        account = "devstoreaccount1";
        prefix = "lake";
        endpoint = "http://127.0.0.1:10000";
        use_emulator = true;
        allow_http = true;
      };
    };

  gcs =
    { lib, pkgs, ... }:
    let
      emulator = (import ../pkgs { inherit pkgs; }).gcs-emulator;
    in
    {
      imports = [
        (store "gcs" "${lib.getExe' emulator "gcs-emulator"} --port 4443 --data . --bucket lakebase" { })
      ];
      services.pg-lakebase.tablespaces.lake = {
        protocol = "gcs";
        bucket = "lakebase";
        prefix = "lake";
        base_url = "http://127.0.0.1:4443";
        skip_signature = true;
      };
    };

  # The text of a test: the steps of a scenario, and these machines going through them.
  script =
    name: machines:
    builtins.readFile ./scenarios/steps.py
    + builtins.readFile (./scenarios + "/${name}.py")
    + ''

      start_all()
      run(${builtins.concatStringsSep ", " machines})
    '';
}
