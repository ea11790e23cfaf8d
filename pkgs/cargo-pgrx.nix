# Has to be of the same version as pgrx in Cargo.toml.
{
  lib,
  rustPlatform,
  fetchCrate,
  pkg-config,
  openssl,
}:

rustPlatform.buildRustPackage (finalAttrs: {
  pname = "cargo-pgrx";
  version = "0.18.1";

  src = fetchCrate {
    inherit (finalAttrs) pname version;
    hash = "sha256-4/FKpiMm3MedrmJwXf9NMkzTGQyZuU2GYQ4ZIif3YDE=";
  };
  cargoHash = "sha256-4hQL06ZRykZDeVJMYeBSw50jUPlBVh+J5FfyF1hTlNc=";

  nativeBuildInputs = [ pkg-config ];
  buildInputs = [ openssl ];

  preCheck = ''
    export PGRX_HOME=$(mktemp -d)
  '';
  # Needs a directory that `cargo pgrx init` has filled.
  checkFlags = [ "--skip=object_utils::tests::parses_managed_postmasters" ];

  meta = {
    description = "Builds PostgreSQL extensions that are written in Rust";
    homepage = "https://github.com/pgcentralfoundation/pgrx";
    license = lib.licenses.mit;
    mainProgram = "cargo-pgrx";
  };
})
