# The storage service as systemd runs it.
{
  config,
  lib,
  ...
}:

let
  cfg = config.services.pg-lakebase;
  inherit (cfg) storage;
  account = "pg-lakebase";
  socket = "/run/pg-lakebase/storage.sock";
  hasCredentials = storage.credentialsFile != null;

  settings = lib.concatLists (
    lib.mapAttrsToList (
      name: value:
      if value == true then
        [ "--${name}" ]
      else if value == false then
        [ ]
      else
        [ "--${name}=${toString value}" ]
    ) storage.settings
  );
  arguments = [
    "--socket=${socket}"
    "--socket-mode=0660"
    "--allow-user=postgres"
    "--cache-dir=${storage.cacheDirectory}"
    "--cache-size=${storage.cacheSize}"
  ]
  ++ settings;
in
{
  config = lib.mkIf (cfg.enable && storage.enable) {
    users.users.${account} = {
      isSystemUser = true;
      group = account;
      description = "Storage service of pg-lakebase";
    };
    users.groups.${account} = { };

    systemd.tmpfiles.settings.pg-lakebase-storage.${storage.cacheDirectory}.d = {
      user = account;
      group = account;
      mode = "0700";
    };

    systemd.services.pg-lakebase-storage = {
      description = "Storage service of pg-lakebase";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      # It is tried again as long as it takes: PostgreSQL cannot do without it.
      unitConfig.StartLimitIntervalSec = 0;

      script = "exec ${
        lib.concatStringsSep " " (
          [
            (lib.getExe' storage.package "pg-lakebase-storage")
            (lib.escapeShellArgs arguments)
          ]
          ++ lib.optional hasCredentials ''--credentials="$CREDENTIALS_DIRECTORY/credentials"''
        )
      }";
      serviceConfig = import ./hardening.nix // {
        Type = "notify";
        User = account;
        Group = account;
        Restart = "always";
        RestartSec = "200ms";
        LoadCredential = lib.mkIf hasCredentials "credentials:${storage.credentialsFile}";
        RuntimeDirectory = "pg-lakebase";
        # PostgreSQL, which is in the group, comes to the socket.
        RuntimeDirectoryMode = "0750";
        ReadWritePaths = [ storage.cacheDirectory ];
        UMask = "0077";
        # Each connection and each file of the cache in use takes one.
        LimitNOFILE = 65536;

        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          "AF_UNIX"
        ];
        # No PrivateUsers: the service asks the kernel for the number of who connects.
      };
    };
  };
}
