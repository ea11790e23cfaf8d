# Lints and tests of all crates, by nixpkgs' own means. crane would keep built dependencies between the two, and be an input
# whose version goes with nixpkgs' rustc; two builds in full are the lesser evil.
{
  rustPlatform,
  clippy,
  rustfmt,
  pkg-config,
  python3,
  postgresql_17,
  source,
}:

let
  check =
    name: commands:
    rustPlatform.buildRustPackage {
      pname = "pg-lakebase-${name}";
      inherit (source) version meta;
      src = source.everything;
      cargoLock.lockFile = source.lockFile;
      nativeBuildInputs = [
        clippy
        rustfmt
        pkg-config
        python3
        rustPlatform.bindgenHook
      ];
      buildPhase = ''
        runHook preBuild
        export PGRX_HOME=$(mktemp -d) HOME=$(mktemp -d)
        printf '[configs]\npg17 = "%s"\n' ${postgresql_17.pg_config}/bin/pg_config > $PGRX_HOME/config.toml
        ${commands}
        runHook postBuild
      '';
      doCheck = false;
      installPhase = "touch $out";
    };
in
{
  lints = check "lints" ''
    cargo fmt --all --check
    cargo clippy --offline --workspace --all-targets -- -D warnings
  '';

  # Those that need no server; what runs inside one is in `cargo xtask test-all`.
  unit-tests = check "unit-tests" ''
    cargo test --offline --no-fail-fast --package iceberg-lite --package pg-lakebase-macros \
      --package pg-lakebase-storage --package xtask
  '';
}
