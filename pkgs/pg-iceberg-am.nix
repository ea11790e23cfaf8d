# The extension, as `postgresql_17.withPackages` takes it.
{
  buildPgrxExtension,
  postgresql,
  cargo-pgrx_0_18_1,
  pg-lakebase-storage,
  source,
}:

buildPgrxExtension {
  pname = "pg_iceberg_am";
  inherit (source) version;
  inherit postgresql;
  cargo-pgrx = cargo-pgrx_0_18_1;

  src = source.packages;
  cargoLock.lockFile = source.lockFile;
  cargoPgrxFlags = [
    "--package"
    "pg-iceberg-am"
  ];

  # Servers look for the storage service beside their own program, and withPackages links programs of extensions there.
  postInstall = ''
    mkdir -p $out/bin
    ln -s ${pg-lakebase-storage}/bin/pg-lakebase-storage $out/bin/
  '';

  # Tests inside a server would install the extension into the store.
  doCheck = false;

  meta = source.meta // {
    description = "Apache Iceberg tables as PostgreSQL tables";
    broken = postgresql.psqlSchema or "17" != "17";
  };
}
