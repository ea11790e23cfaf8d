{
  rustPlatform,
  source,
}:

rustPlatform.buildRustPackage {
  pname = "pg-lakebase-storage";
  inherit (source) version;

  src = source.packages;
  cargoLock.lockFile = source.lockFile;
  cargoBuildFlags = [
    "--package=pg-lakebase-storage"
    "--bin=pg-lakebase-storage"
  ];

  # `checks` runs the tests of all crates at once.
  doCheck = false;

  meta = source.meta // {
    description = "Object storage cache service of pg-lakebase";
    mainProgram = "pg-lakebase-storage";
  };
}
