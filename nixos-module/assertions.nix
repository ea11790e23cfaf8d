# What cannot work, and what to do instead.
{
  config,
  lib,
  ...
}:

let
  cfg = config.services.pg-lakebase;
  postgresql = config.services.postgresql;
  tablespaces = import ./tablespaces.nix { inherit lib; };
  settings = import ./settings.nix { inherit lib; };

  below = directory: path: path == directory || lib.hasPrefix "${directory}/" path;
  # systemd gives both services directories of their own for these, or none.
  hidden =
    path:
    lib.any (directory: below directory path) [
      "/tmp"
      "/var/tmp"
      "/home"
      "/root"
      "/run/user"
    ];
  # Units and systemd-tmpfiles take anything else apart.
  plain = path: builtins.match "/[A-Za-z0-9._/+@:-]*" path != null && !lib.hasInfix "/.." path;
  # Of directories that others need, nobody is to become the owner.
  everybodys =
    path:
    lib.elem (lib.removeSuffix "/" path) [
      ""
      "/boot"
      "/dev"
      "/etc"
      "/nix"
      "/opt"
      "/proc"
      "/run"
      "/srv"
      "/sys"
      "/usr"
      "/var"
      "/var/cache"
      "/var/lib"
      "/var/log"
      "/var/lib/postgresql"
    ];
  ofPath = option: path: {
    assertion = plain path && !everybodys path;
    message = ''
      ${option} is ${path}. It has to be the absolute path of a directory for this alone, of letters, digits and the characters
      . _ / + @ : and -, without "..".
    '';
  };
  isGiven =
    name:
    let
      path = lib.splitString "." name;
    in
    lib.attrByPath path null cfg.settings != null;

  ownedArguments = {
    socket = "The socket is the module's own";
    socket-mode = "The socket is the module's own";
    allow-user = "The module lets PostgreSQL's account connect";
    cache-dir = "Set services.pg-lakebase.storage.cacheDirectory";
    cache-size = "Set services.pg-lakebase.storage.cacheSize";
    credentials = "Set services.pg-lakebase.storage.credentialsFile";
    supervised = "It is for the service that a server runs itself: set services.pg-lakebase.storage.enable to false";
  };

  ofMajorVersion = {
    assertion = postgresql.package.psqlSchema == "17";
    message = ''
      services.pg-lakebase needs PostgreSQL 17, and services.postgresql.package is of major version ${postgresql.package.psqlSchema}.
      Leave services.postgresql.package alone, or set it to pkgs.postgresql_17. A cluster of another version is brought over by
      pg_upgrade: docs/operations.md.
    '';
  };

  ofServer = {
    assertion = cfg.postgresqlPackage.psqlSchema == "17";
    message = "services.pg-lakebase.postgresqlPackage has to be of major version 17, and is of ${cfg.postgresqlPackage.psqlSchema}.";
  };

  ofCache = [
    (ofPath "services.pg-lakebase.storage.cacheDirectory" cfg.storage.cacheDirectory)
    {
      assertion = !hidden cfg.storage.cacheDirectory;
      message = ''
        services.pg-lakebase.storage.cacheDirectory is ${cfg.storage.cacheDirectory}, which the storage service does not see: systemd
        gives it a /tmp and a /var/tmp of its own, and no home directories. Take one below /var/cache or on a disk of its own.
      '';
    }
    {
      assertion = !below postgresql.dataDir cfg.storage.cacheDirectory;
      message = ''
        services.pg-lakebase.storage.cacheDirectory is ${cfg.storage.cacheDirectory}, inside of PostgreSQL's data directory, which the
        storage service's account may not read, and which base backups copy. Take one below /var/cache or on a disk of its own.
      '';
    }
  ];

  ofCredentials =
    let
      file = cfg.storage.credentialsFile;
    in
    [
      {
        assertion = file == null || plain file;
        message = "services.pg-lakebase.storage.credentialsFile has to be an absolute path without spaces and the like, and is ${toString file}.";
      }
      {
        assertion = file == null || !below builtins.storeDir file;
        message = ''
          services.pg-lakebase.storage.credentialsFile is in the store, where everybody may read it. Write the path as a string, of
          a file that is put there by other means.
        '';
      }
    ];

  ofArguments = lib.mapAttrsToList (name: advice: {
    assertion = !cfg.storage.settings ? ${name};
    message = "services.pg-lakebase.storage.settings must not have ${name}. ${advice}.";
  }) ownedArguments;

  ofMetrics =
    let
      metrics = toString (cfg.storage.settings.metrics or "");
    in
    [
      {
        assertion = !lib.hasInfix "/" metrics || lib.hasPrefix "/run/pg-lakebase/" metrics;
        message = ''
          services.pg-lakebase.storage.settings.metrics is ${metrics}, where the storage service cannot make a socket. Take a path below
          /run/pg-lakebase, or a port of a loopback address such as 127.0.0.1:9187.
        '';
      }
      {
        assertion =
          metrics == ""
          || lib.any (start: lib.hasPrefix start metrics) [
            "/"
            "127."
            "[::1]:"
          ];
        message = ''
          services.pg-lakebase.storage.settings.metrics is ${metrics}, and the storage service serves metrics on this machine alone. Take a
          port of a loopback address such as 127.0.0.1:9187.
        '';
      }
    ];

  # Of a service that systemd does not run.
  ofNoService = {
    assertion = cfg.storage.credentialsFile == null;
    message = ''
      services.pg-lakebase.storage.credentialsFile is of a storage service that systemd runs, and the server runs it. Set
      services.pg-lakebase.settings.pg_lakebase.credentials_file to a file that PostgreSQL's account may read.
    '';
  };

  # Each in one place only.
  ofServersService = map (name: {
    assertion = !isGiven name;
    message = ''
      services.pg-lakebase.settings.${name} is of a storage service that the server runs itself, and systemd runs it. Set what
      services.pg-lakebase.storage has for it, or services.pg-lakebase.storage.enable to false.
    '';
  }) settings.ofServersService;

  ofServersSettings = map (name: {
    assertion = !postgresql.settings ? ${name} || isGiven name;
    message = "services.postgresql.settings must not have ${name}, which services.pg-lakebase sets.";
  }) (if cfg.storage.enable then settings.ofServersService else [ ]);

  ofTablespace =
    name: tablespace:
    let
      option = "services.pg-lakebase.tablespaces.${name}";
      missing = tablespaces.missing tablespace;
      foreign = tablespaces.foreign tablespace;
      credentials = tablespace.credentials;
    in
    [
      {
        assertion = missing == [ ];
        message = "${option} lacks ${lib.concatStringsSep " and " missing}, without which there is no store of protocol ${tablespace.protocol}.";
      }
      {
        assertion = foreign == [ ];
        message = "${option} has ${lib.concatStringsSep " and " foreign}, which stores of protocol ${tablespace.protocol} do not have.";
      }
      {
        assertion = !lib.hasPrefix "pg_" name;
        message = "${option} has a name that begins with pg_, which PostgreSQL keeps for itself. Take another name.";
      }
      (ofPath "${option}.location" tablespace.location)
      {
        assertion = !hidden tablespace.location;
        message = ''
          ${option}.location is ${tablespace.location}, which PostgreSQL does not see: systemd gives it a /tmp and a /var/tmp of its
          own, and no home directories. Leave it out, or take a directory below /var/lib.
        '';
      }
      {
        assertion = !below postgresql.dataDir tablespace.location;
        message = ''
          ${option}.location is ${tablespace.location}, inside of PostgreSQL's data directory. Leave it out, or take a directory of its own.
        '';
      }
      {
        assertion =
          credentials == null
          || (
            if cfg.storage.enable then
              cfg.storage.credentialsFile != null
            else
              cfg.settings.pg_lakebase.credentials_file != null
          );
        message = ''
          ${option}.credentials names an entry of a file of credentials, and there is none. Set services.pg-lakebase.${
            if cfg.storage.enable then "storage.credentialsFile" else "settings.pg_lakebase.credentials_file"
          }.
        '';
      }
      {
        assertion =
          !(lib.hasPrefix "http://" (toString tablespace.endpoint)) || tablespace.allow_http == true;
        message = "${option}.endpoint begins with http://, and requests are not encrypted then. Set allow_http to true if that is meant.";
      }
    ];

  ofTablespaces =
    let
      locations = map (tablespace: tablespace.location) (lib.attrValues cfg.tablespaces);
      twice = lib.unique (
        lib.filter (location: lib.count (other: other == location) locations > 1) locations
      );
    in
    [
      {
        assertion = twice == [ ];
        message = "More than one of services.pg-lakebase.tablespaces has the location ${lib.concatStringsSep ", " twice}. Each needs a directory of its own.";
      }
      {
        assertion =
          cfg.tablespaces == { } || cfg.storage.enable || cfg.settings.pg_lakebase.storage_service != "off";
        message = ''
          services.pg-lakebase.tablespaces are in object stores, which are reached by the storage service alone, and nobody runs it. Set
          services.pg-lakebase.storage.enable to true, or leave settings.pg_lakebase.storage_service out.
        '';
      }
    ];

  ofFirewall = {
    assertion = !cfg.openFirewall || postgresql.enableTCPIP;
    message = ''
      services.pg-lakebase.openFirewall opens PostgreSQL's port, and PostgreSQL does not listen there for others. Set
      services.postgresql.enableTCPIP to true, and say in services.postgresql.authentication who may connect.
    '';
  };

  # A list would be merged with ours; a text that is forced is not.
  ofLibraries = {
    assertion = lib.elem "pg_iceberg_am" (
      lib.splitString "," (
        lib.replaceStrings [ " " ] [ "" ] (toString postgresql.settings.shared_preload_libraries)
      )
    );
    message = ''
      services.postgresql.settings.shared_preload_libraries lacks pg_iceberg_am. Do not force it (lib.mkForce): lists and texts
      with commas are joined.
    '';
  };
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      ofMajorVersion
      ofServer
      ofFirewall
      ofLibraries
    ]
    ++ lib.optionals cfg.storage.enable (
      ofCache ++ ofCredentials ++ ofArguments ++ ofMetrics ++ ofServersService
    )
    ++ lib.optional (!cfg.storage.enable) ofNoService
    ++ ofServersSettings
    ++ lib.concatLists (lib.mapAttrsToList ofTablespace cfg.tablespaces)
    ++ ofTablespaces;
  };
}
