# An image: building it gives a program that writes the image to its standard output, for `docker load` or `podman load`.
{
  lib,
  dockerTools,
  writeShellApplication,
  bashInteractive,
  coreutils,
  findutils,
  pg-lakebase,
  source,
}:

let
  # That of the user `postgres` in the widespread images of PostgreSQL.
  uid = 999;
  home = "/var/lib/postgresql";
  entry = writeShellApplication {
    name = "entry";
    runtimeInputs = [
      coreutils
      findutils
      pg-lakebase
    ];
    text = builtins.readFile ./container-entry.sh;
  };
in
dockerTools.streamLayeredImage {
  name = "pg-lakebase";
  tag = source.version;

  contents = [
    pg-lakebase
    bashInteractive
    coreutils
    dockerTools.caCertificates
    (dockerTools.fakeNss.override {
      extraPasswdLines = [ "postgres:x:${toString uid}:${toString uid}::${home}:/bin/bash" ];
      extraGroupLines = [ "postgres:x:${toString uid}:" ];
    })
  ];
  fakeRootCommands = ''
    mkdir -p .${home} run/postgresql tmp
    chown ${toString uid}:${toString uid} .${home} run/postgresql
    chmod 700 .${home}
    chmod 1777 tmp
  '';

  config = {
    User = "${toString uid}:${toString uid}";
    WorkingDir = home;
    Env = [
      "PATH=/bin"
      "PGDATA=${home}/data"
      "PGHOST=/run/postgresql"
      "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
    ];
    Entrypoint = [ (lib.getExe entry) ];
    ExposedPorts."5432/tcp" = { };
    Volumes.${home} = { };
    StopSignal = "SIGINT";
    Healthcheck = {
      Test = [
        "CMD"
        "/bin/pg_isready"
        "--quiet"
        "--username=postgres"
      ];
      # In nanoseconds.
      Interval = 10 * 1000000000;
      Timeout = 5 * 1000000000;
      StartPeriod = 30 * 1000000000;
      Retries = 3;
    };
    Labels = {
      "org.opencontainers.image.title" = "pg-lakebase";
      "org.opencontainers.image.version" = source.version;
      "org.opencontainers.image.licenses" = "Apache-2.0";
    };
  };
}
